"""Postponed: targets that are to be examined, and whose decision is not final yet.

Everything above a target is decided about first (:mod:`coordinator.model.propagation.propagation`): a run that starts
on a decision that is not final could start too early, or twice.
"""

from __future__ import annotations

import heapq

from coordinator.controller.queue.work_queue import Priority, WorkQueue
from coordinator.model.propagation.components import Area
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target


class Postponed:
    """Used by the deciding thread only."""

    def __init__(self, propagation: Propagation, queue: WorkQueue) -> None:
        self._propagation = propagation
        self._queue = queue
        self._priorities: dict[Target, Priority] = {}
        self._areas: dict[Area, list[tuple[int, Target]]] = {}

    def __len__(self) -> int:
        return len(self._priorities)

    def add(self, target: Target) -> None:
        """Examine the target that was taken from the queue last once its decision is final, with the highest priority
        that it was taken with."""
        known = self._priorities.get(target)
        if known is not Priority.LIVE:
            self._priorities[target] = self._queue.took
        if known is None:
            rank = self._propagation.graph.rank(target.pipeline)
            heapq.heappush(self._areas.setdefault(self._propagation.area(target), []), (rank, target))

    def requeue_final(self) -> None:
        """Queue the targets whose decision is final by now, each with its priority."""
        for area, waiting in list(self._areas.items()):
            while waiting and self._propagation.is_final(waiting[0][1]):
                _, target = heapq.heappop(waiting)
                self._queue.add(target, self._priorities.pop(target), first=True)
            if not waiting:
                del self._areas[area]

    def clear(self) -> None:
        """A term has begun or ended."""
        self._priorities.clear()
        self._areas.clear()
