"""Scheduling: what follows from decisions: which targets to examine, what time will change, who is late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from coordinator.model.decide import Decision
from coordinator.model.references import Target
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Standing
from coordinator.watcher.cache import Cache
from coordinator.watcher.dispatchers import Dispatchers
from coordinator.watcher.lateness import Lateness
from coordinator.watcher.rechecks import Rechecks
from coordinator.watcher.reconcile import Reconcile
from coordinator.watcher.work_queue import Priority, WorkQueue

WAITING = (Status.INTENT, Status.SENT, Status.BLOCKED)
"""Records that wait for something."""


class Scheduling:
    """See the module. Used by the deciding thread only."""

    def __init__(
        self,
        cache: Cache,
        queue: WorkQueue,
        *,
        reconcile: Reconcile,
        dispatchers: Dispatchers,
        rechecks: Rechecks,
        lateness: Lateness,
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._reconcile = reconcile
        self._dispatchers = dispatchers
        self._rechecks = rechecks
        self._lateness = lateness

    def take(self, decisions: Iterable[Decision], priority: Priority, *, now: datetime, led_by_another: bool) -> None:
        """Queue what may need something done; what is settled and waits for nothing does not.

        :param now: the time of day.
        :param led_by_another: another watcher leads, and says what is late.
        """
        for decision in decisions:
            self._rechecks.note((decision,))
            self._lateness.note((decision,), now=now, under_a_leader=led_by_another)
            self._dispatchers.note(decision)
            if decision.standing is not Standing.SETTLED or decision.ignored or self._is_concerned(decision.target):
                self._queue.add(decision.target, priority, decision=decision)

    def late(self) -> Iterable[Target]:
        """What is late now, as far as has been decided."""
        return self._lateness.targets()

    def _is_concerned(self, target: Target) -> bool:
        seen = self._cache.record(target)
        if seen is not None and isinstance(seen.value, TriggerRecord) and seen.value.status in WAITING:
            return True
        return self._reconcile.is_concerned_with(target)
