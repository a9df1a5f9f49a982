"""How far a command is, on stderr: on a terminal at any time, elsewhere in a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from coordinator.cli.output import people, say

FIRST: Final = 1.0
"""Seconds: a command that takes no longer says nothing."""
EACH: Final = 5.0
"""Seconds between two lines."""


class Progress:
    """Shows how far a step is, while it is open.

    :ivar last: the last that it was told, in words; empty: nothing.
    """

    def __init__(self) -> None:
        self.last = ""
        console = people(stderr=True)
        self._busy = console.status("") if console.is_terminal else None
        self._begun = time.monotonic()
        self._due = self._begun + FIRST

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._busy is not None:
            self._busy.stop()

    def __call__(self, step: str, done: int, of: int) -> None:
        """Take a step's name, and how many of its files are done, of how many."""
        self.last = f"{step}: {done:,} of {of:,} files"
        now = time.monotonic()
        if now < self._due:
            return
        if self._busy is not None:
            self._busy.update(self.last)
            self._busy.start()
        else:
            self._due = now + EACH
            say(self.last, err=True)
