"""Targets about which something is to be done at some moment."""

from __future__ import annotations

import heapq

from coordinator.model.references import Target


class Due:
    """Each target has one moment, in monotonic seconds; 0: at once."""

    def __init__(self) -> None:
        self._at: dict[Target, float] = {}
        self._in_order: list[tuple[float, int, Target]] = []

    def put(self, target: Target, at: float, *, order: int = 0) -> None:
        """Something is to be done about a target then, and not before.

        :param order: among the targets of one moment, the lowest first.
        """
        self._at[target] = at
        heapq.heappush(self._in_order, (at, order, target))

    def take(self, now: float, most: int) -> list[Target]:
        """Remove the targets whose moment has come, the earliest first, and return them. :param most: of them."""
        taken: list[Target] = []
        while len(taken) < most and (at := self.next_at()) is not None and at <= now:
            target = heapq.heappop(self._in_order)[2]
            del self._at[target]
            taken.append(target)
        return taken

    def next_at(self) -> float | None:
        """The earliest moment; ``None``: there is none."""
        while self._in_order and self._at.get(self._in_order[0][2]) != self._in_order[0][0]:
            heapq.heappop(self._in_order)  # it has another moment by now
        return self._in_order[0][0] if self._in_order else None

    def clear(self) -> None:
        self._at.clear()
        self._in_order.clear()
