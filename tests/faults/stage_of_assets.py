"""A stage with a bridge for asset events, and pipelines that wait for an asset; and the waves over it.

People run ``team_b/U``. Each run emits the asset :data:`ORDERS` twice, from two tasks. Its events are handed on to
``default``::

    D           waits for the asset of team_b
    team_b/E    waits for team_b/U
    J           waits for D and team_b/E

So a run, and each clear, of ``team_b/U`` brings two events to ``default``, and starts D, team_b/E and J once each.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coordinator.airflow_plugin.outbox import EmittedEvent
from coordinator.model.assets.events import OURS, AssetEventDocument, new_event_id
from coordinator.model.references import PipelineRef, Target
from coordinator.runners.port import ObservedRun
from tests.airflow_model.assets import AssetEvent
from tests.airflow_model.runs import Run
from tests.faults.stage import Stage, pause
from tests.faults.workload import Workload
from tests.integration.controller.waiting import until
from tests.simulation.history import History, PromiseBroken
from tests.worlds.simulated_airflow import logical_date_of

ORDERS = "s3://lake/orders/eu"
PRODUCER, CONSUMER = "team_b", "default"
DOCUMENT: Mapping[str, Any] = {
    "assets": [{"from": PRODUCER, "to": [CONSUMER], "match": ["s3://lake/*"]}],
    "D": {"upstream": {"asset": ORDERS, "environment": PRODUCER}},
    "team_b/E": "team_b/U",
    "J": ["D", "team_b/E"],
}
U, D, E, J = (PipelineRef.parse(name) for name in ("team_b/U", "D", "team_b/E", "J"))
TASKS = ("load", "correct")
TAKES = (0.02, 0.3)


class AssetStage(Stage):
    """See the module."""

    def __init__(self, directory: Path, **options: Any) -> None:
        super().__init__(directory, **options)
        self.history = History(checkers=[])  # the waves count for themselves: the oracle knows no assets

    def is_published(self, document: Mapping[str, Any]) -> bool:
        return super().is_published({name: entry for name, entry in document.items() if name != "assets"})

    def emit(self, run: ObservedRun, task: str) -> None:
        """A task of a run emits the asset: as the listener inside Airflow, keep the event, and wake the sender."""
        document = AssetEventDocument(
            uri=ORDERS, dag_id=run.dag_id, run_id=run.run_id, task_id=task, timestamp=datetime.now(UTC)
        )
        event = EmittedEvent(asset=document, event_id=new_event_id(document), environment=PRODUCER)
        self.outboxes[PRODUCER].put(event)
        self.senders[PRODUCER].wake()

    def arrived(self) -> list[AssetEvent]:
        """The events that the consumer has, oldest first."""
        airflow = self.airflows[CONSUMER]
        with airflow.changed:
            return [event for event in airflow.model.assets.of(ORDERS) if OURS in event.extra]


class AssetWorkload(Workload):
    """Waves over :data:`DOCUMENT`: in the first, people run U; in the others, they clear it.

    Of what strikes may do with a workload, it has waves, their end, and their count.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        assert isinstance(stage, AssetStage)
        self._stage: AssetStage = stage
        self.dice = random.Random(seed)
        self.starts = self.waves = 0
        self._producer = stage.airflows[PRODUCER]
        self._producer.dag(U.dag_id)
        consumer = stage.airflows[CONSUMER]
        with consumer.changed:
            consumer.model.assets.add(ORDERS)
        for pipeline in (D, E, J):
            stage.airflows[pipeline.environment].dag(pipeline.dag_id, auto=self.dice.uniform(*TAKES))
        self._days = self._emitted = 0
        self.take_fresh_partitions()
        stage.publish(DOCUMENT)
        stage.await_rest()
        self.begin_anew()

    def take_fresh_partitions(self) -> None:
        self._days += 1
        self._partition = f"2026-01-{self._days:02}T00:00:00Z"
        self._run_id = f"scheduled__{self._partition}"
        self._fresh = True

    def begin_wave(self, *, everything: bool = False, without: Target | None = None) -> None:
        del everything, without
        if self._fresh:
            self._producer.trigger_by_hand(U.dag_id, self._run_id, logical_date=logical_date_of(self._partition))
        else:
            self._producer.clear_by_hand(U.dag_id, self._run_id)
        self._fresh = False
        self._producer.start(U.dag_id, self._run_id)
        run = self._run().observed()
        until(lambda: self._stage.knows(Target(U, self._partition), run), "etcd knows that U runs")
        self.waves += 1

    def end_sources(self) -> None:
        for task in TASKS:
            self._stage.emit(self._run().observed(), task)
            self._emitted += 1
            if self.dice.random() < 0.5:  # or the next one comes together with it
                pause(self.dice.uniform(0.0, 1.0))
        self._producer.finish(U.dag_id, self._run_id)

    def sources_are_known_to_have_ended(self) -> bool:
        return self._stage.knows(Target(U, self._partition), self._run().observed())

    def count(self) -> None:
        self._stage.await_rest()
        counted = {
            target.pipeline: count for target, count in (self._stage.history.requests - self.requests_before).items()
        }
        expected = {D: 1, E: 1, J: 1}
        if counted != expected:
            told = [{str(pipeline): count for pipeline, count in one.items()} for one in (expected, counted)]
            raise PromiseBroken("each runs once per wave", f"expected {told[0]}, and there were {told[1]}")
        arrived = Counter(event.extra[OURS]["event"] for event in self._stage.arrived())
        if len(arrived) != self._emitted or arrived.total() != self._emitted:
            raise PromiseBroken("each event arrives once", f"{self._emitted} were emitted, and there are {arrived}")
        self._in_order()
        self.starts += sum(counted.values())
        self.begin_anew()

    def begin_anew(self) -> None:
        self.requests_before = Counter(self._stage.history.requests)

    def _in_order(self) -> None:
        """Each newest run began after the newest one of what it waits for had ended."""
        ended = {U: self._run().observed().end_date, D: self._end_of(D), E: self._end_of(E)}
        for pipeline, after in ((D, ended[U]), (E, ended[U]), (J, ended[D]), (J, ended[E])):
            asked_at = self._newest(Target(pipeline, self._partition)).queued_at
            if after is None or asked_at is None or asked_at < after:
                raise PromiseBroken("nothing is early", f"{pipeline} was asked for at {asked_at}, before {after}")

    def _end_of(self, pipeline: PipelineRef) -> datetime | None:
        return self._newest(Target(pipeline, self._partition)).end_date

    def _run(self) -> Run:
        with self._producer.changed:
            return self._producer.model.get(U.dag_id, self._run_id)
