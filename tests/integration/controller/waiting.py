"""Waiting for what has no event to wait for: a condition, with a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

LONG = 60.0
"""Seconds after which a test gives up. They promise nothing: a busy machine takes them, and no test waits them out."""


def until(holds: Callable[[], bool], what: str, *, limit: float = LONG, every: float = 0.02) -> None:
    """Return as soon as it holds. :raises AssertionError: it did not in ``limit`` seconds."""
    end = monotonic() + limit
    while not holds():
        assert monotonic() < end, f"not within {limit} s: {what}"
        threading.Event().wait(every)
