"""Virtual time: what is to happen, in order of time. Nothing here waits; between two events no time passes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 11, 21, tzinfo=UTC)
START = 1000.0
"""Monotonic seconds at the beginning: nothing may rely on a clock that begins at zero."""


class Clockwork:
    """A clock (the watcher's port ``clock.Clock``) and the events that make it go on.

    :param dispatch: runs an event; a watcher may be killed in the middle of it.
    """

    def __init__(self, dispatch: Callable[[Callable[[], None]], None]) -> None:
        self.seconds = START
        self._dispatch = dispatch
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)

    def tick(self) -> datetime:
        """The present time, later with every call: no two attempts are queued at the same instant."""
        self.seconds += 0.0001
        return self.now()

    def at(self, when: float, event: Callable[[], None]) -> None:
        """:param when: monotonic seconds; the past means now."""
        heapq.heappush(self._events, (when, next(self._order), event))

    def after(self, pause: float, event: Callable[[], None]) -> None:
        self.at(self.seconds + pause, event)

    def run_until(self, when: float, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen that happens until then. Events may call this again: a process that stands still
        in the middle of something lets the others go on."""
        while self._events and self._events[0][0] <= when and not stop():
            at, _, event = heapq.heappop(self._events)
            self.seconds = max(self.seconds, at)
            self._dispatch(event)
        if not stop():
            self.seconds = max(self.seconds, when)


class WallClock:
    """The clock of the watchers' hosts: its time of day may be wrong for a while; the seconds that pass are not.

    :ivar wrong_by: seconds.
    """

    def __init__(self, clockwork: Clockwork) -> None:
        self._clockwork = clockwork
        self.wrong_by = 0.0

    def monotonic(self) -> float:
        return self._clockwork.monotonic()

    def now(self) -> datetime:
        return self._clockwork.now() + timedelta(seconds=self.wrong_by)


def seconds_of(instant: datetime) -> float:
    """The monotonic seconds of a time of day."""
    return (instant - EPOCH).total_seconds()
