"""What people and schedulers do: each act is a step of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.commands.acts import Signature
from coordinator.commands.mark import mark
from coordinator.model.order import Order
from coordinator.model.partitions.instants import parse_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.runners.port import ObservedRun
from coordinator.store.port import Delete
from tests.simulation.history import PERSON, RunChanged
from tests.simulation.plan import Step
from tests.simulation.tasks import state_of

if TYPE_CHECKING:
    from tests.simulation.stage import Stage


class People:
    """The methods are named like ``Step.do``. What cannot be done just now is not done."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._manual = 0
        self._taken_out: dict[str, dict[str, Any]] = {}

    def trigger(self, step: Step) -> None:
        """A run is made: the partition's scheduled one, or one beside it; it waits ``value`` seconds in the queue."""
        target = _target(step)
        airflow, dag_id = self._stage.airflows[target.pipeline.environment], target.pipeline.dag_id
        date = parse_instant(target.partition)
        scheduled = f"scheduled__{target.partition}"
        taken = (dag_id, scheduled) in airflow.runs or any(
            run.dag_id == dag_id and run.logical_date == date for run in airflow.runs.values() if date is not None
        )
        self._delay(step)
        # Two runs in one partition cannot share a logical date in Airflow: the partition is the key then.
        key = target.partition if taken or date is None else None
        if taken:
            self._manual += 1
            scheduled = f"manual__{self._manual}"
        self._queued(target, airflow.create(dag_id, scheduled, logical_date=None if taken else date, partition_key=key))

    def clear(self, step: Step) -> None:
        """The newest run is cleared; it waits ``value`` seconds in the queue, silently."""
        target = _target(step)
        if (run := self._newest(target)) is not None:
            self._delay(step)
            airflow = self._stage.airflows[target.pipeline.environment]
            self._queued(target, airflow.clear(run.dag_id, run.run_id))

    def clear_tasks(self, step: Step) -> None:
        """The task ``value`` of the newest run is cleared, with what is below it: or from the first that failed, if
        that is above it, for without it the run could not succeed."""
        target = _target(step)
        shape, run = self._stage.plan.tasks.get(step.on), self._newest(target)
        if shape is None or run is None:
            return
        airflow, names = self._stage.airflows[target.pipeline.environment], list(shape["tasks"])
        present = airflow.get(run.dag_id, run.run_id)
        first = next(
            (name for name in names if name == step.value or state_of(present.tasks[name]) in (None, "failed")), None
        )
        if first is None or any(one.state == "running" for of in present.tasks.values() for one in of):
            return
        cleared = frozenset(names[names.index(first) :])
        again = airflow.clear_tasks(run.dag_id, run.run_id, [first])
        self._changed(target, "queued", again, tasks=cleared)

    def set_state(self, step: Step) -> None:
        """The newest run, which has ended, is set to ``value``: success or failed.

        Not while a watcher whose clock was ahead says that it has seen the end later: of two ends of an attempt the
        later one counts, by the clocks of those who saw them (docs/guarantees.md).
        """
        target = _target(step)
        run, written = self._newest(target), self._stage.history.states.get(target)
        seen_at = written.state.observed_at if written is not None else None
        if seen_at is not None and seen_at > self._stage.clock.now():
            return
        if run is not None and run.state.is_terminal:
            self._stage.airflows[target.pipeline.environment].set_state(run.dag_id, run.run_id, State(step.value))

    def mark(self, step: Step) -> None:
        """A person says how the newest attempt ended, which has ended or was deleted: ``value``, success or failed."""
        target, stage = _target(step), self._stage
        run, written = self._newest(target), stage.history.states.get(target)
        if written is None or not written.state.state.is_terminal:
            return
        if run is None or (run.state.is_terminal and written.state.attempt.queued_at == run.queued_at):
            signature = Signature(PERSON, stage.clock.now())
            mark(stage.store, stage.keys, target, State(step.value), signature, looked_at=written.revision)

    def wait(self, step: Step) -> None:
        """Sensor ``value`` of the plan begins to wait."""
        self._stage.sensors.begin(int(step.value))

    def clear_sensor(self, step: Step) -> None:
        """Sensor ``value`` is cleared, with what is below it, if it has begun and its run has ended, or it waits."""
        self._stage.sensors.clear(int(step.value))

    def delete_run(self, step: Step) -> None:
        target = _target(step)
        if (run := self._newest(target)) is not None:
            self._stage.airflows[target.pipeline.environment].delete(run.dag_id, run.run_id)
            self._changed(target, "deleted", run)

    def delete_state(self, step: Step) -> None:
        self._stage.put(Delete(self._stage.keys.state(_target(step))))

    def delete_record(self, step: Step) -> None:
        self._stage.put(Delete(self._stage.keys.trigger(_target(step))))

    def hold(self, step: Step) -> None:
        self._stage.hold(PipelineRef.parse(step.on), True)

    def release(self, step: Step) -> None:
        self._stage.hold(PipelineRef.parse(step.on), False)

    def order(self, step: Step) -> None:
        """``value``: rerun, or release this once."""
        self._stage.order(_target(step), Order(step.value))

    def depend(self, step: Step) -> None:
        """From now on a pipeline waits for ``value``."""
        if step.on in self._stage.document:
            self._stage.document[step.on] = {**self._stage.document[step.on], "upstream": step.value}
            self._stage.publish()

    def policy(self, step: Step) -> None:
        """From now on a pipeline's rerun policy is ``value``."""
        if step.on in self._stage.document:
            self._stage.document[step.on] = {**self._stage.document[step.on], "rerun": step.value}
            self._stage.publish()

    def take_out(self, step: Step) -> None:
        """From now on a pipeline waits for nothing, until it is put back."""
        if step.on in self._stage.document and len(self._stage.document) > 1:
            self._taken_out[step.on] = self._stage.document.pop(step.on)
            self._stage.publish()

    def put_back(self, step: Step) -> None:
        """``on`` a pipeline, or whatever was taken out: it waits for the same as before."""
        for name in [step.on] if step.on else list(self._taken_out):
            if (entry := self._taken_out.pop(name, None)) is not None:
                self._stage.document[name] = entry
        self._stage.publish()

    def move(self, step: Step) -> None:
        """The entries of the environment ``on`` move from the central document to one of its own."""
        if step.on not in self._stage.owners:
            self._stage.owners.append(step.on)
            self._stage.publish()

    def republish(self, step: Step) -> None:
        del step
        self._stage.publish()

    def _newest(self, target: Target) -> ObservedRun | None:
        return next(iter(self._stage.runs_of(target)), None)

    def _delay(self, step: Step) -> None:
        self._stage.queue_delay = None if step.value is None else float(step.value)

    def _queued(self, target: Target, run: ObservedRun) -> None:
        self._changed(target, "queued", run)

    def _changed(self, target: Target, what: str, run: ObservedRun, *, tasks: frozenset[str] | None = None) -> None:
        self._stage.changed_at = self._stage.clock.seconds
        self._stage.history.add(RunChanged(self._stage.clock.seconds, target, what, run, PERSON, tasks))


def _target(step: Step) -> Target:
    return Target(PipelineRef.parse(step.on), step.partition)
