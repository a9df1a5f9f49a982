"""Asset events: runs emit them, bridges hand them on, and pipelines of their own wait for them.

The oracle knows nothing of these pipelines: what is promised of them is checked here, event by event and at rest.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coordinator.commands.emit import write_event
from coordinator.model.assets.completions import AssetCompletion
from coordinator.model.assets.events import OURS, AssetEventDocument, new_event_id
from coordinator.model.assets.names import asset_of, is_asset, is_of_assets
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Readiness
from coordinator.runners.port import ObservedRun
from tests.airflow_model.assets import AssetEvent
from tests.simulation.checkers import unrest
from tests.simulation.history import PromiseBroken

if TYPE_CHECKING:
    from tests.simulation.process import WatcherProcess
    from tests.simulation.stage import Stage

WAITER = "w"
"""What the names of pipelines that wait for assets begin with."""

_Attempt = tuple[Target, str, str]
"""A pipeline and its partition, with the run and its ``queued_at``: the attempt of a run."""


@dataclass
class Emitted:
    """What was emitted of one asset in one partition: each attempt of a run, with when etcd had its first event."""

    first: dict[_Attempt, float] = field(default_factory=dict)


class Assets:
    """:ivar deliveries: how often each event is there in each environment that it was handed on to."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        plan = stage.plan.assets
        self.emits: dict[str, Any] = dict(plan.get("emits", {}))
        self.bridges: list[dict[str, Any]] = list(plan.get("bridges", []))
        self.waits: dict[str, Any] = dict(plan.get("waits", {}))
        self._dice = random.Random(f"latencies of events {stage.plan.seed}")
        self._waiters = {PipelineRef.parse(name): entry for name, entry in self.waits.items()}
        self._told: dict[str, tuple[str, str, _Attempt | None]] = {}
        self._emitted: dict[Target, Emitted] = {}
        self._known: dict[Target, tuple[int, AssetCompletion]] = {}
        self._starts: Counter[Target] = Counter()
        self._started_at: dict[Target, float] = {}
        self.deliveries: Counter[tuple[str, str]] = Counter()
        self._origins: Counter[tuple[str, str]] = Counter()
        for name, airflow in stage.airflows.items():
            airflow.assets.add(*{uri for shape in self.emits.values() for uri in shape["uris"]})
            airflow.assets.told = lambda uri, event, name=name: self._heard(name, uri, event)  # type: ignore[misc]

    def __bool__(self) -> bool:
        return bool(self.emits)

    def added_to(self, document: dict[str, Any], is_mine: Callable[[str], bool]) -> dict[str, Any]:
        """A document, with what the plan says of assets. :param is_mine: which environments' pipelines stand in it."""
        waits = {name: entry for name, entry in self.waits.items() if is_mine(PipelineRef.parse(name).environment)}
        bridges = [bridge for bridge in self.bridges if is_mine(bridge["to"][0])]
        return {**document, **waits, **({"assets": bridges} if bridges else {})}

    def concerns(self, pipeline: PipelineRef) -> bool:
        """Whether it is of assets, or waits for one: the oracle does not know it."""
        return is_of_assets(pipeline) or pipeline in self._waiters

    # -- what happens ------------------------------------------------------------------------------------------------

    def end(self, environment: str, run: ObservedRun, *, fails: bool) -> None:
        """A run is about to end: it emits what it emits."""
        shape = self.emits.get(str(PipelineRef(environment, run.dag_id)))
        if shape is None or (fails and not shape["failing"]):
            return
        assets = self._stage.airflows[environment].assets
        for uri in shape["uris"]:
            asset_id = next(one for one, known in assets.uris.items() if known == uri)
            for number in range(shape["times"]):
                source = run.dag_id, run.run_id, f"publish{number}"
                assets.emit(asset_id, at=self._stage.clock.tick(), source=source)

    def _heard(self, environment: str, uri: str, event: AssetEvent) -> None:
        """An environment has another event: its listener hears of it."""
        self._stage.changed_at = self._stage.clock.seconds
        if event.source is None:
            self._arrived(environment, event)
        if environment in (*self._stage.plan.silent, *self._stage.plan.observed):
            return
        dag_id, run_id, task_id = event.source or (None, None, None)
        document = AssetEventDocument(
            uri=uri, dag_id=dag_id, run_id=run_id, task_id=task_id, extra=dict(event.extra), timestamp=event.timestamp
        )
        event_id = new_event_id(document)
        # What was handed on comes of the run that has emitted it first.
        attempt = self._told[event.extra[OURS]["event"]][2] if event.source is None else None
        pause = self._dice.uniform(0.001, 0.05)
        if event.source is not None:
            run = self._stage.airflows[environment].get(event.source[0], event.source[1])
            target = self._stage.target_of(environment, run)
            attempt = target, run.run_id, str(run.queued_at)
            if self._dice.random() < 0.3:
                pause = self._dice.uniform(0.1, self.emits[str(target.pipeline)]["late"])
        self._told[event_id] = environment, uri, attempt
        self._stage.clock.after(pause, lambda: self._deliver(environment, event_id, document))

    def _deliver(self, environment: str, event_id: str, document: AssetEventDocument) -> None:
        if self._stage.clock.seconds < self._stage.etcd_away_until:
            self._stage.clock.after(1.0, lambda: self._deliver(environment, event_id, document))
            return
        write_event(self._stage.reports, self._stage.keys, environment, event_id, document)
        self._stage.note("asset event", event_id)
        _, uri, attempt = self._told[event_id]
        if attempt is not None:
            where = Target(asset_of(environment, uri), attempt[0].partition)
            self._emitted.setdefault(where, Emitted()).first.setdefault(attempt, self._stage.clock.seconds)

    def _arrived(self, environment: str, event: AssetEvent) -> None:
        """An event was handed on. :raises PromiseBroken: it is there already, or the sender did not lead."""
        self._stage.check_sender()
        event_id = event.extra[OURS]["event"]
        self._stage.note("asset event handed on", event_id)
        self.deliveries[environment, event_id] += 1
        if self.deliveries[environment, event_id] > 1:
            raise PromiseBroken("an asset event arrives once", f"{event_id} is in {environment} twice")
        source, _, attempt = self._told[event_id]
        if self._is_once(source, environment) and attempt is not None:
            origin = f"{event.asset_id} {attempt[0]} {attempt[1]} {event.extra[OURS]['task_id']}"
            self._origins[environment, origin] += 1
            if self._origins[environment, origin] > 1:
                raise PromiseBroken("an asset event arrives once", f"{origin} is in {environment} twice")

    def _is_once(self, source: str, consumer: str) -> bool:
        return any(
            one["from"] == source and consumer in one["to"] and one.get("rerun") == "once" for one in self.bridges
        )

    def state_written(self, target: Target, state: RunState | None, revision: int) -> None:
        if is_asset(target.pipeline) and isinstance(state, AssetCompletion):
            self._known[target] = revision, state

    def record_written(self, target: Target, record: TriggerRecord | None, process: WatcherProcess | None) -> None:
        """:raises PromiseBroken: what waits for an asset is to be started while something that emits it is not at
        rest."""
        if (
            record is None
            or record.status is not Status.INTENT
            or process is None
            or target.pipeline not in self._waiters
        ):
            return
        if self._stage.history.published_at > process.knows or record.ordered:
            return
        asset = self._asset_of(target)
        known = self._known.get(asset)
        if known is None:
            raise PromiseBroken("nothing fires early", f"{target}: nothing has emitted {asset}")
        revision, completion = known
        if revision > process.knows:
            return
        for producer in completion.producers:
            if why := unrest(producer, self._stage.history, process.knows):
                raise PromiseBroken("nothing fires early", f"{target} uses {asset}, but {why}")

    def started(self, target: Target) -> None:
        """The coordinator has started what waits for an asset. :raises PromiseBroken: for nothing."""
        self._stage.check_sender()
        self._stage.note("started by an asset", str(target))
        self._starts[target] += 1
        self._started_at[target] = self._stage.clock.seconds
        attempts = len(self._emitted.get(self._asset_of(target), Emitted()).first)
        if self._starts[target] > attempts:
            what = f"{target} was started {self._starts[target]} times, for {attempts} attempts that have emitted"
            raise PromiseBroken("each runs once per wave", what)

    def _asset_of(self, waiter: Target) -> Target:
        upstream = self._waiters[waiter.pipeline]["upstream"]
        return Target(asset_of(upstream["environment"], upstream["asset"]), waiter.partition)

    # -- at rest -----------------------------------------------------------------------------------------------------

    def are_on_the_way(self) -> bool:
        """Whether events are still to be handed on: what is in doubt takes longer than anything else."""
        leader = self._stage.leader
        if leader is None:
            return False
        records = (leader.reconciler.cache.record(target) for target in leader.reconciler.cache.recorded())
        return any(
            seen is not None and isinstance(seen.value, TriggerRecord) and seen.value.status is Status.INTENT
            for seen in records
        )

    def check_rest(self) -> None:
        """:raises PromiseBroken: an event was not handed on, or has started nothing, or there is no reason to wait."""
        for event_id, consumer in self._expected():
            if not self.deliveries[consumer, event_id]:
                raise PromiseBroken("an asset event arrives once", f"{event_id} is not in {consumer}")
        leader = self._stage.leader
        assert leader is not None
        propagation = leader.reconciler.propagation
        busy = [one for one in propagation.unsettled() if self.concerns(one.pipeline)]
        busy = [one for one in busy if propagation.readiness(one) is Readiness.BUSY]
        if busy:
            raise PromiseBroken("rest has reasons", f"at rest, and yet busy: {', '.join(map(str, busy))}")
        for waiter, entry in self._waiters.items():
            asset = asset_of(entry["upstream"]["environment"], entry["upstream"]["asset"])
            for where, emitted in self._emitted.items():
                if where.pipeline == asset and propagation.readiness(where) is Readiness.SETTLED:
                    self._check_waiter(Target(waiter, where.partition), emitted)

    def _expected(self) -> Iterator[tuple[str, str]]:
        """The events with those that are to have them, where each is handed on."""
        for event_id, (source, _, _) in self._told.items():
            for bridge in self.bridges:
                is_there = self._stage.store.get(f"{self._stage.keys.every('asset', source)}{event_id}") is not None
                if bridge["from"] == source and bridge.get("rerun") != "once" and is_there:
                    yield from ((event_id, consumer) for consumer in bridge["to"])

    def _check_waiter(self, waiter: Target, emitted: Emitted) -> None:
        newest, since = max(emitted.first.items(), key=lambda one: one[1])
        producer = newest[0]
        written = self._stage.history.states.get(producer)
        if producer in self._stage.history.excused or written is None or written.completion[:2] != newest[1:]:
            return  # nobody knows of that attempt of the run, or another one has begun since
        if self._started_at.get(waiter, -1.0) < since:
            raise PromiseBroken("nothing is lost", f"{waiter} was not started since {producer} has emitted")
