"""Measuring: reads the measures of a reconciler from its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from coordinator.controller.clock import Clock
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.measures import Measures
from coordinator.controller.queue.awaiting_start import AwaitingStart
from coordinator.controller.queue.work_queue import WorkQueue
from coordinator.controller.reconcile.lateness import Lateness
from coordinator.controller.state.cache import Cache
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.publishing.publication import Publication
from coordinator.model.references import Target
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness, readable_record
from coordinator.model.waits import WaitStatus
from coordinator.store.presence import owners_with_different_files, read_presence

PRESENCES = 256
"""Watchers whose files are compared. Whoever may write keys may write any number."""


class Measuring:
    """See the module. :meth:`note_queue` is for the deciding thread; any thread may ask for :meth:`measures`."""

    def __init__(
        self,
        cache: Cache,
        propagation: Propagation,
        *,
        queue: WorkQueue,
        awaiting_start: AwaitingStart,
        dispatchers: Dispatchers,
        lateness: Lateness,
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._propagation = propagation
        self._queue = queue
        self._awaiting_start = awaiting_start
        self._dispatchers = dispatchers
        self._lateness = lateness
        self._clock = clock
        self._queue_empty_at = clock.monotonic()

    def note_queue(self, now: float) -> None:
        """A step has ended. :param now: monotonic seconds."""
        if not self._queue:
            self._queue_empty_at = now

    def measures(self) -> Measures:
        """The state of the reconciler in numbers."""
        unsettled, stuck = self._propagation.unsettled_readiness(), Readiness.STUCK
        records = ((target, readable_record(self._cache.record(target))) for target, one in unsettled if one is stuck)
        blocked = [target for target, record in records if record is not None and record.status is Status.BLOCKED]
        published = {owner: one.value for owner, one in list(self._cache.published.items())}
        now, waits, cursors = self._clock.now(), self._cache.waits.values(), dict(self._cache.cursors)
        environments = self._dispatchers.measures()
        waiting_since = [one.since for one in waits if one.status is WaitStatus.WAITING and one.since is not None]
        presences = map(read_presence, islice(list(self._cache.watchers.values()), PRESENCES))
        due = self._awaiting_start.since()

        def count(found: Iterable[Target]) -> dict[str, int]:
            return _folded(Counter(target.pipeline.environment for target in found), environments)

        oldest = dict.fromkeys(environments, now)
        for target, since in due.items():
            name = target.pipeline.environment if target.pipeline.environment in environments else ""
            oldest[name] = min(oldest.get(name, now), since)
        in_all = Counter((target.pipeline.environment, readiness) for target, readiness in unsettled)
        by_readiness = {
            readiness: _folded(
                {name: number for (name, one), number in in_all.items() if one is readiness}, environments
            )
            for readiness in (Readiness.BUSY, Readiness.STUCK)
        }
        return Measures(
            queue=self._queue.depths(),
            queue_age=self._clock.monotonic() - self._queue_empty_at if self._queue else 0.0,
            unsettled={
                (name, str(readiness)): number for readiness, of in by_readiness.items() for name, number in of.items()
            },
            due=count(due),
            oldest_due={name: (now - since).total_seconds() for name, since in oldest.items()},
            blocked=count(blocked),
            late=count(self._lateness.targets()),
            held=self._cache.held,
            publications={owner: one.version for owner, one in published.items() if isinstance(one, Publication)},
            sensors={str(answer): sum(one.status is answer for one in waits) for answer in WaitStatus},
            longest_wait=max((now - min(waiting_since)).total_seconds(), 0.0) if waiting_since else 0.0,
            differing_files=len(owners_with_different_files(presences)),
            unobserved={name: (now - cursors[name]).total_seconds() for name in environments if name in cursors},
            environments=environments,
        )


def _folded(counts: Mapping[str, int], environments: Collection[str]) -> dict[str, int]:
    """Counts by environment: 0 where there is nothing; those that are not configured together, as ``""``."""
    folded = {name: counts.get(name, 0) for name in environments}
    others = sum(count for name, count in counts.items() if name not in folded)
    return folded | {"": others} if others else folded
