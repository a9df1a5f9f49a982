"""Bytes as a source of choices.

Random bytes never get past a JSON parser. An input that begins with :data:`STRUCTURED` is read as a tape of choices
instead, out of which a value is built that is almost right; the fuzzer mutates the choices. atheris has the like
(``FuzzedDataProvider``); this one is ours so that an input means the same where atheris is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

STRUCTURED = b"\x00"
"""No JSON, TOML or key begins with it."""

_T = TypeVar("_T")

_ODD = (
    "",
    " ",
    "..",
    "/",
    "%2F",
    "\\",
    "\0",
    "a\nb",
    "\x1b[31m",
    "\u009b31m",
    "[red]",
    "\ud800",
    "\u202e",
    "?#;",
    "e\u0301\u00e9",
    "x" * 300,
    "2026-11-20T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
    "2026-11-20T00:00:00",
    "2026-02-30",
    "1e999",
    "True",
    "default",
)
"""Texts that have broken one program or another."""

_NUMBERS = (0, 1, -1, 2, 1 << 31, 1 << 63, -(1 << 63), 1 << 64, 10**300, 10**4299, 1e308, -0.0, 0.5)


class Tape:
    """Choices, until the bytes are used up; then each choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        if not self:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def below(self, limit: int) -> int:
        """A number from 0 on."""
        number = self.byte()
        if limit > 256:
            number = number << 16 | self.byte() << 8 | self.byte()
        return number % limit

    def one_of(self, choices: Sequence[_T]) -> _T:
        return choices[self.below(len(choices))]

    def raw(self, most: int = 64) -> bytes:
        """So many bytes as they are."""
        size = self.below(most + 1)
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        taken, self._at = self._data[self._at :], len(self._data)
        return taken

    def text(self, words: Sequence[str] = ()) -> str:
        """A word, an odd text, or whatever the bytes say; surrogates among them."""
        kind = self.below(8)
        if kind < 5 and words:
            return self.one_of(words)
        return self.one_of(_ODD) if kind < 7 else self.raw().decode("utf-8", "surrogateescape")

    def name(self, words: Sequence[str] = ()) -> str:
        """As :meth:`text`, and UTF-8 can hold it, and it is not empty: what another program may call a thing."""
        return self.text(words).encode("utf-8", "replace").decode() or "x"

    def number(self) -> int | float:
        return self.one_of(_NUMBERS) if self.byte() & 1 else self.below(1 << 16)

    def value(self, words: Sequence[str] = (), depth: int = 4) -> Any:
        """Any JSON value."""
        match self.below(8 if depth else 5):
            case 0 | 1:
                return self.text(words)
            case 2:
                return self.number()
            case 3:
                return self.one_of((None, True, False))
            case 4:
                return self.text(words)
            case 5:
                return [self.value(words, depth - 1) for _ in range(self.below(4))]
            case _:
                return self.object(words, depth - 1)

    def object(self, words: Sequence[str] = (), depth: int = 4) -> dict[str, Any]:
        return {self.text(words): self.value(words, depth) for _ in range(self.below(6))}

    def spoiled(self, value: Any, words: Sequence[str] = (), one_in: int = 6) -> Any:
        """A good value with some of its parts exchanged, dropped, or added to."""
        if self.below(one_in) == 1:
            return self.value(words)
        if isinstance(value, dict):
            kept = {name: self.spoiled(part, words, one_in) for name, part in value.items() if self.below(12) != 1}
            if self.below(8) == 1:
                kept[self.text(words)] = self.value(words)
            return kept
        if isinstance(value, list):
            return [self.spoiled(part, words, one_in) for part in value]
        return value


def tape_of(data: bytes) -> Tape | None:
    """The tape of a structured input; ``None``: the bytes are meant as they are."""
    return Tape(data[len(STRUCTURED) :]) if data.startswith(STRUCTURED) else None


def as_json(value: Any) -> bytes:
    """JSON; half a surrogate pair becomes an escape, as a careless writer has it."""
    return json.dumps(value).encode()
