"""The trigger record: what the coordinator decided and did for a pipeline in a partition
(docs/architecture.md#firing-exactly-once).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec

from coordinator.model import bounds
from coordinator.model.consumption import NOTHING, Consumption
from coordinator.model.consumption_document import (
    InputDocument,
    MoreDocument,
    Named,
    dump_more,
    dump_named,
    load,
    load_named,
)
from coordinator.model.items.rows import Rows, RowsDocument, dump_rows, load_rows
from coordinator.model.stored import Unreadable, WrittenRevision, WrittenTime, as_utc, read_stored

MOST_REQUESTS = 1_000_000_000
"""Requests for one partition. The number is part of run ids, which have at most 250 characters."""


class Status(enum.StrEnum):
    """The status of a trigger.

    ``intent``     decided and written down; the request may or may not have been sent
    ``sent``       the environment has accepted it; the run has not ended yet
    ``done``       the run has ended
    ``blocked``    the environment refuses it; it is tried again slowly
    ``withdrawn``  the request is known not to have happened, and the decision changed
    """

    INTENT = "intent"
    SENT = "sent"
    DONE = "done"
    BLOCKED = "blocked"
    WITHDRAWN = "withdrawn"


class Action(enum.StrEnum):
    """How a run is started. A clear is of the whole run, or of some of its tasks and everything below them."""

    CREATE = "create"
    CLEAR = "clear"


class TriggerRecord(msgspec.Struct, frozen=True, gc=False):
    """The record of a pipeline in a partition.

    :ivar sequence: counts the requests made for this partition; part of the run_id of created runs.
    :ivar token: unique per intent; it is in the conf of a created run, to recognise the run as ours.
    :ivar before: queued_at of the run to clear, as read from the environment.
    :ivar attempt: queued_at of the run that our request made.
    :ivar inputs: the completions that the newest intent uses.
    :ivar consumed: the completions that runs have used; it changes only when a request is known to have succeeded.
    :ivar wave: etcd revision of the completion at the top (docs/architecture.md#words).
    :ivar order: etcd revision of the newest person's order that has been carried out; 0: none.
    :ivar ordered: etcd revision of the order that the newest intent carries out.
    :ivar blocked_since: when the environment first refused the request that it still refuses.
    :ivar tasks: what the newest request clears, with everything below: the ids of tasks; none: the whole run. The clear
        of a few tasks consumes nothing: what their sensors use, they say themselves.
    :ivar retried: how often its run was started again because it failed, since it was last fired.
    :ivar retrying: the newest request starts it again because it failed: it uses what was consumed already.
    :ivar previous_attempt: of a request that has not succeeded: ``attempt`` of the one before it.
    :ivar skipped: this partition was given up: it is not started again unless a person asks for it.
    :ivar rows: the rows over which it fans out, as they were read when it was started last.
    """

    status: Status
    sequence: int
    action: Action
    run_id: str | None
    token: str
    wave: int
    before: datetime | None = None
    attempt: datetime | None = None
    inputs: Consumption = NOTHING
    consumed: Consumption = NOTHING
    who: str = ""
    when: datetime | None = None
    last_error: str | None = None
    order: int = 0
    ordered: int = 0
    skipped: bool = False
    blocked_since: datetime | None = None
    tasks: tuple[str, ...] = ()
    retried: int = 0
    retrying: bool = False
    previous_attempt: datetime | None = None
    rows: Rows | None = None


class _RecordDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """The JSON of a record. Only the coordinator writes records, so each field has one form."""

    status: Status
    sequence: Annotated[int, msgspec.Meta(ge=0, le=MOST_REQUESTS)]
    action: Action
    token: str
    wave: WrittenRevision
    run_id: str | None = None
    before: WrittenTime | None = None
    attempt: WrittenTime | None = None
    inputs: list[InputDocument] = []
    more_inputs: MoreDocument | None = None
    consumed: list[InputDocument] = []
    more_consumed: MoreDocument | None = None
    who: str = ""
    when: WrittenTime | None = None
    last_error: str | None = None
    order: WrittenRevision = 0
    ordered: WrittenRevision = 0
    skipped: bool = False
    blocked_since: WrittenTime | None = None
    tasks: tuple[str, ...] = ()
    retried: Annotated[int, msgspec.Meta(ge=0, le=MOST_REQUESTS)] = 0
    retrying: bool = False
    previous_attempt: WrittenTime | None = None
    rows: RowsDocument | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_RecordDocument).decode


def dump_record(record: TriggerRecord) -> bytes:
    """The bytes for etcd."""
    return _encode(
        _RecordDocument(
            status=record.status,
            sequence=record.sequence,
            action=record.action,
            run_id=record.run_id,
            token=record.token,
            wave=record.wave,
            before=record.before,
            attempt=record.attempt,
            inputs=dump_named(record.inputs.named),
            more_inputs=dump_more(record.inputs.windows),
            consumed=dump_named(record.consumed.named),
            more_consumed=dump_more(record.consumed.windows),
            who=record.who,
            when=record.when,
            last_error=record.last_error,
            order=record.order,
            ordered=record.ordered,
            skipped=record.skipped,
            blocked_since=record.blocked_since,
            tasks=record.tasks,
            retried=record.retried,
            retrying=record.retrying,
            previous_attempt=record.previous_attempt,
            rows=dump_rows(record.rows) if record.rows is not None else None,
        )
    )


def read_record(value: bytes, load_one: Callable[[InputDocument], Named] = load_named) -> TriggerRecord | Unreadable:
    """Read the value of a ``trigger/`` key. Never raises.

    :param load_one: reads a completion that is kept in full; a caller with many records can share equal ones.
    """
    return read_stored(value, lambda value: _record_of(value, load_one), most=bounds.RECORD, what="a trigger record")


def _record_of(value: bytes, load_one: Callable[[InputDocument], Named]) -> TriggerRecord:
    found = _decode(value)
    inputs = load(found.inputs, found.more_inputs, load_one)
    # Both are the same for a run that has succeeded.
    is_consumed = found.consumed == found.inputs and found.more_consumed == found.more_inputs
    return TriggerRecord(
        status=found.status,
        sequence=found.sequence,
        action=found.action,
        run_id=found.run_id,
        token=found.token,
        wave=found.wave,
        before=as_utc(found.before),
        attempt=as_utc(found.attempt),
        inputs=inputs,
        consumed=inputs if is_consumed else load(found.consumed, found.more_consumed, load_one),
        who=found.who,
        when=as_utc(found.when),
        last_error=found.last_error,
        order=found.order,
        ordered=found.ordered,
        skipped=found.skipped,
        blocked_since=as_utc(found.blocked_since),
        tasks=found.tasks,
        retried=found.retried,
        retrying=found.retrying,
        previous_attempt=as_utc(found.previous_attempt),
        rows=load_rows(found.rows) if found.rows is not None else None,
    )
