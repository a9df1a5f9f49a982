"""Waiting for what has no event to wait for: a condition, with a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic


def wait_for(condition: Callable[[], bool], *, every: float = 0.02, limit: float = 15.0) -> None:
    """Return as soon as the condition holds. :raises AssertionError: it did not in ``limit`` seconds."""
    until = monotonic() + limit
    while not condition():
        assert monotonic() < until, f"{condition.__name__}: not within {limit} s"
        threading.Event().wait(every)
