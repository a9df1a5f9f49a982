"""Measuring: reads the measures of a reconciler from its parts."""

from __future__ import annotations

from coordinator.controller.clock import Clock
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.measures import Measures
from coordinator.controller.queue.work_queue import WorkQueue
from coordinator.controller.reconcile.lateness import Lateness
from coordinator.controller.state.cache import Cache
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.publishing.publication import Publication
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness, readable_record
from coordinator.model.waits import WaitStatus


class Measuring:
    """See the module. :meth:`note_queue` is for the deciding thread; any thread may ask for :meth:`measures`."""

    def __init__(
        self,
        cache: Cache,
        propagation: Propagation,
        *,
        queue: WorkQueue,
        dispatchers: Dispatchers,
        lateness: Lateness,
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._propagation = propagation
        self._queue = queue
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
        unsettled = self._propagation.unsettled_readiness()
        stuck = [target for target, readiness in unsettled if readiness is Readiness.STUCK]
        records = (readable_record(self._cache.record(target)) for target in stuck)
        published = {owner: one.value for owner, one in list(self._cache.published.items())}
        now, waits, cursors = self._clock.now(), self._cache.waits.values(), dict(self._cache.cursors)
        environments = self._dispatchers.measures()
        waiting_since = [one.since for one in waits if one.status is WaitStatus.WAITING and one.since is not None]
        return Measures(
            queue=self._queue.depths(),
            queue_age=self._clock.monotonic() - self._queue_empty_at if self._queue else 0.0,
            unsettled={"busy": len(unsettled) - len(stuck), "stuck": len(stuck)},
            blocked=sum(record is not None and record.status is Status.BLOCKED for record in records),
            late=len(self._lateness),
            held=self._cache.held,
            publications={owner: one.version for owner, one in published.items() if isinstance(one, Publication)},
            sensors={str(answer): sum(one.status is answer for one in waits) for answer in WaitStatus},
            longest_wait=max((now - min(waiting_since)).total_seconds(), 0.0) if waiting_since else 0.0,
            unobserved={name: (now - cursors[name]).total_seconds() for name in environments if name in cursors},
            environments=environments,
        )
