"""Scheduling: what follows from a decision: whether to examine the target, when to decide again, whether it is late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.controller.reconcile.lateness import Lateness
from coordinator.controller.reconcile.reconcile import Reconcile
from coordinator.controller.reconcile.task_observer import needs_task_checks
from coordinator.controller.state.waits import Waits
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.graph import Graph
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness, readable_record

WAITING = (Status.INTENT, Status.SENT, Status.BLOCKED)
"""The statuses of records that wait for something."""

_MOVING = {Obstacle.IN_FLIGHT, Obstacle.RUNNING}
"""Obstacles of a run that is under way: they go by themselves."""


class DecisionReader(Protocol):
    """A part that takes note of every decision, and of targets that could not be decided about."""

    def note(self, decision: Decision) -> None:
        """Note a decision."""


class Scheduling:
    """See the module. Used by the deciding thread only. :param readers: who else takes note of decisions."""

    def __init__(
        self,
        propagation: Propagation,
        queue: WorkQueue,
        *,
        waits: Waits,
        reconcile: Reconcile,
        dispatchers: Dispatchers,
        lateness: Lateness,
        readers: Sequence[DecisionReader],
    ) -> None:
        self._propagation = propagation
        self._queue = queue
        self._waits = waits
        self._reconcile = reconcile
        self._dispatchers = dispatchers
        self._lateness = lateness
        self._readers = readers

    def take(self, decision: Decision, priority: Priority, *, led_by_another: bool) -> None:
        """Queue a target that may have a next step. A settled target has none, nor has one that only waits for its
        inputs: there may be thousands of those below a busy root.

        :param led_by_another: another watcher leads, and logs what is late.
        """
        target = decision.target
        for waiting in self._waits.behind(target.whole):
            self._queue.add(waiting, priority)
        for reader in self._readers:
            reader.note(decision)
        if Obstacle.BROKEN in decision.obstacles:
            self._queue.outdate(target)
            return
        self._lateness.note(decision, now=self._propagation.now, led_by_another=led_by_another)
        self._dispatchers.note(decision, waits_inside=self._waits.is_waiting_in(target))
        is_outdated = decision.is_state_outdated(self._propagation.state(target))
        if decision.ready or decision.ignored or decision.skips or is_outdated or self._is_concerned(decision):
            self._queue.add(target, priority, decision=decision)
        elif decision.readiness is Readiness.STUCK or not decision.obstacles.isdisjoint(_MOVING):
            # Runs that go on, and failures that others are stuck behind, are followed.
            self._queue.add(target, Priority.CATCHUP, decision=decision)
        else:
            self._queue.outdate(target)

    def use(self, graph: Graph) -> None:
        """Use another graph: targets that lose their place in line are examined again."""
        for target in self._dispatchers.use(graph):
            self._queue.add(target, Priority.CATCHUP)

    def late(self) -> Iterable[Target]:
        """The partitions that are late, by the decisions so far."""
        return self._lateness.targets()

    def _is_concerned(self, decision: Decision) -> bool:
        record = readable_record(self._propagation.record(decision.target))
        if record is not None and record.status in WAITING:
            return True
        return self._reconcile.is_concerned_with(decision.target) or needs_task_checks(self._propagation, decision)
