"""Arrivals: which states have arrived live, and when."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.view import SeenState

ON_THE_WAY = 1.0
"""Seconds that a fresh report may take from observation to arrival, or by which clocks may differ."""


class Arrivals:
    """Kept for as long as they may be fresh.

    :ivar fresh_for: seconds for which a completion that arrived live counts as fresh.
    """

    def __init__(self, fresh_for: float) -> None:
        self.fresh_for = fresh_for
        self._at: dict[Target, float] = {}
        self._in_order: deque[tuple[float, Target]] = deque()

    def note(self, target: Target, at: float) -> None:
        """The present state of a target has arrived live. :param at: monotonic seconds."""
        self._at[target] = at
        self._in_order.append((at, target))

    def drop(self, target: Target) -> None:
        """The state that had arrived is not the present one any more."""
        self._at.pop(target, None)

    def is_recent(self, target: Target, now: float) -> bool:
        """Whether its present state arrived live a moment ago. :param now: monotonic seconds."""
        at = self._at.get(target)
        return at is not None and now - at <= self.fresh_for

    def is_fresh(self, target: Target, seen: SeenState | None, now: float, *, at: datetime) -> bool:
        """Whether its present state arrived live a moment ago, and was observed a moment ago.

        A report may have waited in an outbox for long, and its run may have been cleared meanwhile, which nothing
        reports. Where a writer does not say when it observed the state, or its clock is wrong, the run is only looked
        at again.

        :param seen: its present state.
        :param now: monotonic seconds.
        :param at: the time of day.
        """
        if not self.is_recent(target, now):
            return False
        if seen is None or not isinstance(seen.value, RunState) or seen.value.observed_at is None:
            return False
        return abs((at - seen.value.observed_at).total_seconds()) <= self.fresh_for + ON_THE_WAY

    def forget_old(self, now: float) -> None:
        """Forget those that are not recent any more. :param now: monotonic seconds."""
        while self._in_order and now - self._in_order[0][0] > self.fresh_for:
            at, target = self._in_order.popleft()
            if self._at.get(target) == at:
                del self._at[target]
