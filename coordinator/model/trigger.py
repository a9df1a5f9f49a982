"""The trigger record: what the coordinator decided and did for a pipeline in a partition (design section 5)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from coordinator.model import bounds
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, Instant, Revision, State, Unreadable, too_large

MOST_REQUESTS = 1_000_000_000
"""For one partition. The number is part of run ids, which have 250 characters in all."""


class Status(enum.StrEnum):
    """Where a trigger stands.

    ``intent``     decided and written down; the request may or may not have been sent
    ``sent``       the environment has it; the run has not ended yet
    ``done``       the run has ended
    ``blocked``    the environment refuses it; tried again slowly
    ``withdrawn``  the request is known not to have happened, and the decision changed
    """

    INTENT = "intent"
    SENT = "sent"
    DONE = "done"
    BLOCKED = "blocked"
    WITHDRAWN = "withdrawn"


class Action(enum.StrEnum):
    """How a run is started."""

    CREATE = "create"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Consumed:
    """A completion that a trigger stands on."""

    revision: int
    attempt: Attempt
    state: State


Inputs = Mapping[Target, Consumed]


@dataclass(frozen=True, slots=True)
class TriggerRecord:
    """The record of a pipeline in a partition.

    :ivar sequence: counts the requests made for this partition; part of the run_id of created runs.
    :ivar token: unique per intent; in the conf of a created run, so that it can be told to be ours.
    :ivar before: queued_at of the run that is to be cleared, as read from the environment.
    :ivar attempt: queued_at of the run that our request made.
    :ivar inputs: the completions that the newest intent uses.
    :ivar consumed: the completions that a known effect stands on; moves only when the effect is known.
    :ivar wave: etcd revision of the completion at the top (design section 2, *wave*).
    :ivar order: etcd revision of the newest person's order that has been carried out; 0: none.
    :ivar ordered: that of the order that the newest intent carries out.
    :ivar blocked_since: when the environment first refused what it refuses still.
    :ivar skipped: this partition was given up: it is not started again unless a person asks for it.
    """

    status: Status
    sequence: int
    action: Action
    run_id: str | None
    token: str
    wave: int
    before: datetime | None = None
    attempt: datetime | None = None
    inputs: Inputs = field(default_factory=dict)
    consumed: Inputs = field(default_factory=dict)
    who: str = ""
    when: datetime | None = None
    last_error: str | None = None
    order: int = 0
    ordered: int = 0
    skipped: bool = False
    blocked_since: datetime | None = None


class _InputDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    pipeline: str
    partition: str
    revision: Revision
    state: State
    run_id: str | None = None
    queued_at: Instant | None = None
    attempt: int | None = None


class _RecordDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Status
    sequence: Annotated[int, Field(ge=0, le=MOST_REQUESTS)]
    action: Action
    run_id: str | None = None
    token: str
    wave: Revision
    before: Instant | None = None
    attempt: Instant | None = None
    # Of a list in which everything is wrong, pydantic would else keep each mistake: a hundred times the value's size.
    inputs: Annotated[list[_InputDocument], FailFast(), Field(default_factory=list)]
    consumed: Annotated[list[_InputDocument], FailFast(), Field(default_factory=list)]
    who: str = ""
    when: Instant | None = None
    last_error: str | None = None
    order: Revision | None = None
    ordered: Revision | None = None
    skipped: bool | None = None
    blocked_since: Instant | None = None


def _dump_inputs(inputs: Inputs) -> list[_InputDocument]:
    return [
        _InputDocument(
            pipeline=f"{target.pipeline.environment}/{target.pipeline.dag_id}",
            partition=target.partition,
            revision=consumed.revision,
            state=consumed.state,
            run_id=consumed.attempt.run_id,
            queued_at=consumed.attempt.queued_at,
            attempt=consumed.attempt.number,
        )
        for target, consumed in inputs.items()
    ]


def _load_inputs(documents: list[_InputDocument]) -> dict[Target, Consumed]:
    return {
        Target(PipelineRef.parse(entry.pipeline), entry.partition): Consumed(
            entry.revision, Attempt(entry.run_id, entry.queued_at, entry.attempt), entry.state
        )
        for entry in documents
    }


def dump_record(record: TriggerRecord) -> bytes:
    """The bytes for etcd."""
    return (
        _RecordDocument(
            status=record.status,
            sequence=record.sequence,
            action=record.action,
            run_id=record.run_id,
            token=record.token,
            wave=record.wave,
            before=record.before,
            attempt=record.attempt,
            inputs=_dump_inputs(record.inputs),
            consumed=_dump_inputs(record.consumed),
            who=record.who,
            when=record.when,
            last_error=record.last_error,
            order=record.order or None,
            ordered=record.ordered or None,
            skipped=record.skipped or None,
            blocked_since=record.blocked_since,
        )
        .model_dump_json(exclude_none=True)
        .encode()
    )


def read_record(value: bytes) -> TriggerRecord | Unreadable:
    """Read what stands under a ``trigger/`` key. Never raises."""
    if len(value) > bounds.RECORD:
        return too_large(value, bounds.RECORD, "a trigger record")
    try:
        document = _RecordDocument.model_validate_json(value)
        return TriggerRecord(
            status=document.status,
            sequence=document.sequence,
            action=document.action,
            run_id=document.run_id,
            token=document.token,
            wave=document.wave,
            before=document.before,
            attempt=document.attempt,
            inputs=_load_inputs(document.inputs),
            consumed=_load_inputs(document.consumed),
            who=document.who,
            when=document.when,
            last_error=document.last_error,
            order=document.order or 0,
            ordered=document.ordered or 0,
            skipped=bool(document.skipped),
            blocked_since=document.blocked_since,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Unreadable(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}")
    except (ValueError, OverflowError, RecursionError) as error:
        return Unreadable(f"{type(error).__name__}: {error}")
