"""Reading and writing partition mappings: a word (``"start_of_day"``, ``"-1 day"``), or an object naming a mapper."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping as Dictionary
from typing import Any

from coordinator.model import bounds
from coordinator.model.documents.fields import FieldReader
from coordinator.model.documents.findings import Cursor, Findings, described, nearest
from coordinator.model.documents.forms import EVERY, MAPPER_NAMES, MAPPERS, SHORT_MAPPERS, STARTS, WINDOWS
from coordinator.model.documents.json_text import Members
from coordinator.model.partitions import (
    ALL,
    DELIMITER,
    OFFSET,
    AllowedKey,
    Assets,
    Chain,
    FanOut,
    FixedKey,
    Identity,
    Latest,
    Mapping,
    MappingError,
    Offset,
    Product,
    Rollup,
    SameInstant,
    Segments,
    StartOf,
    Unit,
    Wait,
    parse_offset,
    spelling,
    usual_every,
)

_OPTIONAL = ("every", "wait", "timezone", "input_format", "output_format")
_SPELLS_EVERY: Dictionary[object, str] = {Rollup: "input_format", FanOut: "output_format"}
"""The format that is evaluated by what a window is made of."""

_NAMED: Dictionary[str, Callable[..., Mapping]] = {
    "fixed_key": FixedKey,
    "allowed_key": AllowedKey,
    "segments": Segments,
    "chain": Chain,
    "product": Product,
}
"""Mappings that are made of what is said, and of nothing less."""

_DEEPEST = 3
"""Mappings within mappings."""

_EXAMPLES = 'write "identity", "start_of_day", "-1 day", or {"mapper": "rollup", "window": "day"}'


class MappingReader:
    """Reads the ``partition`` of a dependency."""

    def __init__(self, findings: Findings, fields: FieldReader) -> None:
        self._findings = findings
        self._fields = fields

    def read(self, cursor: Cursor, *, depth: int = 0) -> Mapping | None:
        """A mapping; ``None`` when it could not be read. :param depth: in how many others it is."""
        match cursor.value:
            case str() as word:
                return self._short(cursor, word)
            case Members():
                return self._object(cursor, depth)
            case _:
                self._findings.expected(cursor, "a partition mapping", remedy=_EXAMPLES)
                return None

    def _short(self, cursor: Cursor, word: str) -> Mapping | None:
        if word in SHORT_MAPPERS:
            return self._made(cursor, SHORT_MAPPERS[word], {}, {})
        if word in MAPPER_NAMES:
            missing = [name for name in MAPPERS[MAPPER_NAMES[word]].required if name != "mapper"]
            reason = f"the mapper {word!r} needs {' and '.join(map(repr, missing))}"
            self._findings.add(cursor, reason, f'write {{"mapper": "{word}", "{missing[0]}": ...}}')
            return None
        if word[:1] in ("+", "-") or word[:1].isdigit():
            return self._made(cursor, "offset", {"by": cursor}, {"by": self._by(cursor)})
        hint = nearest(word, list(SHORT_MAPPERS))
        self._findings.expected(cursor, "a partition mapping", hint=hint, remedy=_EXAMPLES)
        return None

    def _object(self, cursor: Cursor, depth: int) -> Mapping | None:
        given = self._fields.members(cursor, "a partition mapping")
        mapper = None
        if "mapper" in given:
            mapper = self._fields.one_of(given["mapper"], MAPPER_NAMES, shown=MAPPERS)
        else:
            self._findings.add(cursor, "'mapper' is missing", f"known are {', '.join(MAPPERS)}")
        if mapper is None:
            self._values(given, depth)  # what is wrong with them is told in the same run
            return None
        form = MAPPERS[mapper]
        self._fields.refuse_unknown(given, known=form.names, of=f"the mapper {mapper!r}")
        known = {name: field for name, field in given.items() if name in form.names}
        if not self._fields.require(cursor, given, form.required):
            self._values(known, depth)
            return None
        return self._made(cursor, mapper, known, self._values(known, depth))

    def _made(
        self, cursor: Cursor, mapper: str, given: Dictionary[str, Cursor], values: Dictionary[str, Any]
    ) -> Mapping | None:
        """:param values: of the given fields; ``None`` where one could not be read."""
        of = {name: value for name, value in values.items() if value is not None}
        whole = len(of) == len(values)
        match mapper:
            case "identity" if given.keys() <= {"mapper"}:
                return Identity()
            case "identity":
                if "input_format" not in given and "output_format" not in given:
                    self._findings.add(cursor, "a 'timezone' without a format says nothing", 'write "identity"')
                    return None
                make: Callable[..., Mapping] = SameInstant
                if not whole:
                    return None
            case "latest":
                return Latest()
            case "fixed_key" | "allowed_key" | "segments" | "chain" | "product":
                if not whole:
                    return None
                make = _NAMED[mapper]
            case "offset":
                if "by" not in of:
                    return None
                of["count"], of["unit"] = of.pop("by")
                make = Offset
            case "rollup" | "fan_out":
                if "window" not in of:
                    return None
                make = Rollup if mapper == "rollup" else FanOut
                if "every" in values and values["every"] is None:
                    of.pop(_SPELLS_EVERY[make], None)
                of.setdefault("every", usual_every(of["window"]))
            case _:
                make, of["period"] = StartOf, STARTS[mapper]
        return self._built(cursor, given, make, of, whole=whole)

    def _built(
        self,
        cursor: Cursor,
        given: Dictionary[str, Cursor],
        make: Callable[..., Mapping],
        of: dict[str, Any],
        whole: bool,
    ) -> Mapping | None:
        """Make a mapping. What it refuses is a problem at the field that it names; it is then made without that field,
        for it refuses one at a time.

        :param whole: no field has been left out so far.
        """
        while True:
            try:
                made = make(**of)
            except MappingError as error:
                self._findings.add(_place(given.get(error.field, cursor), error.at), error.reason)
                whole = False
                if error.field not in _OPTIONAL or error.field not in of:
                    return None
                del of[error.field]
                if error.field == "every":
                    of["every"] = usual_every(of["window"])
                    of.pop(_SPELLS_EVERY[make], None)
            else:
                return made if whole else None

    def _values(self, given: Dictionary[str, Cursor], depth: int) -> dict[str, Any]:
        """What each field says by itself; ``None`` where it cannot be read."""
        return {name: self._value(name, field, depth) for name, field in given.items() if name != "mapper"}

    def _value(self, name: str, cursor: Cursor, depth: int) -> Any:
        match name:
            case "mappers" if depth == _DEEPEST:
                self._findings.add(cursor, f"mappings within mappings, more than {_DEEPEST} deep", "map in two steps")
                return None
            case "mappers":
                return self._list(cursor, "a list of mappings", lambda one: self.read(one, depth=depth + 1))
            case "allowed_keys" | "segments":
                return self._list(cursor, "a list of partitions", self._key)
            case "delimiter":
                return self._fields.characters(cursor, "a text between the parts", most=bounds.PATTERN)
            case "window":
                shown = [str(one) for one in dict.fromkeys(WINDOWS.values())]
                return self._fields.one_of(cursor, WINDOWS, shown=shown)
            case "every":
                return self._fields.one_of(cursor, EVERY, shown=EVERY)
            case "wait":
                return self._wait(cursor)
            case "by":
                return self._by(cursor)
            case "timezone":
                return self._fields.place(cursor)
            case "input_format" | "output_format":
                return self._format(cursor)
            case "downstream_key":
                return self._key(cursor)
        return None  # no field of a mapping

    def _key(self, cursor: Cursor) -> str | None:
        return self._fields.characters(cursor, "a partition", most=bounds.PATTERN)

    def _list(self, cursor: Cursor, expected: str, read: Callable[[Cursor], Any]) -> tuple[Any, ...] | None:
        if not isinstance(cursor.value, list):
            self._findings.expected(cursor, expected)
            return None
        found = tuple(map(read, cursor.items()))
        return None if None in found else found

    def _by(self, cursor: Cursor) -> tuple[int, Unit] | None:
        written = self._fields.text(cursor, "an offset such as '-1 day'")
        if written is None:
            return None
        try:
            return parse_offset(written)
        except ValueError as error:
            unsigned = re.fullmatch(OFFSET, f"+{written}") is not None
            remedy = f"say which way: '-{written}' is earlier, '+{written}' later" if unsigned else ""
            self._findings.add(cursor, f"{error}; found {described(written)}", remedy)
            return None

    def _wait(self, cursor: Cursor) -> Wait | None:
        if cursor.value == ALL:
            return ALL
        return self._fields.whole_number(cursor, "'all' or a whole number")

    def _format(self, cursor: Cursor) -> str | None:
        pattern = self._fields.characters(cursor, "a format", most=bounds.PATTERN)
        if pattern is None:
            return None
        try:
            spelling(pattern, "UTC")
        except ValueError as error:
            self._findings.add(cursor, str(error))
            return None
        return pattern


def _place(cursor: Cursor, at: int | None) -> Cursor:
    return cursor if at is None else list(cursor.items())[at]


def dump_mapping(mapping: Mapping) -> Any:
    """A mapping as JSON, in its shortest form; :class:`MappingReader` reads it back equal."""
    match mapping:
        case Identity():
            return "identity"
        case Latest():
            return "latest"
        case FixedKey(downstream_key):
            return {"mapper": "fixed_key", "downstream_key": downstream_key}
        case AllowedKey(allowed_keys):
            return {"mapper": "allowed_key", "allowed_keys": list(allowed_keys)}
        case Segments(segments, downstream_key):
            written = {"mapper": "segments", "segments": list(segments), "downstream_key": downstream_key}
            return written if mapping.wait == ALL else {**written, "wait": mapping.wait}
        case Chain(mappers):
            return {"mapper": "chain", "mappers": [dump_mapping(one) for one in mappers]}
        case Product(mappers, delimiter):
            between = {} if delimiter == DELIMITER else {"delimiter": delimiter}
            return {"mapper": "product", "mappers": [dump_mapping(one) for one in mappers], **between}
        case Assets():
            raise TypeError("the patterns of bridges stand under 'assets': documents.bridges dumps them")
    spelled: dict[str, Any] = {} if mapping.timezone == "UTC" else {"timezone": mapping.timezone}
    if mapping.input_format is not None:
        spelled["input_format"] = mapping.input_format
    if mapping.output_format is not None:
        spelled["output_format"] = mapping.output_format
    match mapping:
        case SameInstant():
            return {"mapper": "identity", **spelled}
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
