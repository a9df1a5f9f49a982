"""Sensors that wait inside runs, each in a run of its own. No dependency names their DAG.

Some are cleared when what they waited for completes again, and people clear some: their runs end, and a sensor that is
cleared waits again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import structs

from coordinator.model.conditions import On
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import RunState, RunStateDocument, State
from coordinator.model.waits import Completion, SensorRerun, Wait, WaitStatus, dump_wait
from coordinator.runners.port import ObservedRun
from coordinator.store.port import Put
from tests.airflow_model.runs import Change, What
from tests.simulation.checkers import MET, SENSORS
from tests.simulation.history import PERSON, PromiseBroken, RunChanged
from tests.simulation.oracle import Facts, Forecast

if TYPE_CHECKING:
    from tests.simulation.stage import Stage

DAG = SENSORS
SENSOR = "wait"
BELOW = "below"

BESIDE_A_PERSON = 60.0
"""Seconds after a person's clear within which the coordinator's own may arrive, which it had decided on before."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """:ivar passed: the completion that it took when it passed last."""

    ref: WaitRef
    wait: Wait
    passed: Completion | None = None

    @property
    def is_cleared(self) -> bool:
        return self.wait.rerun is SensorRerun.CLEAR


class Sensors:
    """:ivar waiting: those without an answer. :ivar passed: the others that are cleared when their upstream completes
    again."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.waiting: dict[WaitRef, Sensor] = {}
        self.passed: dict[WaitRef, Sensor] = {}
        self._begun: dict[WaitRef, Sensor] = {}
        self._to_begin: set[WaitRef] = set()
        self._by_person: WaitRef | None = None
        self._cleared_by_person: dict[WaitRef, float] = {}
        self._airflow = stage.airflows["default"]
        self._airflow.dag(DAG, below={SENSOR: (BELOW,), BELOW: ()})

    def begin(self, number: int) -> None:
        """Sensor ``number`` of the plan begins to wait."""
        asked, run_id = self._stage.plan.sensors[number], f"run {number}"
        self._airflow.create(DAG, run_id, partition_key=run_id)
        upstream = Target(PipelineRef.parse(asked["pipeline"])._replace(task=asked["task"]), asked["partition"])
        ref = WaitRef(Target(PipelineRef("default", DAG), run_id), run_id, SENSOR, -1)
        rerun = SensorRerun(asked.get("rerun", "ignore"))
        wait = Wait(WaitStatus.WAITING, upstream, On(asked["on"]), rerun=rerun, below=(BELOW,))
        self._wait(Sensor(ref, wait))

    def clear(self, number: int) -> None:
        """A person clears sensor ``number``, where it has begun: its run has ended, or it waits."""
        ref = next((ref for ref in self._begun if ref.run_id == f"run {number}"), None)
        if ref is None or ref in self._to_begin:
            return
        if not self._airflow.get(DAG, ref.run_id).state.is_terminal and ref not in self.waiting:
            return
        self._stage.note("sensor cleared by a person")
        self._cleared_by_person[ref] = self._stage.clock.seconds
        self._by_person = ref
        run = self._airflow.clear_tasks(DAG, ref.run_id, [SENSOR])
        self._by_person = None
        at = self._stage.clock.seconds
        self._stage.history.add(RunChanged(at, ref.run, "queued", run.observed(), PERSON, frozenset({SENSOR, BELOW})))

    def changed(self, change: Change) -> None:
        """A run of these has changed in its environment. :raises PromiseBroken: it was cleared for nothing."""
        run = change.run
        if change.what is not What.CLEARED:
            return
        (ref,) = (ref for ref in self._begun if ref.run_id == run.run_id)
        sensor = self.passed.pop(ref, None)
        if ref != self._by_person:
            self._check_clear(ref, sensor)
            self._stage.note("sensor cleared")
        if ref in self._to_begin:
            return
        self._to_begin.add(ref)
        again = sensor or self.waiting.get(ref) or self._begun[ref]
        self.waiting[ref] = again  # at once: it must be heard of again
        self._stage.clock.after(self._stage.latency("queue"), lambda: self._wait(again))

    def _check_clear(self, ref: WaitRef, sensor: Sensor | None) -> None:
        """The coordinator has cleared one. :param sensor: if it had passed."""
        if self._stage.clock.seconds - self._cleared_by_person.get(ref, -BESIDE_A_PERSON) < BESIDE_A_PERSON:
            return
        if sensor is None:
            raise PromiseBroken("no sensor is cleared for nothing", f"{ref.run_id}, which waits or has still to begin")
        written = self._stage.history.states.get(sensor.wait.upstream)
        if written is not None and sensor.passed is not None and sensor.passed.is_same(written.state, written.revision):
            raise PromiseBroken("no sensor is cleared for nothing", f"{ref.run_id} for {sensor.wait.upstream}")

    def _wait(self, sensor: Sensor) -> None:
        """Its run begins, and it writes its wait."""
        stage, ref = self._stage, sensor.ref
        self._to_begin.discard(ref)
        self._begun[ref] = sensor
        run = self._airflow.get(DAG, ref.run_id)
        if run.state is State.QUEUED:
            run = self._airflow.begin(DAG, ref.run_id)
        self._report(ref, run)
        run = self._airflow.set_task(DAG, ref.run_id, SENSOR, "deferred")
        (instance,) = run.tasks[SENSOR]
        wait = replace_wait(sensor.wait, str(instance.id), self._stage.clock.now())
        self.waiting[ref] = replace(sensor, wait=wait, passed=None)
        stage.put(Put(stage.keys.wait(ref), dump_wait(wait)))

    def answered(self, ref: WaitRef, wait: Wait | None) -> None:
        """A wait has another value. :raises PromiseBroken: that is not what becomes of one."""
        if wait is not None and wait.status is WaitStatus.WAITING:
            return
        sensor = self.waiting.pop(ref, None)
        if sensor is None:
            return
        if wait is None or ref in self._to_begin:
            self.waiting[ref] = sensor
            if ref not in self._to_begin:  # a look that is older than its wait has shown its earlier instance
                self._stage.clock.after(self._stage.latency("report"), lambda: self._write_again(sensor))
            return
        if wait.status is WaitStatus.REFUSED:
            raise PromiseBroken("no wait is forgotten", f"{ref.run_id} for {sensor.wait.upstream} ends as {wait}")
        self._airflow.set_task(DAG, ref.run_id, SENSOR, "success")
        if sensor.is_cleared:
            self.passed[ref] = replace(sensor, passed=wait.completion)
        self._stage.clock.after(self._stage.latency("run"), lambda: self._end(ref))

    def _write_again(self, sensor: Sensor) -> None:
        """As the trigger of a sensor does, whose wait was removed while it waits."""
        if self.waiting.get(sensor.ref) is sensor and sensor.ref not in self._to_begin:
            self._stage.put(Put(self._stage.keys.wait(sensor.ref), dump_wait(sensor.wait)))

    def _end(self, ref: WaitRef) -> None:
        self._report(ref, self._airflow.end(DAG, ref.run_id, State.SUCCESS))

    def _report(self, ref: WaitRef, run: ObservedRun) -> None:
        document = RunStateDocument(
            state=run.state, run_id=run.run_id, queued_at=run.queued_at, observed_at=self._stage.clock.tick()
        )
        self._stage.clock.after(self._stage.latency("report"), lambda: self._stage.deliver(ref.run, document))

    def are_waiting(self, run: Target) -> bool:
        """Whether a run goes on because its sensor waits."""
        return any(ref.run == run for ref in self.waiting)

    def check_rest(self, facts: Facts, forecast: Forecast) -> None:
        """At rest every sensor that could go on has gone on. :raises PromiseBroken: one has not."""
        for ref, sensor in (*self.waiting.items(), *self.passed.items()):
            upstream = sensor.wait.upstream
            known = facts.states.get(upstream)
            if known is None or upstream.whole in forecast.stuck or upstream.whole in self._stage.history.excused:
                continue
            if known[0][2] not in MET[str(sensor.wait.on)]:
                continue
            if sensor.passed is not None and ref.run not in facts.states:
                continue  # retention has removed its run
            if sensor.passed is None:
                raise PromiseBroken("no wait is forgotten", f"{ref.run_id} waits at rest for {upstream}, {known[0][2]}")
            written = self._stage.history.states[upstream].state
            assert isinstance(written, RunState)
            if not sensor.passed.is_same(written, known[1]):
                raise PromiseBroken("no sensor stays out of date", f"{ref.run_id} has passed on another {upstream}")


def replace_wait(wait: Wait, task_instance: str, since: datetime) -> Wait:
    """The wait of another attempt of a sensor."""
    return structs.replace(wait, task_instance=task_instance, since=since)
