"""Ctrl-C and SIGTERM in a program that has started others: an exception, but only where the program waits.

Python lets a signal handler raise between any two instructions of the main thread: between the start of a process and
the line that remembers it, in the middle of a drawing, right after ``Popen`` has taken its lock, which nobody gives
back then. So the handler only takes a note, and whoever waits looks at it: :func:`heed`, :func:`pause`. What cleans up
does neither, and so is never interrupted.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Somebody wants us to stop. No Exception: no handler on the way may take it for an error."""


@dataclass(slots=True)
class _Interruption:
    """Signals belong to a process, so there is one of these. Only the main thread touches it."""

    asked: bool = False
    raised: bool = False


_interruption = _Interruption()


@contextmanager
def interruptible() -> Iterator[None]:
    """The first SIGINT or SIGTERM raises :class:`Interrupted` where :func:`heed` is called next, at the end of this at
    the latest; further ones do nothing, for the way out is under way already. For the main thread."""
    _interruption.asked = _interruption.raised = False
    before = {each: signal.signal(each, _note) for each in SIGNALS}
    try:
        yield
        heed()
    finally:
        _interruption.asked = False
        for each, handler in before.items():
            signal.signal(each, handler)


def heed() -> None:
    """Something that may be broken off here. :raises Interrupted: once, if somebody wants us to stop."""
    if _interruption.asked and not _interruption.raised:
        _interruption.raised = True
        raise Interrupted


def pause(seconds: float) -> None:
    """Sleep; a signal does not cut it short, so not for long. :raises Interrupted: as :func:`heed`."""
    time.sleep(seconds)
    heed()


def _note(number: int, frame: object) -> None:
    del number, frame
    _interruption.asked = True
