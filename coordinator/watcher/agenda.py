"""The agenda: which targets to examine, now, at a time, or once etcd has been read up to a revision.

An entry is an identity, never an event: examining looks at the present state, so entries of one target coalesce.

What is to be examined now waits in two lines. What has just happened comes first: a fresh completion, an outcome. What
can wait is the backlog: what a term begins with, what everything is examined for again, what came after a gap. Of
half a million of those a fresh completion sees nothing; and the backlog goes on under any load, for one in so many
(:data:`SHARE`) is always taken from it.
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

SHARE = 4
"""Where both lines wait, one in so many is taken from the backlog."""


class Agenda:
    """Used by the reconciler's thread only. Its lines are as long as there are live keys, at most: each target once.

    :ivar took_fresh: whether the target that was taken last was fresh.
    """

    def __init__(self) -> None:
        # Not a dict: to find the first of it costs the more, the more have been taken from its front.
        self._fresh: OrderedDict[Target, Decision | None] = OrderedDict()
        self._backlog: OrderedDict[Target, Decision | None] = OrderedDict()
        self._later: list[tuple[float, bool, Target]] = []
        self._at_revision: list[tuple[int, Target]] = []
        # What is in either: whoever asks again is there already.
        self._moments: set[tuple[float, Target]] = set()
        self._revisions: set[tuple[int, Target]] = set()
        self._read_up_to = 0
        self._taken = 0
        self.took_fresh = True

    def __bool__(self) -> bool:
        """Whether there is something to examine now."""
        return bool(self._fresh or self._backlog)

    def size(self) -> int:
        """So many entries, of all kinds."""
        return len(self._fresh) + len(self._backlog) + len(self._later) + len(self._at_revision)

    def now(self, target: Target, decision: Decision | None = None) -> None:
        """Examine it now. :param decision: made on the present facts already; the newest one counts."""
        self._backlog.pop(target, None)
        self._fresh[target] = decision if len(self._fresh) < KEPT else None

    def backlog(self, target: Target, decision: Decision | None = None) -> None:
        """Examine it when its turn comes. :param decision: as in :meth:`now`."""
        line = self._fresh if target in self._fresh else self._backlog
        line[target] = decision if len(line) < KEPT else None

    def outdate(self, target: Target) -> None:
        """A decision that was kept with it is not the newest one any more."""
        for line in (self._fresh, self._backlog):
            if line.get(target) is not None:
                line[target] = None

    def resume(self, target: Target, *, fresh: bool) -> None:
        """It has been waited for something, and here it is: what is of the backlog comes first there."""
        if fresh or target in self._fresh:
            self.now(target)
        else:
            self._backlog[target] = None
            self._backlog.move_to_end(target, last=False)

    def at(self, when: float, target: Target, *, patient: bool = False) -> None:
        """Examine it at a time.

        :param when: monotonic seconds.
        :param patient: it is of the backlog.
        """
        if (when, target) not in self._moments:
            self._moments.add((when, target))
            heapq.heappush(self._later, (when, patient, target))

    def once_read(self, revision: int, targets: Iterable[Target]) -> None:
        """Examine them once the cache stands at this etcd revision."""
        for target in targets:
            if revision <= self._read_up_to:
                self.now(target)
            elif (revision, target) not in self._revisions:
                self._revisions.add((revision, target))
                heapq.heappush(self._at_revision, (revision, target))

    def read(self, revision: int) -> None:
        """The cache stands at this revision."""
        self._read_up_to = revision
        while self._at_revision and self._at_revision[0][0] <= revision:
            entry = heapq.heappop(self._at_revision)
            self._revisions.discard(entry)
            self.now(entry[1])

    def pass_time(self, now: float) -> None:
        """It is this late: what is due is to be examined now."""
        while self._later and self._later[0][0] <= now:
            when, patient, target = heapq.heappop(self._later)
            self._moments.discard((when, target))
            if target not in self._fresh and not (patient and target in self._backlog):
                self.resume(target, fresh=not patient)

    def next_at(self) -> float | None:
        """Monotonic seconds of the next entry that waits for a time."""
        return self._later[0][0] if self._later else None

    def take(self, most: int) -> Iterator[tuple[Target, Decision | None]]:
        """Take so many of what is to be examined now, one by one; entries may be added meanwhile."""
        while most > 0 and self:
            most -= 1
            self._taken += 1
            from_backlog = self._backlog and (not self._fresh or self._taken % SHARE == 0)
            self.took_fresh = not from_backlog
            yield (self._backlog if from_backlog else self._fresh).popitem(last=False)

    def waits_for_revision(self) -> bool:
        return bool(self._at_revision)

    def waiting(self) -> Iterator[Target]:
        """The targets that wait for a time."""
        return iter([target for _, _, target in self._later])

    def drop_now(self) -> None:
        """This watcher does not lead: a leader examines everything when its term begins."""
        self._fresh.clear()
        self._backlog.clear()

    def clear(self) -> None:
        """A term has begun or ended."""
        self.drop_now()
        self._later.clear()
        self._at_revision.clear()
        self._moments.clear()
        self._revisions.clear()
