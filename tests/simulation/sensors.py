"""Sensors that wait inside runs, each in a run of its own, whose DAG waits for nothing and is waited for by nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coordinator.model.conditions import On
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.waits import Answer, Wait, dump_wait
from coordinator.store.port import Put
from tests.simulation.checkers import MET
from tests.simulation.history import PromiseBroken
from tests.simulation.oracle import Facts, Forecast

if TYPE_CHECKING:
    from tests.simulation.stage import Stage

DAG = "sensors"
SENSOR = "wait"


@dataclass(frozen=True, slots=True)
class Sensor:
    ref: WaitRef
    wait: Wait


class Sensors:
    """Those that have begun to wait. :ivar waiting: those without an answer."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.waiting: dict[WaitRef, Sensor] = {}
        stage.airflows["default"].dag(DAG, below={SENSOR: ()})

    def begin(self, number: int) -> None:
        """Sensor ``number`` of the plan begins to wait."""
        stage, asked = self._stage, self._stage.plan.sensors[number]
        airflow, run_id = stage.airflows["default"], f"run {number}"
        airflow.create(DAG, run_id, partition_key=run_id)
        airflow.begin(DAG, run_id)
        run = airflow.set_task(DAG, run_id, SENSOR, "deferred")
        upstream = Target(PipelineRef.parse(asked["pipeline"])._replace(task=asked["task"]), asked["partition"])
        ref = WaitRef(Target(PipelineRef("default", DAG), run_id), run_id, SENSOR, -1)
        (instance,) = run.tasks[SENSOR]
        wait = Wait(Answer.WAITING, upstream, On(asked["on"]), str(instance.id), since=stage.clock.now())
        self.waiting[ref] = Sensor(ref, wait)
        stage.put(Put(stage.keys.wait(ref), dump_wait(wait)))

    def answered(self, ref: WaitRef, wait: Wait | None) -> None:
        """A wait has another value. :raises PromiseBroken: that is not what becomes of one."""
        if wait is not None and wait.status is Answer.WAITING:
            return
        sensor = self.waiting.pop(ref, None)
        if sensor is None:
            return
        if wait is None or wait.status is Answer.REFUSED:
            raise PromiseBroken("no wait is forgotten", f"{ref.run_id} for {sensor.wait.upstream} ends as {wait}")
        self._stage.airflows["default"].set_task(DAG, ref.run_id, SENSOR, "success")

    def check_rest(self, facts: Facts, forecast: Forecast) -> None:
        """At rest every sensor that could go on has gone on. :raises PromiseBroken: one has not."""
        for ref, sensor in self.waiting.items():
            upstream = sensor.wait.upstream
            known = facts.states.get(upstream)
            if known is None or upstream.whole in forecast.stuck or upstream.whole in self._stage.history.excused:
                continue
            if known[0][2] in MET[str(sensor.wait.on)]:
                raise PromiseBroken("no wait is forgotten", f"{ref.run_id} waits at rest for {upstream}, {known[0][2]}")
