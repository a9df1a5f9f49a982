"""Waits: a sensor in a run waits for a pipeline or a task, and the leader answers (docs/architecture.md#waits).

A sensor that waits writes its wait to etcd, and sleeps until the leader has answered there. So it needs no access to
other environments. Sensors import this module: it imports little.
"""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from coordinator.model import bounds
from coordinator.model.conditions import On
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.stored import Unreadable, WrittenRevision, WrittenTime, as_utc, read_stored


class Answer(enum.StrEnum):
    """``waiting`` the leader has not answered yet; ``passed`` it goes on; ``refused`` it never could."""

    WAITING = "waiting"
    PASSED = "passed"
    REFUSED = "refused"


class Completion(msgspec.Struct, frozen=True, omit_defaults=True):
    """The completion that let a wait pass. :ivar revision: of its key in etcd."""

    revision: WrittenRevision
    state: State
    run_id: str | None = None


class Wait(msgspec.Struct, frozen=True):
    """What a sensor waits for, and the answer.

    :ivar task_instance: the id of the sensor's task instance; empty: unknown. Airflow 3 gives it a new one when the
        sensor is cleared.
    :ivar upstream: the pipeline or task, in the partition, that it waits for.
    :ivar since: when the sensor wrote it.
    :ivar reason: why it was refused.
    """

    status: Answer
    upstream: Target
    on: On = On.SUCCESS
    task_instance: str = ""
    try_number: int = 0
    since: datetime | None = None
    completion: Completion | None = None
    reason: str = ""


class _WaitDocument(msgspec.Struct, omit_defaults=True):
    """The JSON of a wait."""

    status: Answer
    pipeline: str
    partition: str
    task: str = ""
    on: On = On.SUCCESS
    task_instance: str = ""
    try_number: int = 0
    since: WrittenTime | None = None
    completion: Completion | None = None
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
            task_instance=wait.task_instance,
            try_number=wait.try_number,
            since=wait.since,
            completion=wait.completion,
            reason=wait.reason,
        )
    )


def read_wait(value: bytes) -> Wait | Unreadable:
    """Read the value of a ``wait/`` key. Never raises."""
    return read_stored(value, _wait_of, most=bounds.SMALL_VALUE, what="a wait")


def _wait_of(value: bytes) -> Wait:
    found = _decode(value)
    for name in (found.pipeline, found.partition, found.task):
        if len(name) > bounds.NAME:
            raise ValueError(f"a name of more than {bounds.NAME} characters")
    if not found.partition:
        raise ValueError("partition: expected a text that is not empty")
    pipeline = PipelineRef.parse(found.pipeline)._replace(task=found.task)
    return Wait(
        status=found.status,
        upstream=Target(pipeline, found.partition),
        on=found.on,
        task_instance=found.task_instance,
        try_number=found.try_number,
        since=as_utc(found.since),
        completion=found.completion,
        reason=found.reason,
    )


def is_same_wait(one: Wait, other: Wait) -> bool:
    """Whether two values are about the same attempt of a sensor that waits for the same."""
    return (one.upstream, one.on, one.task_instance, one.try_number) == (
        other.upstream,
        other.on,
        other.task_instance,
        other.try_number,
    )


def passed(wait: Wait, completion: Completion) -> Wait:
    """The answer that lets a wait pass."""
    return msgspec.structs.replace(wait, status=Answer.PASSED, completion=completion, reason="")


def refused(wait: Wait, reason: str) -> Wait:
    """The answer to a wait that could never pass."""
    return msgspec.structs.replace(wait, status=Answer.REFUSED, completion=None, reason=reason)
