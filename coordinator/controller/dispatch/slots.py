"""Gates: how many targets may be inside at once, how fast they may enter, and in which order they wait.

Pure: no clock, no log, no I/O.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.controller.queue.work_queue import Priority
from coordinator.model.partitions.instants import partition_order
from coordinator.model.references import Target

MINUTE = 60.0
BURSTS_PER_MINUTE = 6
"""A minute's starts are this many bursts: after a pause a sixth of them may start at once."""


class StartRate:
    """A token bucket.

    :param per_minute: starts. A sixth of them, but at least one, may come at once after a pause.
    """

    def __init__(self, per_minute: int) -> None:
        self._pause = MINUTE / per_minute
        self._burst = max(1.0, per_minute / BURSTS_PER_MINUTE)
        self._tokens = self._burst
        self._at = float("-inf")

    def next_at(self) -> float:
        """Monotonic seconds from which a start is allowed."""
        return self._at + max(0.0, 1.0 - self._tokens) * self._pause

    def may_start(self, now: float) -> bool:
        return now >= self.next_at()

    def take(self, now: float) -> None:
        """Count a start. :param now: monotonic seconds, not before :meth:`next_at`."""
        self._refill(now)
        self._tokens = max(0.0, self._tokens - 1.0)

    def give_back(self) -> None:
        """Take back a start that did not happen."""
        self._tokens = min(self._burst, self._tokens + 1.0)

    def recall(self, ages: Iterable[float], now: float) -> None:
        """Continue from what a predecessor has started. :param ages: seconds since each start."""
        self._tokens, self._at = self._burst, float("-inf")
        for age in sorted((age for age in ages if 0.0 <= age <= MINUTE), reverse=True):
            self.take(now - age)

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) / self._pause)
            self._at = now


ROOM = 64
"""Outdated entries that a line's heaps may keep, in addition to as many as there are waiting targets."""

_Order = tuple[tuple[bool, datetime, str], Target]


class _NewestFirst(tuple[tuple[bool, datetime, str], Target]):
    """An order entry that a heap gives out newest first."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return tuple.__gt__(self, other)  # type: ignore[operator]


class Line:
    """The targets that wait at a gate. Adding and taking cost the logarithm of the length.

    Turns alternate between the oldest partition of all and the newest of those that became due while this watcher
    led. Oldest first is the order of catching up, and nobody waits for ever, for each is the oldest some day. But
    behind a long backlog alone, this hour's partition would wait for hours.
    """

    def __init__(self) -> None:
        self._priorities: dict[Target, Priority] = {}
        self._oldest: list[_Order] = []
        self._newest_live: list[_NewestFirst] = []
        self._newest_next = True

    def __len__(self) -> int:
        return len(self._priorities)

    def __contains__(self, target: Target) -> bool:
        return target in self._priorities

    def __iter__(self) -> Iterator[Target]:
        return iter(tuple(self._priorities))

    def add(self, target: Target, priority: Priority) -> None:
        """Add a target. :param priority: ``LIVE``: it became due while this watcher led."""
        self._priorities[target] = priority
        if len(self._oldest) > 2 * len(self._priorities) + ROOM:
            self._rebuild()
        else:
            self._push(target, priority)

    def remove(self, target: Target) -> None:
        """Remove a target. Its entries in the heaps are skipped when they come up."""
        del self._priorities[target]
        if not self._priorities:
            self._oldest.clear()
            self._newest_live.clear()

    def pop(self) -> tuple[Target, Priority]:
        """The target whose turn it is, and its priority. :raises IndexError: the line is empty."""
        newest = self._peek_newest_live() if self._newest_next else None
        target = newest if newest is not None else self._peek_oldest()
        self._newest_next = not self._newest_next
        priority = self._priorities[target]
        self.remove(target)
        return target, priority

    def _push(self, target: Target, priority: Priority) -> None:
        entry = (partition_order(target.partition), target)
        heapq.heappush(self._oldest, entry)
        if priority is Priority.LIVE:
            heapq.heappush(self._newest_live, _NewestFirst(entry))

    def _rebuild(self) -> None:
        """Drop outdated entries: they would add up where many targets come and go."""
        self._oldest.clear()
        self._newest_live.clear()
        for target, priority in self._priorities.items():
            self._push(target, priority)

    def _peek_oldest(self) -> Target:
        while self._oldest[0][1] not in self._priorities:
            heapq.heappop(self._oldest)
        return self._oldest[0][1]

    def _peek_newest_live(self) -> Target | None:
        while self._newest_live and self._priorities.get(self._newest_live[0][1]) is not Priority.LIVE:
            heapq.heappop(self._newest_live)
        return self._newest_live[0][1] if self._newest_live else None


@dataclass(slots=True, eq=False)
class Gate:
    """A limit with its line.

    :ivar limit: how many may be inside; ``None``: any number.
    :ivar rate: how fast they may come in.
    :ivar what: what it limits, for people.
    """

    what: str
    limit: int | None
    rate: StartRate | None = None
    inside: set[Target] = field(default_factory=set)
    line: Line = field(default_factory=Line)

    def has_room(self, now: float) -> bool:
        return (self.limit is None or len(self.inside) < self.limit) and (self.rate is None or self.rate.may_start(now))

    def let_in(self, target: Target, now: float) -> None:
        self.inside.add(target)
        if self.rate is not None:
            self.rate.take(now)
