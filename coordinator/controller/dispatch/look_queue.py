"""The looks at an environment: which runs to ask about next, and which the present look asks about.

A look is one question to an environment about the present state of several runs. One look is out at a time. Runs that
are asked about meanwhile go out together with the next one, up to a bound; those that there was no time for go first.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from coordinator.controller.dispatch.jobs import LookDone
from coordinator.runners.port import RunOrTask

ASKED_IN_A_LOOK = 500
"""Runs that somebody waits for, in one look. The others go out with the next one, as soon as this one has come back."""

FOLLOWED_IN_A_LOOK = 200
"""Runs that are only followed, beside them: two to twenty requests, so that a target that asks meanwhile does not wait
long."""


@dataclass(frozen=True, slots=True)
class Look:
    """Which runs a look asks about, and how long each may take, in seconds.

    :ivar asked: those that somebody waits for.
    :ivar followed_first: the last look had no time for any of the others.
    """

    asked: dict[RunOrTask, float]
    followed: dict[RunOrTask, float]
    followed_first: bool = False

    def in_order(self) -> tuple[RunOrTask, ...]:
        return (*self.followed, *self.asked) if self.followed_first else (*self.asked, *self.followed)

    def timeout(self) -> float:
        return max((*self.asked.values(), *self.followed.values()))


class LookQueue:
    """See the module. Used by the deciding thread only."""

    def __init__(self) -> None:
        self._asked: dict[RunOrTask, float] = {}
        self._followed: dict[RunOrTask, float] = {}
        self._followed_first = False
        self._out: Look | None = None

    def add(self, run: RunOrTask, *, timeout: float, followed: bool = False) -> None:
        """Look at a run with one of the next looks, in the order in which they are asked for.

        :param timeout: seconds; the longest asked for counts.
        :param followed: nobody waits for it.
        """
        queue = self._followed if followed and run not in self._asked else self._asked
        queue[run] = max(timeout, queue.get(run, 0.0))
        if not followed:
            self._followed.pop(run, None)

    def next(self) -> Look | None:
        """The next look, which is out from now on; ``None``: there is none, or one is out."""
        if not self.is_waiting():
            return None
        self._out = Look(
            _take(self._asked, ASKED_IN_A_LOOK), _take(self._followed, FOLLOWED_IN_A_LOOK), self._followed_first
        )
        return self._out

    def is_waiting(self) -> bool:
        """Whether a look could go out."""
        return bool(self._asked or self._followed) and self._out is None

    def is_idle(self) -> bool:
        return not (self._asked or self._followed or self._out is not None)

    def finished(self, message: LookDone) -> None:
        """The look is back. Runs that there was no time for go to the front of their queue."""
        look, self._out = self._out, None
        if look is None:
            return
        again = message.asked_again
        asked = {run: timeout for run, timeout in look.asked.items() if run in again}
        followed = {run: timeout for run, timeout in look.followed.items() if run in again}
        self._followed_first = bool(followed) and len(followed) == len(look.followed)
        if asked:
            self._asked = {**asked, **self._asked}
            for run in asked:
                self._followed.pop(run, None)
        if followed:
            waiting = {run: timeout for run, timeout in followed.items() if run not in self._asked}
            self._followed = {**waiting, **self._followed}

    def forget(self) -> None:
        """Drop all questions; nobody waits any more for the look that is out."""
        self._asked.clear()
        self._followed.clear()
        if self._out is not None:
            self._out = Look({}, {})


def _take(queue: dict[RunOrTask, float], most: int) -> dict[RunOrTask, float]:
    """Remove the first entries of a queue, and return them."""
    return {run: queue.pop(run) for run in tuple(itertools.islice(queue, most))}
