"""Waits: a sensor in a run waits for a pipeline or a task, and the leader answers (docs/architecture.md#waits).

A sensor that waits writes its wait to etcd, and sleeps until the leader has answered there. So it needs no access to
other environments.
"""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from coordinator.model import bounds
from coordinator.model.conditions import On
from coordinator.model.printable import encodable
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.stored import Unreadable, WrittenRevision, WrittenTime, as_utc, read_stored


class WaitStatus(enum.StrEnum):
    """``waiting`` the leader has not answered yet; ``passed`` it goes on; ``refused`` it never could."""

    WAITING = "waiting"
    PASSED = "passed"
    REFUSED = "refused"


class SensorRerun(enum.StrEnum):
    """What happens to a sensor that has passed when its upstream completes again: nothing, or it is cleared with
    everything below it."""

    IGNORE = "ignore"
    CLEAR = "clear"


class Completion(msgspec.Struct, frozen=True, omit_defaults=True):
    """The completion that let a wait pass.

    :ivar revision: of its key in etcd.
    :ivar queued_at: with ``attempt``, what tells the attempts of the run apart.
    """

    revision: WrittenRevision
    state: State
    run_id: str | None = None
    queued_at: WrittenTime | None = None
    attempt: int | None = None

    @classmethod
    def of(cls, state: RunState, revision: int) -> Completion:
        """The completion that a state is."""
        attempt = state.attempt
        return cls(revision, state.state, attempt.run_id, attempt.queued_at, attempt.number)

    def is_same(self, state: RunState, revision: int) -> bool:
        """Whether a present completion is this one. The same attempt and state, put again, is the same completion."""
        if self.revision == revision:
            return True
        own = self.as_run_state()
        return self.state is state.state and own.attempt.same_as(state.attempt)

    def as_run_state(self) -> RunState:
        """The state that it was of, without a time of its end."""
        return RunState(self.state, Attempt(self.run_id, as_utc(self.queued_at), self.attempt))


class Wait(msgspec.Struct, frozen=True):
    """What a sensor waits for, and the answer.

    :ivar task_instance: the id of the sensor's task instance; empty: unknown. Airflow 3 gives it a new one when the
        sensor is cleared.
    :ivar upstream: the pipeline or task, in the partition, that it waits for.
    :ivar since: when the sensor wrote it.
    :ivar passed_at: when the leader let it pass.
    :ivar reason: why it was refused.
    :ivar rerun: whether the sensor is cleared when its upstream completes again.
    :ivar below: the ids of all tasks below the sensor, which are cleared with it; ``None``: not known, so that any task
        of the run may be.
    """

    status: WaitStatus
    upstream: Target
    on: On = On.SUCCESS
    task_instance: str = ""
    try_number: int = 0
    since: datetime | None = None
    completion: Completion | None = None
    reason: str = ""
    rerun: SensorRerun = SensorRerun.IGNORE
    below: tuple[str, ...] | None = None
    passed_at: datetime | None = None

    def is_for(self, upstream: Target) -> bool:
        """Whether it has no answer yet, and waits for this."""
        return self.status is WaitStatus.WAITING and self.upstream == upstream


class _WaitDocument(msgspec.Struct, omit_defaults=True):
    """The JSON of a wait."""

    status: WaitStatus
    pipeline: str
    partition: str
    task: str = ""
    on: On = On.SUCCESS
    rerun: SensorRerun = SensorRerun.IGNORE
    below: tuple[str, ...] | None = None
    task_instance: str = ""
    try_number: int = 0
    since: WrittenTime | None = None
    completion: Completion | None = None
    passed_at: WrittenTime | None = None
    reason: str = ""


_decode = msgspec.json.Decoder(_WaitDocument).decode
_encode = msgspec.json.Encoder().encode


def dump_wait(wait: Wait) -> bytes:
    """The bytes for etcd."""
    environment, dag_id, task = wait.upstream.pipeline
    return _encode(
        _WaitDocument(
            status=wait.status,
            pipeline=f"{environment}/{dag_id}",
            task=task,
            partition=wait.upstream.partition,
            on=wait.on,
            rerun=wait.rerun,
            below=wait.below,
            task_instance=wait.task_instance,
            try_number=wait.try_number,
            since=wait.since,
            completion=wait.completion,
            passed_at=wait.passed_at,
            reason=wait.reason,
        )
    )


def read_wait(value: bytes) -> Wait | Unreadable:
    """Read the value of a ``wait/`` key. Never raises."""
    return read_stored(value, _wait_of, most=bounds.SMALL_VALUE, what="a wait")


def _wait_of(value: bytes) -> Wait:
    found = _decode(value)
    for name in (found.pipeline, found.partition, found.task, *(found.below or ())):
        if len(name) > bounds.NAME:
            raise ValueError(f"a name of more than {bounds.NAME} characters")
    if not found.partition:
        raise ValueError("partition: expected a text that is not empty")
    pipeline = PipelineRef.parse(found.pipeline)._replace(task=found.task)
    return Wait(
        status=found.status,
        upstream=Target(pipeline, found.partition),
        on=found.on,
        rerun=found.rerun,
        below=found.below,
        task_instance=found.task_instance,
        try_number=found.try_number,
        since=as_utc(found.since),
        completion=found.completion,
        reason=found.reason,
        passed_at=as_utc(found.passed_at),
    )


def is_same_wait(one: Wait, other: Wait) -> bool:
    """Whether two values are about the same attempt of a sensor that waits for the same."""
    return _identity(one) == _identity(other)


def is_later_wait(one: Wait, other: Wait) -> bool:
    """Whether a wait is of a later attempt of the same sensor than another one.

    Every attempt has a greater number. Where that is the same, or not known, the clocks of their workers decide.
    """
    if one.try_number and other.try_number and one.try_number != other.try_number:
        return one.try_number > other.try_number
    return one.since is not None and other.since is not None and one.since > other.since


def _identity(wait: Wait) -> tuple[object, ...]:
    return wait.upstream, wait.on, wait.rerun, wait.task_instance, wait.try_number


def is_cleared_by(wait: Wait, task_id: str) -> bool:
    """Whether a clear of the sensor of a wait also clears this task, which is another one of its DAG."""
    return wait.below is None or task_id in wait.below


SENSORS = ("sensor ", "sensors of ")
"""How the places begin under which a leader says, in its presence, that the tasks of sensors have not resumed."""


def unresumed_place(ref: WaitRef) -> str:
    """That place of a sensor."""
    return encodable(f"{SENSORS[0]}{ref.sensor} in run {ref.run_id}", limit=bounds.AIRFLOW_NAME)


def unresumed_place_of_more(environment: str) -> str:
    """That place of the sensors of an environment that have none of their own."""
    return encodable(f"{SENSORS[1]}{environment}", limit=bounds.AIRFLOW_NAME)


def at_the_triggerer(environment: str) -> str:
    """What a person can do about a sensor that has passed, and whose task has not resumed."""
    return f"look at the triggerer of {environment}; the task's log says which etcd it asks, and why that fails"


def passed(wait: Wait, completion: Completion, at: datetime) -> Wait:
    """The answer that lets a wait pass. :param at: now."""
    return msgspec.structs.replace(wait, status=WaitStatus.PASSED, completion=completion, passed_at=at, reason="")


def refused(wait: Wait, reason: str) -> Wait:
    """The answer to a wait that could never pass."""
    return msgspec.structs.replace(wait, status=WaitStatus.REFUSED, completion=None, passed_at=None, reason=reason)
