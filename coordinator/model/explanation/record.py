"""A trigger record in words."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.model.explanation.words import moment
from coordinator.model.runstate import Unreadable
from coordinator.model.trigger import Action, TriggerRecord
from coordinator.model.view import SeenRecord


def record_in_words(seen: SeenRecord | None) -> Iterator[str]:
    """The record line by line: what was decided and done, by whom and when, and what is wrong with it."""
    if seen is None:
        yield "none: the coordinator has never started it in this partition"
    elif isinstance(seen.value, Unreadable):
        yield f"cannot be read: {seen.value.reason}"
    else:
        yield from _known(seen.value, seen.revision)


def status_of(seen: SeenRecord | None) -> str | None:
    """The record in a word; ``None`` without one."""
    if seen is None:
        return None
    return "unreadable" if isinstance(seen.value, Unreadable) else str(seen.value.status)


def _known(record: TriggerRecord, revision: int) -> Iterator[str]:
    run = f"run {record.run_id}" if record.run_id is not None else "a run that does not exist yet"
    yield (f"{record.status}: number {record.sequence}, {record.action} {run}, wave {record.wave}, revision {revision}")
    by = f" by {record.who}" if record.who else ""
    yield f"decided{moment('at', record.when)}{by}"
    if record.attempt is not None:
        instead = moment("instead of the one of", record.before) if record.action is Action.CLEAR else ""
        yield f"its attempt was queued{moment('at', record.attempt)}{instead}"
    if record.last_error:
        yield f"last error: {record.last_error}"
