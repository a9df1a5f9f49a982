"""The agenda: which targets to examine, now, at a time, or once etcd has been read up to a revision.

An entry is an identity, never an event: examining looks at the present state, so entries of one target coalesce.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from coordinator.model.decide import Decision
from coordinator.model.references import Target

KEPT = 1000
"""So many decisions are kept with their targets. A decision weighs kilobytes, and behind a long queue it is made again
on what is known by then."""


class Agenda:
    """Used by the reconciler's thread only."""

    def __init__(self) -> None:
        # Not a dict: to find the first of it costs the more, the more have been taken from its front.
        self._now: OrderedDict[Target, Decision | None] = OrderedDict()
        self._later: list[tuple[float, Target]] = []
        self._at_revision: list[tuple[int, Target]] = []
        self._read_up_to = 0

    def __bool__(self) -> bool:
        """Whether there is something to examine now."""
        return bool(self._now)

    def now(self, target: Target, decision: Decision | None = None) -> None:
        """Examine it now. :param decision: made on the present facts already; the newest one counts."""
        self._now[target] = decision if len(self._now) < KEPT else None

    def at(self, when: float, target: Target) -> None:
        """Examine it at a time. :param when: monotonic seconds."""
        heapq.heappush(self._later, (when, target))

    def once_read(self, revision: int, targets: Iterable[Target]) -> None:
        """Examine them once the cache stands at this etcd revision."""
        for target in targets:
            if revision <= self._read_up_to:
                self.now(target)
            else:
                heapq.heappush(self._at_revision, (revision, target))

    def read(self, revision: int) -> None:
        """The cache stands at this revision."""
        self._read_up_to = revision
        while self._at_revision and self._at_revision[0][0] <= revision:
            self.now(heapq.heappop(self._at_revision)[1])

    def pass_time(self, now: float) -> None:
        """It is this late: what is due is to be examined now."""
        while self._later and self._later[0][0] <= now:
            self._now.setdefault(heapq.heappop(self._later)[1], None)

    def next_at(self) -> float | None:
        """Monotonic seconds of the next entry that waits for a time."""
        return self._later[0][0] if self._later else None

    def take(self) -> Iterator[tuple[Target, Decision | None]]:
        """Take what is to be examined now, one by one, until nothing is left; entries may be added meanwhile."""
        while self._now:
            yield self._now.popitem(last=False)

    def waits_for_revision(self) -> bool:
        return bool(self._at_revision)

    def waiting(self) -> Iterator[Target]:
        """The targets that wait for a time."""
        return iter([target for _, target in self._later])

    def drop_now(self) -> None:
        """This watcher does not lead: a leader examines everything when its term begins."""
        self._now.clear()

    def clear(self) -> None:
        """A term has begun or ended."""
        self._now.clear()
        self._later.clear()
        self._at_revision.clear()
