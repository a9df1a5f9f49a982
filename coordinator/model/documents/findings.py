"""What is wrong with a document so far, and where: places are looked up only once all of it is known."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from coordinator.model import bounds
from coordinator.model.documents.json_text import Members, NotJson, Spot, Value, find
from coordinator.model.documents.problems import Problem
from coordinator.model.printable import printable

_LONGEST_QUOTE = 60
_NEEDS_QUOTES = frozenset('.[]" ')


class TooManyFindings(Exception):
    """There is no point in reading on."""


class Cursor(NamedTuple):
    """A value, and the way to it.

    :ivar way: names of members and indexes of items, for people.
    :ivar spot: indexes at every level, for looking up the place.
    """

    value: Value
    way: tuple[str | int, ...] = ()
    spot: Spot = Spot()

    @property
    def name(self) -> str:
        """The key, for a member of an object."""
        return str(self.way[-1])

    def at_key(self) -> Cursor:
        """The same member, pointing at its key."""
        return self._replace(spot=Spot(self.spot.indexes, key=True))

    # One by one: after the first thousand mistakes nobody wants the next million.

    def members(self) -> Iterator[Cursor]:
        assert isinstance(self.value, Members)
        for index, (name, value) in enumerate(self.value.pairs):
            yield Cursor(value, (*self.way, name), Spot((*self.spot.indexes, index)))

    def items(self) -> Iterator[Cursor]:
        assert isinstance(self.value, list)
        for index, value in enumerate(self.value):
            yield Cursor(value, (*self.way, index), Spot((*self.spot.indexes, index)))

    @property
    def path(self) -> str:
        """Like ``child3.upstream[1].on``."""
        text = ""
        for step in self.way:
            if isinstance(step, int):
                text += f"[{step}]"
            elif not step.isprintable() or not step or len(step) > _LONGEST_QUOTE or _NEEDS_QUOTES & set(step):
                text += f"[{_shortened(step)}]"
            else:
                text += f".{step}" if text else step
        return text


class _Finding(NamedTuple):
    cursor: Cursor
    reason: str
    remedy: str
    first: Cursor | None


class Findings:
    """Collects what is wrong. True when there is anything."""

    def __init__(self) -> None:
        self._found: list[_Finding] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, cursor: Cursor, reason: str, remedy: str = "", *, first: Cursor | None = None) -> None:
        """Note a problem. ``first``: where the other one stands, of something that is there twice.

        :raises TooManyFindings: each costs something, and there may be one for every few bytes of the document.
        """
        if len(self._found) == bounds.PROBLEMS:
            raise TooManyFindings
        self._found.append(_Finding(cursor, reason, remedy, first))

    def expected(self, cursor: Cursor, expected: str, *, hint: str = "", remedy: str = "") -> None:
        """Note that something else stands there. ``hint``: to put behind what was found."""
        self.add(cursor, f"expected {expected}; found {described(cursor.value)}{hint}", remedy)

    def placed_in(self, text: str) -> list[Problem]:
        """The problems with their places, in the order of the text."""
        spots = {finding.cursor.spot for finding in self._found}
        spots.update(finding.first.spot for finding in self._found if finding.first)
        offsets = find(text, spots)
        ends = [end for end, character in enumerate(text) if character == "\n"]

        def line_and_column(offset: int) -> tuple[int, int]:
            line = bisect_left(ends, offset)
            return line + 1, offset - (ends[line - 1] if line else -1)

        problems = []
        for cursor, reason, remedy, first in sorted(self._found, key=lambda finding: offsets[finding.cursor.spot]):
            line, column = line_and_column(offsets[cursor.spot])
            if first is not None:
                reason += f" (first on line {line_and_column(offsets[first.spot])[0]})"
            problems.append(Problem(line, column, cursor.path, printable(reason), printable(remedy)))
        return problems


def described(value: Value) -> str:
    """A value in words, short enough for a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _shortened(value)
        case int() | float():
            return f"the number {value}"
        case NotJson(text):
            return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."
        case list():
            return "a list"
        case Members():
            return "an object"


def nearest(word: str, known: Sequence[str]) -> str:
    """A question to put behind a message, when a known word is near."""
    close = difflib.get_close_matches(word[:_LONGEST_QUOTE], known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")
