"""Ctrl-C and SIGTERM in a program that has started others: an exception, but only where the program waits.

Python may raise from a signal handler between any two instructions: between the start of a process and the line that
remembers it. So the handler only notes the signal, and whoever waits calls :func:`heed` or :func:`pause`. What cleans
up calls neither.
"""

from __future__ import annotations

import signal
import time
from types import FrameType

_asked = False


class Interrupted(BaseException):
    """Somebody wants this program to stop. No Exception: nobody on the way may take it for an error."""


def note_signals() -> None:
    """From now on SIGINT and SIGTERM are noted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def heed() -> None:
    """:raises Interrupted: somebody wants this program to stop."""
    if _asked:
        raise Interrupted


def pause(seconds: float) -> None:
    """Sleep; a signal does not end it early. :raises Interrupted: as :func:`heed`."""
    time.sleep(seconds)
    heed()


def _note(number: int, frame: FrameType | None) -> None:
    global _asked
    del number, frame
    _asked = True
