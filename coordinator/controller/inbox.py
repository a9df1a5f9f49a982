"""The inbox: what the deciding thread is told, by etcd and by environments.

What etcd tells is bounded. When the deciding thread stands still, or a hundred thousand reports come at once, the
reflector waits here; then its stream is not read, and gRPC's flow control lets etcd keep the rest: it has it anyway.
How long ago something was read is kept with it: what has lain here for long has not just happened any more.
What environments answer is never held back, for the threads that bring it must not wait for ever: there is at most one
answer for each request that was let out, and those are bounded.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from coordinator.controller.dispatch.jobs import EffectDone, LookDone
from coordinator.controller.messages import Message
from coordinator.store.port import Changes
from coordinator.store.reflector import Disconnected, Snapshot, Update

BOUND = 20_000
"""Changes that may wait to be taken; a listing counts with all its keys. The message that fills it is still taken in,
so that one that is larger than all room gets through."""

AT_ONCE = 1_000
"""Changes after which no further message is taken together with them: between two pieces something is decided."""


class Inbox:
    """One thread takes, many put.

    :param clock: seconds, growing.
    :ivar lag: seconds since the oldest of the updates that were taken last was read; infinite where the reflector had
        to wait: then it may have lain in etcd for any time.
    """

    def __init__(self, *, bound: int = BOUND, at_once: int = AT_ONCE, clock: Callable[[], float] = monotonic) -> None:
        self._bound = bound
        self._at_once = at_once
        self._answers: deque[EffectDone | LookDone] = deque()
        self._clock = clock
        self.lag = 0.0
        self._updates: deque[tuple[Update, float]] = deque()
        # Rings for every message. No lock of ours is taken for it: a signal handler rings too, and may interrupt
        # the very thread that holds one.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting = 0
        self._is_late = False
        self._closed = False

    def wake(self) -> None:
        """There is something to look at. Safe from any thread and in a signal handler."""
        self._bell.put(None)

    def put_answer(self, answer: EffectDone | LookDone) -> None:
        """What came of a request. Never waits."""
        self._answers.append(answer)
        self._bell.put(None)

    def put_update(self, update: Update) -> bool:
        """What etcd tells, in order; waits until there is room. Returns whether it was put: not once it is closed."""
        with self._room:
            if not self._waiting:
                self._is_late = False
            while self._waiting >= self._bound and not self._closed:
                self._is_late = True  # and so is what comes behind it, until all has been taken
                self._room.wait()
            if self._closed:
                return False
            self._waiting += _weight(update)
            read_at = -math.inf if self._is_late else self._clock()
        self._updates.append((update, read_at))
        self._bell.put(None)
        return True

    def take(self, timeout: float, *, updates: bool = True) -> list[Message]:
        """What is there: every answer, and as many updates as are taken together; after waiting for the first.

        :param timeout: seconds to wait at most.
        :param updates: false: answers alone, for there are updates that were taken before and wait to be taken in.
        """
        self._wait(0.0 if self._answers or (updates and self._updates) else timeout)
        messages: list[Message] = []
        while self._answers:
            messages.append(self._answers.popleft())
        taken = 0
        self.lag = max(0.0, self._clock() - self._updates[0][1]) if self._updates else 0.0
        while updates and self._updates and taken < self._at_once:
            update, _ = self._updates.popleft()
            taken += _weight(update)
            messages.append(update)
        if taken:
            with self._room:
                self._waiting -= taken
                self._room.notify_all()
        return messages

    @property
    def changes_waiting(self) -> int:
        """Changes that wait to be taken. Any thread may ask."""
        return self._waiting

    def is_empty(self) -> bool:
        return not (self._answers or self._updates)

    def close(self) -> None:
        """Nobody takes any more: who waits to put an update goes on."""
        with self._room:
            self._closed = True
            self._room.notify_all()

    def _wait(self, timeout: float) -> None:
        try:
            self._bell.get(timeout=timeout)
            while True:  # all that has rung so far lies here already
                self._bell.get_nowait()
        except queue.Empty:
            return


def _weight(update: Update) -> int:
    match update:
        case Snapshot():
            return max(1, len(update.listing.items))
        case Changes():
            return max(1, len(update.changes))
        case Disconnected():
            return 1
