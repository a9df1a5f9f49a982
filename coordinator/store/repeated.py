"""Which of the failures that follow one another are logged, so that an outage of hours does not fill the log."""

from __future__ import annotations

from collections.abc import Callable

LOGGED_EVERY = 30.0
"""Seconds between two log lines about failures with the same reason."""


class Repeated:
    """Failures that follow one another. ``clock``: seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reason: str | None = None
        self._logged_at = 0.0

    def is_logged(self, reason: str) -> bool:
        """Whether this failure is logged: it is the first, has another reason, or comes long after the last one."""
        now = self._clock()
        if reason == self._reason and now - self._logged_at < LOGGED_EVERY:
            return False
        self._reason, self._logged_at = reason, now
        return True

    def ended(self) -> None:
        """It has succeeded: the next failure is logged."""
        self._reason = None
