"""Pace: how much of one piece of work the deciding thread does before it turns to something else.

A step that takes seconds costs a healthy leader its lease, and everything that arrives meanwhile waits for its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


class Budget:
    """The rest of one piece of work. It allows at least one unit, so that there is always progress."""

    def __init__(self, units: int, until: float, clock: Callable[[], float]) -> None:
        self._units = units
        self._until = until
        self._clock = clock

    def spend(self) -> None:
        """One unit has been done."""
        self._units -= 1

    def __bool__(self) -> bool:
        """Whether there is something left."""
        return self._units > 0 and self._clock() < self._until


@dataclass(frozen=True, slots=True)
class Pace:
    """:ivar units: keys read, or targets decided about, in one piece.
    :ivar seconds: for one piece: a wide condition may take milliseconds to decide about.
    :ivar clock: real time, also where the world's time is virtual.
    """

    units: int = 5_000
    seconds: float = 0.05
    clock: Callable[[], float] = time.monotonic

    def budget(self) -> Budget:
        """For one piece."""
        return Budget(self.units, self.clock() + self.seconds, self.clock)
