"""Which targets are due and not started, and since when, for ``/metrics``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.trigger import Status
from coordinator.model.view import readable_record


class AwaitingStart:
    """Takes note of every decision, on leader and standby alike: what is due while nobody leads is known, too.

    A target is due from the decision on by which it fires, until its environment has its request. What is held, blocked
    or busy is not due. One whose request has no answer yet is due since its intent was written.
    """

    def __init__(self, propagation: Propagation) -> None:
        self._propagation = propagation
        self._since: dict[Target, datetime] = {}

    def note(self, decision: Decision) -> None:
        """Note a decision; the newest one about a target counts."""
        target = decision.target
        if decision.fires:
            self._since.setdefault(target, self._propagation.now)
        elif Obstacle.IN_FLIGHT in decision.obstacles and self._has_intent(target):
            self._since.setdefault(target, self._intended_at(target))
        elif self._since:
            self._since.pop(target, None)

    def since(self) -> Mapping[Target, datetime]:
        """Since when each is due. Copied in one go, so that any thread may ask."""
        return self._since.copy()

    def _has_intent(self, target: Target) -> bool:
        record = readable_record(self._propagation.record(target))
        return record is not None and record.status is Status.INTENT

    def _intended_at(self, target: Target) -> datetime:
        record = readable_record(self._propagation.record(target))
        return self._propagation.now if record is None or record.when is None else record.when
