"""Task states: what became of a task in a run, as its environment showed it (docs/architecture.md#tasks).

Only the leader writes them, from what a look has shown: a task's own listener runs on the worker, which may be gone the
next second. A task state is a :class:`~coordinator.model.runstate.RunState`, so that the rule treats it as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from coordinator.model import bounds
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.stored import Unreadable, WrittenTime, as_utc, read_stored

REMOVED = "removed"
"""Airflow's state of a task instance whose task the DAG does not have any more."""

_FAILED = frozenset({"failed", "upstream_failed"})
_ENDED = frozenset({"success", "skipped"}) | _FAILED
_BEGUN = frozenset({"running", "deferred", "up_for_retry", "up_for_reschedule", "restarting"})


class TaskInstance(NamedTuple):
    """One instance of a task in a run, as its environment shows it.

    :ivar map_index: -1 where the task is not mapped.
    :ivar id: Airflow 3 gives an instance a new one when it is cleared; ``None``: it has none (Airflow 2).
    :ivar state: in Airflow's words; ``None``: it has none yet.
    """

    map_index: int
    id: str | None
    state: str | None
    try_number: int
    start_date: datetime | None = None
    end_date: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it does not run any more, and is not going to unless it is cleared."""
        return self.state in _ENDED or self.state == REMOVED


class TaskState(RunState, frozen=True, gc=False):
    """The state of a task in the newest run of its pipeline in a partition.

    ``attempt`` is the task's own: the run's id, and a number that stands for all of its instances. A task that is
    cleared has another number; one that is not cleared keeps it when other tasks of its run are.

    :ivar run: the attempt of the run at the time of the look.
    :ivar run_ended: the run had ended at the look, so a task that had not ended will not end.
    :ivar by_tries: its environment gives instances no ids (Airflow 2). A clear of the task in a run that goes on is
        then seen only once the run has ended.
    :ivar ended_at: when its last instance ended, by the environment's clock. Instances that never ran have none.
    :ivar missing: the run has no such task, so that it never ends.
    :ivar refused: why its environment refused the last look, which has changed nothing else; empty: it was shown.
    """

    run: Attempt = Attempt()
    run_ended: bool = False
    by_tries: bool = False
    missing: bool = False
    refused: str = ""


def task_state_of(
    instances: Iterable[TaskInstance], *, run: Attempt, run_ended: bool = False, observed_at: datetime | None
) -> TaskState:
    """All instances of a task together: failed if one has failed, skipped if all were skipped.

    :param run: the attempt of its run.
    :param run_ended: the run was seen to have ended, before its tasks were read.
    :param observed_at: when its environment was asked.
    """
    present = [one for one in instances if one.state != REMOVED]
    if not present:
        return TaskState(
            State.QUEUED, Attempt(run.run_id, None, 0), observed_at, run=run, run_ended=run_ended, missing=True
        )
    states = [one.state for one in present]
    ended_at = None
    if all(one in _ENDED for one in states):
        ended_at = max((one.end_date for one in present if one.end_date is not None), default=None)
        if any(one in _FAILED for one in states):
            state = State.FAILED
        else:
            state = State.SKIPPED if all(one == "skipped" for one in states) else State.SUCCESS
    else:
        state = State.RUNNING if any(one in _BEGUN or one in _ENDED for one in states) else State.QUEUED
    attempt = Attempt(run.run_id, None, _number_of(present))
    by_tries = any(one.id is None for one in present)
    return TaskState(state, attempt, observed_at, run=run, run_ended=run_ended, by_tries=by_tries, ended_at=ended_at)


def _number_of(instances: Iterable[TaskInstance]) -> int:
    """A number of 48 bits, which every reader of JSON takes, for these attempts of these instances."""
    names = sorted(
        f"{one.map_index} {one.id if one.id is not None else f'{one.try_number} {one.start_date}'}" for one in instances
    )
    return int.from_bytes(blake2b("\n".join(names).encode(), digest_size=6).digest())


def is_of_run(task: TaskState, run: RunState, *, is_later: bool) -> bool:
    """Whether a task's state was seen in this attempt of its run.

    :param run: the state of the run.
    :param is_later: the task's state was written after the run's. This decides where the run's reporter sends nothing
        by which attempts can be compared.
    """
    if run.attempt.run_id != task.run.run_id:
        return False
    if run.attempt.queued_at is None or task.run.queued_at is None:
        return is_later
    return run.attempt.queued_at == task.run.queued_at


class _TaskStateDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """The JSON of a task state. Only the coordinator writes them, so each field has one form."""

    state: State
    run_id: str
    attempt: int
    run_queued_at: WrittenTime | None = None
    run_ended: bool = False
    by_tries: bool = False
    end_date: WrittenTime | None = None
    observed_at: WrittenTime | None = None
    reported_by: str | None = None
    missing: bool = False
    refused: str = ""


_decode = msgspec.json.Decoder(_TaskStateDocument).decode
_encode = msgspec.json.Encoder().encode


def dump_task_state(task: TaskState, *, reported_by: str) -> bytes:
    """The bytes for etcd."""
    assert task.run.run_id is not None
    assert task.attempt.number is not None
    return _encode(
        _TaskStateDocument(
            state=task.state,
            run_id=task.run.run_id,
            attempt=task.attempt.number,
            run_queued_at=task.run.queued_at,
            run_ended=task.run_ended,
            by_tries=task.by_tries,
            end_date=task.ended_at,
            observed_at=task.observed_at,
            reported_by=reported_by,
            missing=task.missing,
            refused=task.refused,
        )
    )


def is_same_look(one: TaskState, other: TaskState) -> bool:
    """Whether two looks have shown the same."""
    return msgspec.structs.replace(one, observed_at=None) == msgspec.structs.replace(other, observed_at=None)


def read_task_state(value: bytes) -> TaskState | Unreadable:
    """Read the value of a ``task/`` key. Never raises."""
    return read_stored(value, _task_state_of, most=bounds.RUN_STATE, what="a task state")


def _task_state_of(value: bytes) -> TaskState:
    found = _decode(value)
    return TaskState(
        found.state,
        Attempt(found.run_id, None, found.attempt),
        as_utc(found.observed_at),
        run=Attempt(found.run_id, as_utc(found.run_queued_at)),
        run_ended=found.run_ended,
        by_tries=found.by_tries,
        ended_at=as_utc(found.end_date),
        missing=found.missing,
        refused=found.refused,
    )
