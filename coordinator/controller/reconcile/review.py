"""The review: finds the records of settled targets that are still to be updated, and tasks still to be looked at.

Busy and stuck targets are known at any time (:class:`~coordinator.model.propagation.propagation.Propagation`). A
settled target may still have a record that waits: its run has ended and ``done`` is to be written, or something new is
to be consumed without a run. A settled task may be one that was not looked at since its run has ended. A new leader
goes through all of them, and every leader does so now and then; of a million records only a piece at a time, so that
due targets need not wait.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.controller.reconcile.scheduling import WAITING
from coordinator.controller.state.cache import Cache
from coordinator.model.dependencies import Rerun
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.tasks import is_to_be_confirmed
from coordinator.model.view import Readiness, readable_record

PIECE = 2000
"""Records in one piece: a few milliseconds."""


class Review:
    """Used by the deciding thread only."""

    def __init__(self, cache: Cache, propagation: Propagation) -> None:
        self._cache = cache
        self._propagation = propagation
        self._left: list[Target] = []

    def __bool__(self) -> bool:
        """Whether there is more to go through."""
        return bool(self._left)

    def begin(self) -> None:
        """Start with all present records and tasks. Later changes are examined anyway."""
        self._left = self._cache.recorded() + self._cache.tasks()

    def clear(self) -> None:
        self._left = []

    def piece(self) -> Iterator[Target]:
        """The targets to examine among the next ones."""
        piece = self._left[-PIECE:]
        del self._left[-PIECE:]
        return (target for target in piece if self._waits(target))

    def _waits(self, target: Target) -> bool:
        if target.pipeline.task:
            return is_to_be_confirmed(self._cache, target)
        record = readable_record(self._cache.record(target))
        if record is None:
            return False
        if self._propagation.readiness(target) is not Readiness.SETTLED:
            return False  # it is examined anyway
        return record.status in WAITING or record.skipped or self._ignores(target)

    def _ignores(self, target: Target) -> bool:
        node = self._propagation.graph.node(target.pipeline)
        return node is not None and node.downstream.rerun is Rerun.IGNORE
