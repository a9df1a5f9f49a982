"""Postponed: targets that are to be examined, and whose decision is not final yet.

Everything above a target is decided about first (:mod:`coordinator.model.standings`): what would start on a decision
that is not final could start too early, or twice.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from coordinator.model.components import Area
from coordinator.model.references import Target
from coordinator.model.standings import Standings


class Postponed:
    """Used by the deciding thread only."""

    def __init__(self, standings: Standings) -> None:
        self._standings = standings
        self._fresh: dict[Target, bool] = {}
        self._areas: dict[Area, list[tuple[int, Target]]] = {}

    def __len__(self) -> int:
        return len(self._fresh)

    def add(self, target: Target, *, fresh: bool) -> None:
        """It is to be examined once it is final. :param fresh: for something that has just happened."""
        known = self._fresh.get(target)
        self._fresh[target] = fresh or bool(known)
        if known is None:
            rank = self._standings.graph.rank(target.pipeline)
            heapq.heappush(self._areas.setdefault(self._standings.area(target), []), (rank, target))

    def take_final(self) -> Iterator[tuple[Target, bool]]:
        """Take what is final by now, with its freshness."""
        for area, waiting in list(self._areas.items()):
            while waiting and self._standings.is_final(waiting[0][1]):
                _, target = heapq.heappop(waiting)
                yield target, self._fresh.pop(target)
            if not waiting:
                del self._areas[area]

    def clear(self) -> None:
        """A term has begun or ended."""
        self._fresh.clear()
        self._areas.clear()
