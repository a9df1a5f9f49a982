"""Timings: how long requests took, in buckets, for ``/metrics``.

Not a histogram of prometheus_client: this runs in Airflow's processes too, where that library may be set up for
Airflow's own metrics.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: the upper bounds of the buckets. A last bucket has what took longer."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """:ivar counts: how many were in each bucket, and in none below it. :ivar seconds: the sum of all of them."""

    counts: tuple[int, ...]
    seconds: float


class Timings:
    """Safe from any thread. Labels must be few: what is kept is never forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def note(self, *labels: str, seconds: float) -> None:
        """Something took so many seconds."""
        with self._lock:
            counts = self._counts.setdefault(labels, [0] * (len(BOUNDS) + 1))
            counts[bisect_left(BOUNDS, seconds)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + seconds

    def snapshot(self) -> Mapping[Labels, Timing]:
        """All of them, as they were at one moment."""
        with self._lock:
            return {labels: Timing(tuple(counts), self._sums[labels]) for labels, counts in self._counts.items()}
