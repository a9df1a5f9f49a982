"""A trigger record in words."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.explanation.words import moment
from coordinator.model.runstate import Unreadable
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import SeenOrder, SeenRecord, readable_record


def record_in_words(seen: SeenRecord | None) -> Iterator[str]:
    """The record line by line: what was decided and done, by whom and when, and its problem."""
    if seen is None:
        yield "none: the coordinator has never started it in this partition"
    elif isinstance(seen.value, Unreadable):
        yield f"cannot be read: {seen.value.reason}"
    else:
        yield from _known(seen.value, seen.revision)


def order_in_words(seen: SeenOrder | None, record: SeenRecord | None) -> str:
    """A person's order: what was ordered, by whom, when and why, and whether it was carried out."""
    if seen is None:
        return "none"
    if isinstance(seen.value, Unreadable):
        return f"cannot be read, so it orders nothing: {seen.value.reason}"
    given = seen.value
    known = readable_record(record)
    words = f"{given.order}{f' by {given.who}' if given.who else ''}{moment('at', given.when)}"
    words += f": {given.why!r}" if given.why else ""
    return f"{words}, {'carried out' if known is not None and known.order >= seen.revision else 'not carried out yet'}"


def status_of(seen: SeenRecord | None) -> str | None:
    """The status of a record in one word; ``None`` without a record."""
    if seen is None:
        return None
    if isinstance(seen.value, TriggerRecord) and seen.value.skipped:
        return "skipped"
    return "unreadable" if isinstance(seen.value, Unreadable) else str(seen.value.status)


def _known(record: TriggerRecord, revision: int) -> Iterator[str]:
    if record.run_id is not None:
        what = f"{record.action} run {record.run_id}"
    elif record.status is Status.DONE and not record.skipped:
        what = "an asset event was handed on"
    else:
        what = f"{record.action} a run that does not exist yet"
    yield f"{record.status}: number {record.sequence}, {what}, wave {record.wave}, revision {revision}"
    if record.tasks:
        yield f"clears {', '.join(record.tasks)} and everything below, not the whole run"
    by = f" by {record.who}" if record.who else ""
    yield f"decided{moment('at', record.when)}{by}"
    if record.ordered:
        yield f"carries out a person's order, revision {record.ordered}"
    if record.retrying:
        yield f"a retry: its run had failed ({record.retried} so far since it was fired)"
    elif record.retried:
        yield f"its run was started again {record.retried} times before, because it had failed"
    if record.skipped:
        yield "this partition is given up: only a person's order starts it"
    if record.attempt is not None:
        instead = moment("instead of the one of", record.before) if record.action is Action.CLEAR else ""
        yield f"its attempt was queued{moment('at', record.attempt)}{instead}"
    if record.last_error:
        word = "note" if record.skipped else "last error"
        yield f"{word}{moment('since', record.blocked_since)}: {record.last_error}"
