"""Following: asking environments about runs whose changes may not be reported (docs/architecture.md#end).

These runs are followed: a run that we started and whose end has not been reported; an input that has been queued or
running for long; a failed run that others wait for, because a person may have cleared it where nothing reports it.
"""

from __future__ import annotations

import heapq
import zlib
from dataclasses import dataclass
from datetime import datetime

from coordinator.model.references import Target
from coordinator.runners.port import RunOrTask

PATIENCE = 12
"""A long run is asked about more and more rarely: the longest pause is so many times the first one."""

GROWTH = 1.5
"""Each pause is so many times as long as the one before it."""

SPREAD = 0.25
"""A pause is shortened by up to this part of it, differently for each run, so that runs that were started together are
not always asked about together."""


@dataclass(frozen=True, slots=True)
class FollowedRun:
    """A run or a task. It is followed anew in another generation.

    :ivar generation: the queued_at of the attempt of the run; of a sensor, when it began to wait.
    """

    ref: RunOrTask
    generation: datetime | None


@dataclass(slots=True)
class _Followed:
    """:ivar wanted: it was neither dropped nor replaced by another run. This is checked when it is due."""

    target: Target
    run: FollowedRun
    pause: float
    ended_seen: bool = False
    wanted: bool = True


class Following:
    """Which runs to ask about, and when. What is not due costs nothing.

    :param every: seconds without news until the first question about a run; later pauses grow.
    :param patience: the longest pause is so many times the first one.
    """

    def __init__(self, *, every: float, patience: int = PATIENCE) -> None:
        self._every = every
        self._longest = every * patience
        self._followed: dict[Target, _Followed] = {}
        self._queue: list[tuple[float, int, _Followed]] = []
        self._queued = 0

    def __contains__(self, target: Target) -> bool:
        return target in self._followed

    def clear(self) -> None:
        self._followed.clear()
        self._queue.clear()

    def want(self, target: Target, run: FollowedRun | None, *, now: float, at_once: bool = False) -> None:
        """Follow this run for the target; ``None``: stop following. :param at_once: the first question is due now."""
        known = self._followed.get(target)
        if run is not None and known is not None and known.run == run:
            return
        if known is not None:
            known.wanted = False
            del self._followed[target]
        if run is not None:
            self._followed[target] = followed = _Followed(target, run, pause=self._every)
            self._enqueue(now if at_once else now + self._every, followed)

    def due(self, now: float, limit: int) -> list[tuple[Target, RunOrTask]]:
        """The runs to ask about now, at most so many, those that have waited longest first.

        Each is asked about again after a pause. Those beyond ``limit`` stay due.
        """
        asked: list[tuple[Target, RunOrTask]] = []
        while len(asked) < limit and (at := self.next_at()) is not None and at <= now:
            _, _, followed = heapq.heappop(self._queue)
            self._enqueue(now + followed.pause * _share_of_pause(followed.run.ref), followed)
            followed.pause = min(followed.pause * GROWTH, self._longest)
            asked.append((followed.target, followed.run.ref))
        return asked

    def next_at(self) -> float | None:
        """Monotonic seconds of the next question."""
        while self._queue and not self._queue[0][2].wanted:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def end_seen(self, target: Target) -> bool:
        """Note that the run was seen to have ended. Returns whether that had been seen before."""
        followed = self._followed.get(target)
        if followed is None:
            return False
        before, followed.ended_seen = followed.ended_seen, True
        return before

    def _enqueue(self, at: float, followed: _Followed) -> None:
        self._queued += 1  # orders entries that are due at the same time: first come, first asked
        heapq.heappush(self._queue, (at, self._queued, followed))


def _share_of_pause(ref: RunOrTask) -> float:
    """More than ``1 - SPREAD``, at most 1; always the same for a run, in every process."""
    return 1 - SPREAD * zlib.crc32(f"{ref.dag_id}/{ref.run_id}".encode(errors="surrogatepass")) / 2**32
