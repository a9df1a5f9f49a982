"""Limits of a process that does what somebody else's files say. Imports nothing that takes long."""

from __future__ import annotations

import resource


def limit_memory(most: int) -> None:
    """:param most: in bytes. Linux keeps to it; where a system refuses, the other limits remain."""
    _limit(resource.RLIMIT_AS, most)


def limit_processor(seconds: int) -> None:
    """End this process after so much processor time, also when nobody waits for it any more."""
    _limit(resource.RLIMIT_CPU, seconds)


def _limit(which: int, most: int) -> None:
    try:
        resource.setrlimit(which, (most, most))
    except (ValueError, OSError):
        return
