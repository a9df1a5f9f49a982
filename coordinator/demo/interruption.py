"""Ctrl-C and SIGTERM in a program that has started others: an exception, but never between a start and its note.

Python raises what a signal handler raises between any two instructions of the main thread, so also between the
start of a process and the line that remembers it. Such places are marked with :func:`uninterrupted`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Somebody wants us to stop. No Exception: no handler on the way may take it for an error."""


@dataclass(slots=True)
class _Interruption:
    """Signals belong to a process, so there is one of these. Only the main thread touches it."""

    asked: bool = False
    raised: bool = False
    deferrals: int = 0

    def raise_if_due(self) -> None:
        if self.asked and not self.raised and not self.deferrals:
            self.raised = True
            raise Interrupted


_interruption = _Interruption()


@contextmanager
def interruptible() -> Iterator[None]:
    """The first SIGINT or SIGTERM raises :class:`Interrupted` inside; further ones do nothing, for the way out
    is then under way already. For the main thread."""

    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        _interruption.asked = True
        _interruption.raise_if_due()

    _interruption.asked = _interruption.raised = False
    before = {each: signal.signal(each, ask) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What is inside runs to its end; an interruption that came meanwhile is raised after it."""
    _interruption.deferrals += 1
    try:
        yield
    finally:
        _interruption.deferrals -= 1
        _interruption.raise_if_due()
