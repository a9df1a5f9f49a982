"""Time as a port: the service runs on the machine's clock, simulations on their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from coordinator.boottime import boottime


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds, for intervals."""

    def now(self) -> datetime:
        """The time of day in UTC, for people and records."""


class SystemClock:
    def monotonic(self) -> float:
        """Includes the time for which the machine was suspended, so that a watcher notices a suspension."""
        return boottime()

    def now(self) -> datetime:
        return datetime.now(UTC)
