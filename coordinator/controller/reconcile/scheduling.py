"""Scheduling: what follows from decisions: which targets to examine, what time will change, who is late."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.queue.rechecks import Rechecks
from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.controller.reconcile.breakage import Breakage
from coordinator.controller.reconcile.lateness import Lateness
from coordinator.controller.reconcile.reconcile import Reconcile
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.graph import Graph
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness, readable_record

WAITING = (Status.INTENT, Status.SENT, Status.BLOCKED)
"""Records that wait for something."""

_MOVING = {Obstacle.IN_FLIGHT, Obstacle.RUNNING}


class Scheduling:
    """See the module. Used by the deciding thread only."""

    def __init__(
        self,
        propagation: Propagation,
        queue: WorkQueue,
        *,
        reconcile: Reconcile,
        dispatchers: Dispatchers,
        rechecks: Rechecks,
        lateness: Lateness,
        breakage: Breakage,
    ) -> None:
        self._propagation = propagation
        self._queue = queue
        self._reconcile = reconcile
        self._dispatchers = dispatchers
        self._rechecks = rechecks
        self._lateness = lateness
        self._breakage = breakage

    def take(self, decision: Decision, priority: Priority, *, led_by_another: bool) -> None:
        """Queue what may need something done. What is settled does not, nor what only waits for its inputs: those are
        thousands below a busy root.

        :param led_by_another: another watcher leads, and says what is late.
        """
        target = decision.target
        self._rechecks.note(decision)
        if Obstacle.BROKEN in decision.obstacles:
            self._breakage.note(target, self._propagation.broken[target])
            self._queue.outdate(target)
            return
        self._breakage.forget(target)
        self._lateness.note(decision, now=self._propagation.now, led_by_another=led_by_another)
        self._dispatchers.note(decision)
        if decision.ready or decision.ignored or decision.skips or self._is_concerned(target):
            self._queue.add(target, priority, decision=decision)
        elif decision.readiness is Readiness.STUCK or not decision.obstacles.isdisjoint(_MOVING):
            # What others are stuck behind, and what runs, is followed.
            self._queue.add(target, Priority.CATCHUP, decision=decision)
        else:
            self._queue.outdate(target)

    def obey(self, graph: Graph) -> None:
        """Another graph: what has lost its place in line by it is examined again."""
        for target in self._dispatchers.obey(graph):
            self._queue.add(target, Priority.CATCHUP)

    def late(self) -> Iterable[Target]:
        """What is late now, as far as has been decided."""
        return self._lateness.targets()

    def _is_concerned(self, target: Target) -> bool:
        record = readable_record(self._propagation.record(target))
        if record is not None and record.status in WAITING:
            return True
        return self._reconcile.is_concerned_with(target)
