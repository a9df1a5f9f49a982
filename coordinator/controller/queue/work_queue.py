"""The work queue: which targets to examine: now, at a time, or once etcd has been read up to a revision.

An entry is an identity, never an event: examining looks at the present state, so entries of one target coalesce.

What is to be examined now has a priority. LIVE is what has just happened: a completion, an outcome. CATCHUP can wait:
the examination of everything when a term begins or after a publication, and changes that came after a gap. A live
completion never waits behind half a million of those; and they proceed under any load, because one entry in so many
(:data:`SHARE`) is always taken from them.
"""

from __future__ import annotations

import enum
import heapq
from collections import OrderedDict
from collections.abc import Iterator

from coordinator.model.decide import Decision
from coordinator.model.references import Target

KEPT = 1000
"""Decisions that are kept. A decision takes kilobytes, and behind a long queue it is made again on what is known by
then."""

SHARE = 4
"""Where both priorities wait, one in so many is taken from CATCHUP."""


class Priority(enum.Enum):
    LIVE = "live"
    CATCHUP = "catch-up"


class WorkQueue:
    """Used by the deciding thread only. Each target is in it once, so it is as long as there are live keys, at most.

    :ivar took: the priority of the target that was taken last.
    """

    def __init__(self) -> None:
        # Not a dict: finding its first entry becomes slower with each entry that was taken from its front.
        self._ready: dict[Priority, OrderedDict[Target, None]] = {
            Priority.LIVE: OrderedDict(),
            Priority.CATCHUP: OrderedDict(),
        }
        self._decisions: dict[Target, Decision] = {}
        self._later: list[tuple[float, bool, Target]] = []
        self._at_revision: list[tuple[int, Target]] = []
        # The entries of both, so that a target is not added twice.
        self._moments: set[tuple[float, Target]] = set()
        self._revisions: set[tuple[int, Target]] = set()
        self._read_up_to = 0
        self._taken = 0
        self.took = Priority.LIVE

    def __bool__(self) -> bool:
        """Whether there is something to examine now."""
        return any(self._ready.values())

    def __len__(self) -> int:
        """The number of entries, of all kinds."""
        return sum(map(len, self._ready.values())) + len(self._later) + len(self._at_revision)

    def depths(self) -> dict[str, int]:
        """How many entries there are: to be examined now, at a time, once a revision is read. Any thread may ask."""
        live, catchup = self._ready[Priority.LIVE], self._ready[Priority.CATCHUP]
        return {
            "live": len(live),
            "catchup": len(catchup),
            "time": len(self._later),
            "revision": len(self._at_revision),
        }

    def add(
        self,
        target: Target,
        priority: Priority = Priority.LIVE,
        *,
        decision: Decision | None = None,
        after: float | None = None,
        after_revision: int | None = None,
        first: bool = False,
    ) -> None:
        """Examine a target.

        :param decision: made on the present facts already; the newest one counts. Without one, the one that was kept.
        :param after: monotonic seconds; not before.
        :param after_revision: once etcd has been read up to it.
        :param first: before all others of its priority: it has waited its turn already.
        """
        if after is not None:
            self._add_later(target, after, priority)
        elif after_revision is not None and after_revision > self._read_up_to:
            if (after_revision, target) not in self._revisions:
                self._revisions.add((after_revision, target))
                heapq.heappush(self._at_revision, (after_revision, target))
        else:
            if decision is not None:
                self.keep(decision)
            self._add_ready(target, priority, first=first)

    def keep(self, decision: Decision) -> None:
        """Keep the newest decision about a target for when it is examined, now or later, if there is room."""
        if len(self._decisions) < KEPT or decision.target in self._decisions:
            self._decisions[decision.target] = decision

    def outdate(self, target: Target) -> None:
        """The decision that is kept about a target is outdated."""
        self._decisions.pop(target, None)

    def outdate_all(self) -> None:
        """All decisions that are kept are outdated."""
        self._decisions.clear()

    def read(self, revision: int) -> None:
        """etcd has been read up to this revision: entries that waited for it are to be examined now."""
        self._read_up_to = revision
        while self._at_revision and self._at_revision[0][0] <= revision:
            entry = heapq.heappop(self._at_revision)
            self._revisions.discard(entry)
            self.add(entry[1])

    def pass_time(self, now: float) -> None:
        """Entries whose time has come are to be examined now. :param now: monotonic seconds."""
        while self._later and self._later[0][0] <= now:
            when, catchup, target = heapq.heappop(self._later)
            self._moments.discard((when, target))
            waits = target in self._ready[Priority.CATCHUP]
            self._add_ready(target, Priority.CATCHUP if catchup else Priority.LIVE, first=not waits)

    def take(self, most: int) -> Iterator[tuple[Target, Decision | None]]:
        """Take at most so many of the targets to examine now, one by one, each with the decision that is kept about it.

        Entries may be added meanwhile.
        """
        live, catchup = self._ready[Priority.LIVE], self._ready[Priority.CATCHUP]
        while most > 0 and (live or catchup):
            most -= 1
            self._taken += 1
            from_catchup = catchup and (not live or self._taken % SHARE == 0)
            self.took = Priority.CATCHUP if from_catchup else Priority.LIVE
            target, _ = (catchup if from_catchup else live).popitem(last=False)
            yield target, self._decisions.pop(target, None)

    def next_at(self) -> float | None:
        """Monotonic seconds of the next entry that waits for a time."""
        return self._later[0][0] if self._later else None

    def waits_for_revision(self) -> bool:
        return bool(self._at_revision)

    def waiting(self) -> Iterator[Target]:
        """The targets that wait for a time."""
        return iter([target for _, _, target in self._later])

    def drop_ready(self) -> None:
        """Drop the entries to examine now: this watcher does not lead, and a leader examines everything at first."""
        for ready in self._ready.values():
            ready.clear()
        self._decisions.clear()

    def clear(self) -> None:
        """A term has begun or ended."""
        self.drop_ready()
        self._later.clear()
        self._at_revision.clear()
        self._moments.clear()
        self._revisions.clear()

    def _add_ready(self, target: Target, priority: Priority, *, first: bool) -> None:
        live, catchup = self._ready[Priority.LIVE], self._ready[Priority.CATCHUP]
        if priority is Priority.LIVE:
            catchup.pop(target, None)
            ready = live
        else:
            ready = live if target in live else catchup
        ready[target] = None
        if first and ready is catchup:
            ready.move_to_end(target, last=False)

    def _add_later(self, target: Target, when: float, priority: Priority) -> None:
        if (when, target) not in self._moments:
            self._moments.add((when, target))
            heapq.heappush(self._later, (when, priority is Priority.CATCHUP, target))
