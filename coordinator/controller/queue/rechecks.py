"""Rechecks: decisions that time alone may change (a deadline passes, a completion becomes too old)."""

from __future__ import annotations

import heapq
from datetime import datetime

from coordinator.model.decide import Decision
from coordinator.model.references import Target

ROOM = 1000
"""Outdated entries that the heap may keep, in addition to as many as there are valid ones."""


class Rechecks:
    """When to decide again about which target. Leader and standby both keep it: readiness must be right at a
    takeover."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, Target]] = []
        self._at: dict[Target, datetime] = {}

    def note(self, decision: Decision) -> None:
        """Note a decision; the newest one about a target counts."""
        at = decision.recheck_at
        if at is None:
            if self._at:
                self._at.pop(decision.target, None)
        elif self._at.get(decision.target) != at:
            self._at[decision.target] = at
            heapq.heappush(self._heap, (at, decision.target))
            if len(self._heap) > 2 * len(self._at) + ROOM:
                # Where each completion moves the time (max_age), there would be as many entries as completions.
                self._heap = [(when, target) for target, when in self._at.items()]
                heapq.heapify(self._heap)

    def due(self, now: datetime) -> list[Target]:
        """The targets to decide about again; each is named once."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            at, target = heapq.heappop(self._heap)
            if self._at.get(target) == at:
                del self._at[target]
                due.append(target)
        return due

    def __len__(self) -> int:
        """The number of entries, including outdated ones."""
        return len(self._heap)

    def next_at(self) -> datetime | None:
        """The next moment; its entry may be outdated."""
        return self._heap[0][0] if self._heap else None
