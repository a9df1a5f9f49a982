"""The latest time at which a key can have been written, for values without a time, such as a bare word as a state.

etcd keeps no times. But a trigger record has the time of its decision and the revisions that it had consumed by then:
every key with a lower revision is older.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime

COARSE = 8
"""So many low bits of a revision are ignored: of a million records, a few thousand entries are kept."""


class RevisionTimes:
    """Upper bounds for the times of revisions. Note all, then ask."""

    def __init__(self) -> None:
        self._earliest: dict[int, datetime] = {}
        self._known: tuple[list[int], list[datetime]] | None = None

    def note(self, revision: int, by: datetime) -> None:
        """This revision, and all before it, had been written by this moment."""
        self._known = None
        block = revision >> COARSE  # good for the blocks before, which are complete
        known = self._earliest.get(block)
        if known is None or by < known:
            self._earliest[block] = by

    def at_the_latest(self, revision: int) -> datetime | None:
        """The moment by which a revision had been written; ``None``: unknown, it may have been just now."""
        if self._known is None:
            self._known = self._settled()
        blocks, moments = self._known
        place = bisect_left(blocks, (revision >> COARSE) + 1)
        return moments[place] if place < len(blocks) else None

    def _settled(self) -> tuple[list[int], list[datetime]]:
        """Each block with the earliest moment noted for it or a later block, which is a bound for it too."""
        blocks = sorted(self._earliest)
        moments = [self._earliest[block] for block in blocks]
        for place in range(len(moments) - 2, -1, -1):
            moments[place] = min(moments[place], moments[place + 1])
        return blocks, moments
