"""What becomes of the tasks of runs, as their environments know it: the ground for what is said of them.

An *identity* is the run and the instances of a task: it is another one once the task was cleared. Environments keep the
ids of instances here whatever their API shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState
from coordinator.model.taskstate import TaskInstance, TaskState, task_state_of
from tests.airflow_model.runs import Run

ENDED = ("success", "failed", "skipped", "upstream_failed")


@dataclass(frozen=True, slots=True)
class TaskTruth:
    """A task in a run, as it is at one moment.

    :ivar state: success, failed or skipped of all instances together; ``None``: it has not ended.
    :ivar since: when the task was created or cleared, in monotonic seconds.
    :ivar ran_in: the ``queued_at`` of the attempt of the run in which it ended.
    """

    identity: str
    state: str | None
    since: float
    ran_in: str | None = None
    ended_at: datetime | None = None


def state_of(instances: Sequence[TaskInstance]) -> str | None:
    """What became of all instances of a task together; ``None``: one has not ended."""
    words = {str(one.state) for one in instances}
    if not words <= set(ENDED):
        return None
    if words & {"failed", "upstream_failed"}:
        return "failed"
    return "skipped" if words == {"skipped"} else "success"


def outcomes(shape: Mapping[str, object], *, fails: bool) -> dict[str, tuple[str, ...]]:
    """How the instances of each task of a run end, first task first.

    :param shape: see ``Plan.tasks``.
    :param fails: the run fails: with the task ``fails_at``, below which nothing runs; or after all of them.
    """
    names, mapped, skipped = list(shape["tasks"]), shape["mapped"], shape["skipped"]  # type: ignore[call-overload]
    fails_at = shape["fails_at"] if fails else None
    found: dict[str, tuple[str, ...]] = {}
    for number, name in enumerate(names):
        count = mapped.get(name, 1)  # type: ignore[attr-defined]
        if fails_at is not None and number >= fails_at:  # type: ignore[operator]
            word = "failed" if number == fails_at else "upstream_failed"
            before = "success" if number == fails_at else word
            found[name] = (*[before] * (count - 1), word)
        else:
            found[name] = ("skipped" if name in skipped else "success",) * count  # type: ignore[operator]
    return found


def outcome_of(shape: Mapping[str, object], task: str, *, fails: bool) -> str:
    """How a task ends: success, failed or skipped."""
    words = outcomes(shape, fails=fails)[task]
    return state_of([TaskInstance(-1, None, word, 1) for word in words]) or ""


@dataclass
class Tasks:
    """:ivar now: each task in each run, as it is now.

    :ivar by_number: which instances the number stands for by which the coordinator calls an attempt of a task.
    """

    now: dict[tuple[Target, str], TaskTruth] = field(default_factory=dict)
    by_number: dict[tuple[Target, int], str] = field(default_factory=dict)
    ended: dict[tuple[Target, str, str], TaskTruth] = field(default_factory=dict)

    def take(self, target: Target, run: Run, time: float) -> list[tuple[Target, TaskTruth]]:
        """A run as it is now. :param target: its pipeline and partition. :returns: what is another than before."""
        changed = []
        for name, instances in run.tasks.items():
            task = task_of(target, name)
            identity = f"{run.run_id} {' '.join(sorted(str(one.id) for one in instances))}"
            state, before = state_of(instances), self.now.get((task, run.run_id))
            for shown in (instances, [one._replace(id=None) for one in instances]):
                known = task_state_of(shown, run=Attempt(run.run_id, run.queued_at), observed_at=None)
                assert known.attempt.number is not None
                self.by_number[task, known.attempt.number] = identity
            if before is not None and (before.identity, before.state) == (identity, state):
                continue
            first = {str(one.id) for one in instances} & set((before.identity if before else "").split())
            since = before.since if before is not None and first else time
            ended_at = max((one.end_date for one in instances if one.end_date), default=None) if state else None
            truth = TaskTruth(identity, state, since, str(run.queued_at) if state else None, ended_at)
            self.now[task, run.run_id] = truth
            if state is not None:
                self.ended[task, identity, state] = truth
            changed.append((task, truth))
        return changed

    def identity_of(self, task: Target, state: TaskState) -> str:
        """Which instances a task state is about."""
        assert state.attempt.number is not None
        return self.by_number.get((task, state.attempt.number), "")


def task_of(target: Target, name: str) -> Target:
    return Target(PipelineRef(target.pipeline.environment, target.pipeline.dag_id, name), target.partition)


def is_same_run(task: TaskState, run: RunState) -> bool:
    """Whether a task state was seen in this attempt of its run."""
    return (task.run.run_id, task.run.queued_at) == (run.attempt.run_id, run.attempt.queued_at)
