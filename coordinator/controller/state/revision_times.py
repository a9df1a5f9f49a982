"""When a key was written at the latest, for values that tell no time: a bare word under a state key.

etcd keeps no times. But a trigger record says when it was decided, and what it had consumed by then: whatever has a
lower revision than that is older.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime

COARSE = 8
"""Revisions are told apart by all but so many of their bits: of a million records a few thousand are kept."""


class RevisionTimes:
    """Upper bounds of the time of a revision. Note all, then ask."""

    def __init__(self) -> None:
        self._earliest: dict[int, datetime] = {}
        self._known: tuple[list[int], list[datetime]] | None = None

    def note(self, revision: int, by: datetime) -> None:
        """At this moment this revision, and all before it, had been written."""
        self._known = None
        block = revision >> COARSE  # good for the blocks before, which are complete
        known = self._earliest.get(block)
        if known is None or by < known:
            self._earliest[block] = by

    def at_the_latest(self, revision: int) -> datetime | None:
        """When a revision had been written; ``None``: nothing is known, it may have been just now."""
        if self._known is None:
            self._known = self._settled()
        blocks, moments = self._known
        place = bisect_left(blocks, (revision >> COARSE) + 1)
        return moments[place] if place < len(blocks) else None

    def _settled(self) -> tuple[list[int], list[datetime]]:
        """Each with the earliest moment of those after it: they are as good."""
        blocks = sorted(self._earliest)
        moments = [self._earliest[block] for block in blocks]
        for place in range(len(moments) - 2, -1, -1):
            moments[place] = min(moments[place], moments[place + 1])
        return blocks, moments
