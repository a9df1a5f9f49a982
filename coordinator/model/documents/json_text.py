"""JSON that remembers enough to point at a mistake.

``json`` of the standard library decides what is JSON. It forgets two things that a reviewer needs: keys given
twice, and where a value stands. The first is kept by reading objects as :class:`Members`; the second is looked
up only when there is something to point at, by one pass over the text (docs/decisions/0001).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from coordinator.model import bounds

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{},:]|[^\s\[\]{},:"]++', re.DOTALL)
_MAX_DIGITS = 300
_FINITE = "JSON knows finite numbers only"


@dataclass(frozen=True, slots=True)
class Members:
    """An object, member by member: a key that is given twice is there twice."""

    pairs: list[tuple[str, Value]]


@dataclass(frozen=True, slots=True)
class NotJson:
    """Something that Python's ``json`` reads and JSON does not know (``NaN``), or that no reader keeps exactly."""

    text: str
    reason: str


Value = str | int | float | bool | list["Value"] | Members | NotJson | None


class Spot(NamedTuple):
    """A place in a document: the index of the member or item at each level. ``key``: that member's key."""

    indexes: tuple[int, ...] = ()
    key: bool = False


class JsonSyntaxError(ValueError):
    """The text is not JSON. ``offset``: in characters."""

    def __init__(self, offset: int, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason
        self.remedy = remedy


def read_json(text: str) -> Value:
    """Read a text.

    :raises JsonSyntaxError: it is not JSON, or is nested deeper than :data:`bounds.DOCUMENT_DEPTH`.
    """
    if not text.strip(" \t\r\n"):
        raise JsonSyntaxError(0, "the file is empty", "write {} for no dependencies at all")
    _refuse_depth(text)
    try:
        value: Value = json.loads(
            text, object_pairs_hook=Members, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
    except json.JSONDecodeError as error:
        raise _explained(text, error) from None
    return value


def find(text: str, wanted: Collection[Spot]) -> dict[Spot, int]:
    """The offsets of places in a text that is JSON."""
    missing = set(wanted)
    found: dict[Spot, int] = {}
    for spot, offset in _spots(text):
        if spot in missing:
            found[spot] = offset
            missing.discard(spot)
            if not missing:
                break
    return found


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Both counted from 1, in characters."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _spots(text: str) -> Iterator[tuple[Spot, int]]:
    indexes: list[int] = []
    in_object: list[bool] = []
    at_key = False
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in "]}":
            indexes.pop()
            in_object.pop()
            at_key = False
        elif first == ",":
            indexes[-1] += 1
            at_key = in_object[-1]
        elif first == ":":
            at_key = False
        else:
            yield Spot(tuple(indexes), at_key), token.start()
            if first in "[{":
                indexes.append(0)
                at_key = first == "{"
                in_object.append(at_key)


def _refuse_depth(text: str) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += 1
            if depth > bounds.DOCUMENT_DEPTH:
                raise JsonSyntaxError(
                    token.start(), f"nested deeper than {bounds.DOCUMENT_DEPTH} levels", "write the condition flatter"
                )
        elif first in "]}":
            depth -= 1


def _explained(text: str, error: json.JSONDecodeError) -> JsonSyntaxError:
    """Say what people did, where ``json`` says what it had expected (the words differ between Pythons)."""
    here = error.pos
    rest = text[here:].lstrip(" \t\r\n,")
    before = text[:here].rstrip(" \t\r\n")
    at_comma = text.startswith(",", here)
    if rest[:1] in ("]", "}") and rest and (at_comma or before.endswith(",")):
        comma = here if at_comma else len(before) - 1
        return JsonSyntaxError(comma, f"trailing comma before '{rest[0]}'", "JSON allows none: remove it")
    if text.startswith(("//", "/*", "#"), here):
        return JsonSyntaxError(here, "a comment", "JSON knows no comments: remove it")
    if text.startswith("'", here):
        return JsonSyntaxError(here, "single quotes", "JSON strings stand in double quotes")
    found = f"{text[here]!r}" if here < len(text) else "the end of the file"
    return JsonSyntaxError(here, f"not JSON: {error.msg}, found {found}", "")


def _constant(text: str) -> Value:
    return NotJson(text, _FINITE)


def _float(text: str) -> Value:
    number = float(text)
    return number if math.isfinite(number) else NotJson(text, _FINITE)


def _int(text: str) -> Value:
    # int() itself refuses more than 4300 digits (a ValueError without a place), and works quadratically below.
    return int(text) if len(text) <= _MAX_DIGITS else NotJson(text, f"a number has at most {_MAX_DIGITS} digits here")
