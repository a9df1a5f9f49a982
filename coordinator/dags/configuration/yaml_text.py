"""YAML that remembers where each value stands, and is no programming language.

PyYAML says what the tokens are. The values are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema),
which are JSON's: ``no`` is a text, and so are ``2026-11-20`` and ``1:30``. Every key is a text and given once. Anchors
are read; a circle of them, and aliases that expand without bounds, are refused. So are tags and merge keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import yaml

MOST_BYTES: Final = 5_000_000
MOST_VALUES: Final = 1_000_000
MOST_CHARACTERS: Final = MOST_BYTES
"""Of all texts. Both: after aliases are expanded."""
DEEPEST: Final = 50

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, counted from 1."""

_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOL: Final = re.compile(r"(true|True|TRUE)|false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]{1,300}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ONLY_IN_JSON: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_ESCAPE: Final = re.compile(r"\\(?:u(d[89ab]..)\\u(d[c-f]..)|.)", re.DOTALL | re.IGNORECASE)
_TEXT_TAG: Final = "tag:yaml.org,2002:str"


class TextError(ValueError):
    """The text cannot be read. :ivar place: where."""

    def __init__(self, place: Place, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.place, self.reason, self.remedy = place, reason, remedy


@dataclass(frozen=True, slots=True)
class Read:
    """What a text says. :ivar places: of each value, and of the root, by its path."""

    value: Any
    places: dict[Path, Place] = field(repr=False)


def read_yaml(text: str) -> Read:
    """Read YAML. :raises TextError: it cannot be read, or says something that this reader refuses."""
    reader = _Reader(text)
    return Read(reader.document(), reader.places)


def read_json(text: str) -> Read:
    """Read JSON. :raises TextError: as for :func:`read_yaml`."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise TextError((error.lineno, error.colno), f"not JSON: {error.msg}", "correct it") from None
    except RecursionError:
        raise TextError((1, 1), f"nested deeper than {DEEPEST} levels", "write it flatter") from None
    except ValueError as error:  # an integer of thousands of digits
        raise TextError((1, 1), str(error), "write it as a text") from None
    # All of JSON is YAML, but for tabs between the tokens, for characters that only JSON allows as themselves or does
    # not take for the end of a line, and for escapes of two halves of a surrogate pair.
    allowed = _ONLY_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\t", " "))
    return read_yaml(_ESCAPE.sub(_character, allowed))


def _character(escape: re.Match[str]) -> str:
    high, low = escape.groups()
    return escape[0] if high is None else bytes.fromhex(high + low).decode("utf-16-be")


class _Size(NamedTuple):
    """What is bounded of a value, with all that is in it: how many values, and the characters of their texts."""

    values: int
    characters: int


class _Reader:
    """Composes values from PyYAML's events: its own composer has no bound on depth, and follows aliases in circles."""

    def __init__(self, text: str) -> None:
        self._events = self._of(text)
        self._next: Any = None
        self._anchors: dict[str, tuple[Any, _Size]] = {}
        self._open: set[str] = set()
        self._size = _Size(0, 0)
        self.places: dict[Path, Place] = {}

    @staticmethod
    def _of(text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            reason = ", ".join(one for one in (error.context, error.problem) if one)
            raise TextError(place, f"not YAML: {reason}", "correct it") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            raise TextError(
                (line, column), f"a character that YAML does not allow: {error.reason}", "remove it"
            ) from None

    def document(self) -> Any:
        event = self._take()
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = self._take()
        if isinstance(event, yaml.StreamEndEvent):
            raise TextError((1, 1), "the file is empty", "see docs/dags.md for an example")
        value = self._value(event, ())
        self._take()  # the end of the document
        after = self._take()
        if not isinstance(after, yaml.StreamEndEvent):
            raise TextError(_place(after), "a second document", "write one document into a file")
        return value

    def _take(self) -> Any:
        return next(self._events)

    def _value(self, event: Any, path: Path) -> Any:
        place = _place(event)
        self.places[path] = place
        if len(path) > DEEPEST:
            raise TextError(place, f"nested deeper than {DEEPEST} levels", "write it flatter")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, place)
        if event.tag is not None and event.tag not in (_TEXT_TAG, "!"):
            raise TextError(place, f"the tag {event.tag}", "tags are not read: write the value itself")
        if event.anchor is not None:
            self._open.add(event.anchor)
        before = self._size
        self._count(_Size(1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0), place)
        value = self._composed(event, path)
        if event.anchor is not None:
            self._open.discard(event.anchor)
            size = _Size(self._size.values - before.values, self._size.characters - before.characters)
            self._anchors[event.anchor] = (value, size)
        return value

    def _composed(self, event: Any, path: Path) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(one := self._take(), yaml.SequenceEndEvent):
                items.append(self._value(one, (*path, len(items))))
            return items
        return self._mapping(path)

    def _mapping(self, path: Path) -> dict[str, Any]:
        members: dict[str, Any] = {}
        keys: dict[str, Place] = {}
        while not isinstance(one := self._take(), yaml.MappingEndEvent):
            place = _place(one)
            key = _key(one)
            if key in keys:
                line, column = keys[key]
                raise TextError(place, f"{key!r} is given twice, first at {line}:{column}", "remove one of them")
            keys[key] = place
            self._count(_Size(0, len(key)), place)
            members[key] = self._value(self._take(), (*path, key))
            self.places[*path, key] = place  # where a person looks for it, and not where its value begins
        return members

    def _aliased(self, event: Any, place: Place) -> Any:
        if event.anchor in self._open:
            raise TextError(place, f"the alias *{event.anchor} stands within its own anchor", "it would have no end")
        if event.anchor not in self._anchors:
            raise TextError(place, f"no anchor &{event.anchor} stands before this alias", "write the value itself")
        value, size = self._anchors[event.anchor]
        self._count(size, place)
        return value

    def _count(self, more: _Size, place: Place) -> None:
        self._size = _Size(self._size.values + more.values, self._size.characters + more.characters)
        for number, most, what in zip(
            self._size, (MOST_VALUES, MOST_CHARACTERS), ("values", "characters"), strict=True
        ):
            if number > most:
                raise TextError(place, f"more than {most:,} {what}, as aliases are expanded", "use fewer aliases")


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _key(event: Any) -> str:
    place = _place(event)
    if not isinstance(event, yaml.ScalarEvent):
        raise TextError(place, "a key that is no text", "write a text before the colon")
    if event.tag is not None and event.tag != _TEXT_TAG:
        raise TextError(place, f"the tag {event.tag}", "tags are not read: write the key itself")
    if event.value == "<<" and event.implicit[0]:
        raise TextError(place, "a merge key (<<)", "YAML 1.2 has none: use 'values' of the file or of the environment")
    return _whole(event.value, place)


def _scalar(event: Any) -> str | int | float | bool | None:
    text: str = event.value
    if not event.implicit[0]:  # in quotes, or with a tag
        return _whole(text, _place(event))
    if _NULL.fullmatch(text):
        return None
    if found := _BOOL.fullmatch(text):
        return found[1] is not None
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if abs(number) == float("inf"):
            raise TextError(_place(event), f"the number {text}", "it is too great: write it as a text")
        return number
    return text


def _whole(text: str, place: Place) -> str:
    """:raises TextError: the text cannot be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TextError(place, "half of a surrogate pair", "write the character itself") from None
    return text


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
