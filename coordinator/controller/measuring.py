"""Measuring: reads the measures of a reconciler from its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
from coordinator.store.presence import differing_files, read_presence

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

        def place(target: Target) -> str:
            return target.pipeline.environment if target.pipeline.environment in environments else ""

        def count(targets: Iterable[Target]) -> dict[str, int]:
            return dict.fromkeys(environments, 0) | Counter(map(place, targets))

        oldest_due = dict.fromkeys(environments, 0.0)
        for target, since in due.items():
            oldest_due[place(target)] = max(oldest_due.get(place(target), 0.0), (now - since).total_seconds())
        readiness = {(name, str(one)): 0 for name in environments for one in (Readiness.BUSY, Readiness.STUCK)}
        return Measures(
            queue=self._queue.depths(),
            queue_age=self._clock.monotonic() - self._queue_empty_at if self._queue else 0.0,
            unsettled=readiness | Counter((place(target), str(one)) for target, one in unsettled),
            due=count(due),
            oldest_due=oldest_due,
            blocked=count(blocked),
            late=count(self._lateness.targets()),
            held=self._cache.held,
            publications={owner: one.version for owner, one in published.items() if isinstance(one, Publication)},
            sensors={str(answer): sum(one.status is answer for one in waits) for answer in WaitStatus},
            longest_wait=max((now - min(waiting_since)).total_seconds(), 0.0) if waiting_since else 0.0,
            differing_files=len(differing_files(presences)),
            unobserved={name: (now - cursors[name]).total_seconds() for name in environments if name in cursors},
            environments=environments,
        )
