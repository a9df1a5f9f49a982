"""Reading and writing deadlines: ``"06:00"``, ``"2 hours"``, or an object that says more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from typing import Any

from coordinator.model.deadline import MOST_DAYS, AfterFirstInput, Deadline, TimeOfDay
from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings
from coordinator.model.documents.forms import DEADLINES, TIME_OF_DAY
from coordinator.model.documents.json_text import Members
from coordinator.model.durations import format_duration

_EXAMPLES = (
    'write "06:00", {"at": "06:00", "days": 1, "timezone": "Europe/Berlin"}, or "2 hours" (after the first input)'
)


class DeadlineReader:
    """Reads the ``deadline`` of an entry."""

    def __init__(self, findings: Findings, fields: FieldReader) -> None:
        self._findings = findings
        self._fields = fields

    def read(self, cursor: Cursor) -> Deadline | None:
        """A deadline; ``None`` when it could not be read."""
        match cursor.value:
            case str() as word:
                return self._at(cursor, {}) if ":" in word else self._after(cursor)
            case Members():
                return self._object(cursor)
            case _:
                self._findings.expected(cursor, "a deadline", remedy=_EXAMPLES)
                return None

    def _object(self, cursor: Cursor) -> Deadline | None:
        given = self._fields.members(cursor, "a deadline")
        forms = [form for form in DEADLINES if form in given]
        if len(forms) != 1:
            expected = f"expected either {' or '.join(map(repr, DEADLINES))}"
            self._findings.add(cursor, f"{expected}; found {'both' if forms else 'neither'}", _EXAMPLES)
            return None
        self._fields.refuse_unknown(given, known=DEADLINES[forms[0]].names, of="this deadline")
        return self._at(given["at"], given) if "at" in given else self._after(given["after"])

    def _at(self, cursor: Cursor, given: Mapping[str, Cursor]) -> TimeOfDay | None:
        expected = "a time of day such as '06:00'"
        written = self._fields.text(cursor, expected)
        at: time | None = None
        if written is not None and re.fullmatch(TIME_OF_DAY, written):
            at = time.fromisoformat(written)
        elif written is not None:
            self._findings.expected(cursor, expected)
        days = self._fields.whole_number(given["days"], least=0, most=MOST_DAYS) if "days" in given else 0
        place = self._fields.place(given["timezone"]) if "timezone" in given else "UTC"
        return None if at is None or days is None or place is None else TimeOfDay(at, days, place)

    def _after(self, cursor: Cursor) -> AfterFirstInput | None:
        duration = self._fields.duration(cursor)
        return None if duration is None else AfterFirstInput(duration)


def dump_deadline(deadline: Deadline) -> Any:
    """A deadline as JSON, in its shortest form; :class:`DeadlineReader` reads it back equal."""
    if isinstance(deadline, AfterFirstInput):
        return format_duration(deadline.duration)
    at = deadline.at.isoformat("seconds" if deadline.at.second else "minutes")
    fields: dict[str, Any] = {"at": at}
    if deadline.days:
        fields["days"] = deadline.days
    if deadline.timezone != "UTC":
        fields["timezone"] = deadline.timezone
    return at if len(fields) == 1 else fields
