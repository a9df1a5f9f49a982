"""A stage with a dependency on a task, a sensor inside a run, and an environment that is only observed; and the waves
over it.

``team_b/U`` has the tasks load -> check, and is run by people. Nothing is installed in ``team_b``. ``S`` has the tasks
before -> sensor -> below, and its sensor waits for ``team_b/U``, with ``rerun="clear"``::

    D           waits for the task load of team_b/U
    team_b/X    waits for S
    J           waits for D and team_b/X

So a clear of ``team_b/U`` starts D and team_b/X once, clears the sensor of S once, and starts J once, after both.
"""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coordinator.config.airflow import AirflowSettings
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import State
from coordinator.model.waits import SensorRerun, Wait, WaitStatus, dump_wait, read_wait
from coordinator.runners.port import ObservedRun
from coordinator.store.connection import connect
from coordinator.store.port import Put, StoreError, Transaction
from tests.airflow_model.runs import Run
from tests.faults.stage import DRILL, WATCHER, Stage
from tests.faults.witnessed_airflow import WitnessedAirflow
from tests.faults.workload import Workload
from tests.integration.controller.waiting import until
from tests.simulation.history import History, PromiseBroken
from tests.worlds.simulated_airflow import logical_date_of, partition_of

OBSERVED = "team_b"
DOCUMENT: Mapping[str, Any] = {
    "D": {"upstream": {"pipeline": "team_b/U", "task": "load"}},
    "team_b/X": "S",
    "J": ["D", "team_b/X"],
}
U, S, D, X, J = (PipelineRef.parse(name) for name in ("team_b/U", "S", "D", "team_b/X", "J"))
TAKES = (0.02, 0.3)
TURN = 0.05
"""Seconds between two looks of the triggerer."""


class TaskStage(Stage):
    """See the module. Nobody reports for :data:`OBSERVED`."""

    def __init__(self, directory: Path, **options: Any) -> None:
        observing = WATCHER.model_copy(update={"observe_every": 0.2, "observe_idle": 0.2})
        super().__init__(directory, watcher=observing, **options)
        self.history = History(checkers=[])  # the waves count for themselves: the oracle needs to know every task

    def _environment(self, url: str, airflow: WitnessedAirflow) -> AirflowSettings:
        settings = super()._environment(url, airflow)
        is_observed = airflow is self.airflows[OBSERVED]
        return settings.model_copy(update={"observe": is_observed, "plugin": not is_observed})

    def _build_reporters(self, stack: contextlib.ExitStack) -> None:
        super()._build_reporters(stack)
        self._reported[OBSERVED] = sys.maxsize

    def _report(self, environment: str, run: ObservedRun) -> None:
        if environment != OBSERVED:
            super()._report(environment, run)

    def _goes_on(self) -> str | None:
        if (reason := super()._goes_on()) is not None:
            return reason
        for environment, run in self._all_runs():
            target = Target(PipelineRef(environment, run.dag_id), partition_of(run))
            if not self.knows(target, run):
                return f"etcd does not know {run.state} of {target}"
        return None


class Triggerer(threading.Thread):
    """Runs S: as the scheduler, the workers and the triggerer of its Airflow do, which outlive every fault."""

    def __init__(self, stage: TaskStage) -> None:
        super().__init__(name="triggerer", daemon=True)
        self._airflow = stage.airflows[S.environment]
        self._keys = stage.keys
        self._store = connect(stage._etcd_settings(DRILL, stage.cluster.endpoints))
        self._stop_asked = threading.Event()

    def close(self) -> None:
        self._stop_asked.set()
        self.join(10)
        self._store.close()

    def run(self) -> None:
        while not self._stop_asked.wait(TURN):
            with self._airflow.changed:
                going = [run for run in self._airflow.model.unfinished() if run.dag_id == S.dag_id]
            for run in going:
                with contextlib.suppress(StoreError):  # etcd is struck: it is tried again
                    self._go_on(run)

    def _go_on(self, run: Run) -> None:
        (before,), (sensor,) = run.tasks["before"], run.tasks["sensor"]
        if run.state is State.QUEUED:
            self._airflow.start(run.dag_id, run.run_id)
        elif before.state is None:
            self._set(run, "before", "success")
        elif sensor.state is None:
            self._set(run, "sensor", "deferred")
        elif sensor.state == "deferred" and self._has_passed(run, str(sensor.id)):
            self._set(run, "sensor", "success")
        elif sensor.state == "success":
            self._airflow.finish(run.dag_id, run.run_id)

    def _set(self, run: Run, task: str, state: str) -> None:
        with self._airflow.changed:
            present = self._airflow.model.get(run.dag_id, run.run_id)
            if present.tasks[task] == run.tasks[task]:  # otherwise somebody has cleared it
                self._airflow.model.set_task(run.dag_id, run.run_id, task, state)

    def _has_passed(self, run: Run, instance: str) -> bool:
        """Whether the wait has its answer. It is written where it is not there, or is one of an earlier attempt."""
        partition = partition_of(run.observed())
        upstream = Target(U, partition)
        key = self._keys.wait(WaitRef(Target(S, partition), run.run_id, "sensor", -1))
        found = self._store.get(key)
        present = read_wait(found.value) if found is not None else None
        if isinstance(present, Wait) and present.task_instance == instance:
            assert present.status is not WaitStatus.REFUSED, present.reason
            return present.status is WaitStatus.PASSED
        wait = Wait(
            WaitStatus.WAITING,
            upstream,
            task_instance=instance,
            since=datetime.now(UTC),
            rerun=SensorRerun.CLEAR,
            below=("below",),
        )
        self._store.commit(Transaction((), (Put(key, dump_wait(wait)),)))
        return False


class TaskWorkload(Workload):
    """Waves over :data:`DOCUMENT`: in the first, people run U and S; in the others, they clear U.

    Of what strikes may do with a workload, it has waves, their end, and their count.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        assert isinstance(stage, TaskStage)
        self._stage: TaskStage = stage
        self.dice = random.Random(seed)
        self.starts = self.waves = 0
        self._upstreams, self._scheduled = stage.airflows[U.environment], stage.airflows[S.environment]
        self._upstreams.model.dag(U.dag_id, below={"load": ("check",), "check": ()})
        self._scheduled.model.dag(S.dag_id, below={"before": ("sensor",), "sensor": ("below",), "below": ()})
        for pipeline in (D, X, J):
            stage.airflows[pipeline.environment].dag(pipeline.dag_id, auto=self.dice.uniform(*TAKES))
        self._days = 0
        self.take_fresh_partitions()
        stage.publish(DOCUMENT)
        triggerer = Triggerer(stage)
        stage.closes(triggerer.close)
        triggerer.start()
        stage.await_rest()
        self.begin_anew()

    def take_fresh_partitions(self) -> None:
        self._days += 1
        self._partition = f"2026-01-{self._days:02}T00:00:00Z"
        self._run_id = f"scheduled__{self._partition}"
        self._fresh = True

    def begin_wave(self, *, everything: bool = False, without: Target | None = None) -> None:
        del everything, without
        self._is_first, self._fresh = self._fresh, False
        if self._is_first:
            date = logical_date_of(self._partition)
            for airflow, dag_id in ((self._upstreams, U.dag_id), (self._scheduled, S.dag_id)):
                airflow.trigger_by_hand(dag_id, self._run_id, logical_date=date)
        else:
            self._upstreams.clear_by_hand(U.dag_id, self._run_id)
        self._upstreams.start(U.dag_id, self._run_id)
        run = self._upstream_run()
        until(lambda: self._stage.knows(Target(U, self._partition), run.observed()), "etcd knows that U runs")
        self.waves += 1

    def end_sources(self) -> None:
        with self._upstreams.changed:
            self._upstreams.model.set_task(U.dag_id, self._run_id, "load", "success")
        if self.dice.random() < 0.5:  # or its end comes together with that of its task
            threading.Event().wait(self.dice.uniform(0.0, 1.0))
        self._upstreams.finish(U.dag_id, self._run_id)

    def sources_are_known_to_have_ended(self) -> bool:
        return self._stage.knows(Target(U, self._partition), self._upstream_run().observed())

    def count(self) -> None:
        self._stage.await_rest()
        made = self._stage.history.requests
        counted = {target.pipeline: count for target, count in (made - self.requests_before).items()}
        expected = {D: 1, X: 1, J: 1, **({} if self._is_first else {S: 1})}
        if counted != expected:
            told = [{str(pipeline): count for pipeline, count in one.items()} for one in (expected, counted)]
            raise PromiseBroken("each runs once per wave", f"expected {told[0]}, and there were {told[1]}")
        self._in_order()
        self.starts += sum(counted.values())
        self.begin_anew()

    def begin_anew(self) -> None:
        self.requests_before = Counter(self._stage.history.requests)

    def _in_order(self) -> None:
        """Each newest run began after the newest one of what it waits for had ended."""
        load = self._upstream_run().tasks["load"][0].end_date
        ended = {S: self._end_of(S), D: self._end_of(D), X: self._end_of(X)}
        for pipeline, after in ((D, load), (X, ended[S]), (J, ended[D]), (J, ended[X])):
            asked_at = self._newest(Target(pipeline, self._partition)).queued_at
            if after is None or asked_at is None or asked_at < after:
                raise PromiseBroken("nothing is early", f"{pipeline} was asked for at {asked_at}, before {after}")

    def _end_of(self, pipeline: PipelineRef) -> datetime | None:
        return self._newest(Target(pipeline, self._partition)).end_date

    def _upstream_run(self) -> Run:
        with self._upstreams.changed:
            return self._upstreams.model.get(U.dag_id, self._run_id)
