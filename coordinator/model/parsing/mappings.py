"""Reading and writing partition mappings: a word (``"start_of_day"``, ``"-1 day"``), or an object naming a mapper."""

from __future__ import annotations

import re
from collections.abc import Mapping as Dictionary
from typing import Any

from coordinator.model import bounds
from coordinator.model.mapping import (
    ALL,
    OFFSET,
    FanOut,
    FixedKey,
    Identity,
    Latest,
    Mapping,
    MappingError,
    Offset,
    Period,
    Rollup,
    StartOf,
    Wait,
    parse_offset,
    usual_every,
)
from coordinator.model.parsing.fields import FieldReader
from coordinator.model.parsing.findings import Cursor, Findings, described, nearest
from coordinator.model.parsing.forms import EVERY, MAPPER_NAMES, MAPPERS, SHORT_MAPPERS, STARTS, WINDOWS
from coordinator.model.parsing.json_text import Members

_EXAMPLES = 'write "identity", "start_of_day", "-1 day", or {"mapper": "rollup", "window": "day"}'


class MappingReader:
    """Reads the ``partition`` of a dependency."""

    def __init__(self, findings: Findings, fields: FieldReader) -> None:
        self._findings = findings
        self._fields = fields

    def read(self, cursor: Cursor) -> Mapping | None:
        """A mapping; ``None`` when it could not be read."""
        match cursor.value:
            case str() as word:
                return self._short(cursor, word)
            case Members():
                return self._object(cursor)
            case other:
                self._findings.add(cursor, f"expected a partition mapping; found {described(other)}", _EXAMPLES)
                return None

    def _short(self, cursor: Cursor, word: str) -> Mapping | None:
        if word in SHORT_MAPPERS:
            return self._made(cursor, SHORT_MAPPERS[word], {})
        if word in MAPPER_NAMES:
            missing = [name for name in MAPPERS[MAPPER_NAMES[word]].required if name != "mapper"]
            reason = f"the mapper {word!r} needs {' and '.join(map(repr, missing))}"
            self._findings.add(cursor, reason, f'write {{"mapper": "{word}", "{missing[0]}": ...}}')
            return None
        if word[:1] in ("+", "-") or word[:1].isdigit():
            return self._offset(cursor, cursor, {})
        reason = f"expected a partition mapping; found {described(word)}{nearest(word, list(SHORT_MAPPERS))}"
        self._findings.add(cursor, reason, _EXAMPLES)
        return None

    def _object(self, cursor: Cursor) -> Mapping | None:
        given = self._fields.members(cursor, "a partition mapping")
        if "mapper" not in given:
            self._findings.add(cursor, "'mapper' is missing", f"known are {', '.join(MAPPERS)}")
            return None
        mapper = self._fields.one_of(given["mapper"], MAPPER_NAMES, shown=MAPPERS)
        if mapper is None:
            return None
        form = MAPPERS[mapper]
        self._fields.refuse_unknown(given, known=form.names, of=f"the mapper {mapper!r}")
        if not self._fields.require(cursor, given, form.required):
            return None
        return self._made(cursor, mapper, given)

    def _made(self, cursor: Cursor, mapper: str, given: Dictionary[str, Cursor]) -> Mapping | None:
        match mapper:
            case "identity":
                return Identity()
            case "latest":
                return Latest()
            case "fixed_key":
                key = self._fields.characters(given["downstream_key"], "a partition", most=bounds.PATTERN)
                place = {"downstream_key": given["downstream_key"]}  # it has no other field, whatever else is given
                return None if key is None else self._built(cursor, place, FixedKey, downstream_key=key)
            case "offset":
                return self._offset(cursor, given["by"], given)
            case "rollup" | "fan_out":
                return self._window(cursor, mapper, given)
            case _:
                return self._built(cursor, given, StartOf, period=STARTS[mapper])

    def _offset(self, cursor: Cursor, by: Cursor, given: Dictionary[str, Cursor]) -> Mapping | None:
        written = self._fields.text(by, "an offset such as '-1 day'")
        if written is None:
            return None
        try:
            count, unit = parse_offset(written)
        except ValueError as error:
            unsigned = re.fullmatch(OFFSET, f"+{written}") is not None
            remedy = f"say which way: '-{written}' is earlier, '+{written}' later" if unsigned else ""
            self._findings.add(by, f"{error}; found {described(written)}", remedy)
            return None
        return self._built(cursor, {"by": by, **given}, Offset, count=count, unit=unit)

    def _window(self, cursor: Cursor, mapper: str, given: Dictionary[str, Cursor]) -> Mapping | None:
        window = self._fields.one_of(
            given["window"], WINDOWS, shown=[str(one) for one in dict.fromkeys(WINDOWS.values())]
        )
        every: Period | None = None
        if "every" in given:
            every = self._fields.one_of(given["every"], EVERY, shown=EVERY)
        elif window is not None:
            every = usual_every(window)
        wait: Wait | None = self._wait(given["wait"]) if "wait" in given else ALL
        if window is None or every is None or wait is None:
            return None
        if mapper == "fan_out":
            return self._built(cursor, given, FanOut, window=window, every=every)
        return self._built(cursor, given, Rollup, window=window, every=every, wait=wait)

    def _wait(self, cursor: Cursor) -> Wait | None:
        if cursor.value == ALL:
            return ALL
        return self._fields.whole_number(cursor, "'all' or a whole number")

    def _built(self, cursor: Cursor, given: Dictionary[str, Cursor], make: type[Mapping], **of: Any) -> Mapping | None:
        """Make a mapping; what it refuses is a problem at the field that it names."""
        whole = True
        for name in ("timezone", "input_format", "output_format"):
            if name in given:
                expected = "a time zone" if name == "timezone" else "a format"
                value = self._fields.characters(given[name], expected, most=bounds.PATTERN)
                whole = whole and value is not None
                of[name] = value
        if not whole:
            return None
        try:
            return make(**of)
        except MappingError as error:
            self._findings.add(given.get(error.field, cursor), error.reason)
            return None


def dump_mapping(mapping: Mapping) -> Any:
    """A mapping as JSON, in its shortest form; :class:`MappingReader` reads it back equal."""
    match mapping:
        case Identity():
            return "identity"
        case Latest():
            return "latest"
        case FixedKey(downstream_key):
            return {"mapper": "fixed_key", "downstream_key": downstream_key}
    spelled: dict[str, Any] = {} if mapping.timezone == "UTC" else {"timezone": mapping.timezone}
    if mapping.input_format is not None:
        spelled["input_format"] = mapping.input_format
    if mapping.output_format is not None:
        spelled["output_format"] = mapping.output_format
    match mapping:
        case StartOf(period):
            name = f"start_of_{period}"
            return {"mapper": name, **spelled} if spelled else name
        case Offset():
            return {"mapper": "offset", "by": mapping.by, **spelled} if spelled else mapping.by
        case Rollup() | FanOut():
            made_of = {} if mapping.every is usual_every(mapping.window) else {"every": str(mapping.every)}
            wait = {"wait": mapping.wait} if isinstance(mapping, Rollup) and mapping.wait != ALL else {}
            name = "rollup" if isinstance(mapping, Rollup) else "fan_out"
            return {"mapper": name, "window": str(mapping.window), **made_of, **wait, **spelled}
