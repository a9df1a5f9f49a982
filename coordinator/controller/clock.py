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
        """A watcher on a machine that was suspended has stood still, and finds out here that it has."""
        return boottime()

    def now(self) -> datetime:
        return datetime.now(UTC)
