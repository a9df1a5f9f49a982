"""Following through REST what does not report (design section 5, point 5).

Followed are: a run that we started and whose end has not been reported; an input that says queued or running
for long; a failed one that others wait behind, for a person may have cleared it where nobody reports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from coordinator.model.references import Target
from coordinator.runners.port import RunRef

PATIENCE = 12
"""A run that goes on and on is asked about ever more rarely, up to so many times the first pause."""


@dataclass(frozen=True, slots=True)
class FollowedRun:
    """A run, and the attempt of it (its queued_at) that is followed: a cleared run is followed anew."""

    ref: RunRef
    attempt: datetime | None


@dataclass(slots=True)
class _Followed:
    run: FollowedRun
    ask_at: float
    pause: float
    ended_seen: bool = False


class Following:
    """Which runs to ask about, and when.

    :param every: seconds of silence after which a run is asked about first; then the pauses grow.
    """

    def __init__(self, *, every: float) -> None:
        self._every = every
        self._followed: dict[Target, _Followed] = {}
        self._next_at: float | None = None

    def __len__(self) -> int:
        return len(self._followed)

    def __contains__(self, target: Target) -> bool:
        return target in self._followed

    def clear(self) -> None:
        self._followed.clear()

    def want(self, target: Target, run: FollowedRun | None, *, now: float) -> None:
        """Follow this run for the target; ``None``: there is nothing to follow any more."""
        if run is None:
            self._followed.pop(target, None)
            return
        known = self._followed.get(target)
        if known is None or known.run != run:
            self._followed[target] = _Followed(run, ask_at=now + self._every, pause=self._every)
            self._next_at = min(self._next_at or math.inf, now + self._every)

    def due(self, now: float) -> list[tuple[Target, RunRef]]:
        """The runs to ask about now; each is asked about again after a pause."""
        if self._next_at is None or now < self._next_at:
            return []
        asked = []
        for target, followed in self._followed.items():
            if followed.ask_at <= now:
                followed.ask_at = now + followed.pause
                followed.pause = min(followed.pause * 1.5, self._every * PATIENCE)
                asked.append((target, followed.run.ref))
        self._next_at = min((followed.ask_at for followed in self._followed.values()), default=None)
        return asked

    def next_at(self) -> float | None:
        """Monotonic seconds of the next question."""
        return self._next_at

    def end_seen(self, target: Target) -> bool:
        """Note that the run was seen to have ended; whether that had been seen before."""
        followed = self._followed.get(target)
        if followed is None:
            return False
        before, followed.ended_seen = followed.ended_seen, True
        return before
