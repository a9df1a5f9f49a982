"""The inbox: messages for the deciding thread, from etcd and from environments.

Updates from etcd are bounded. When the deciding thread is blocked, or a hundred thousand reports come at once, the
reflector waits here; then its stream is not read, and gRPC's flow control lets etcd keep the rest.
Each update is kept with the time at which it was read. Their *lag* is the age of the oldest one: an update that has
waited here for long has not just happened.
Answers of environments are never held back, because the threads that bring them must not wait for ever: there is at
most one answer for each request that was sent, and requests are bounded.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from coordinator.controller.dispatch.jobs import ChangesSeen, EffectDone, LookDone
from coordinator.controller.messages import Message
from coordinator.store.port import Changes
from coordinator.store.reflector import Disconnected, Snapshot, Update

BOUND = 20_000
"""Changes that may wait to be taken; a listing counts with all its keys. The message that fills the inbox is still
accepted, so that one that is larger than the whole inbox gets through."""

AT_ONCE = 1_000
"""Changes after which no further message is taken together with them, so that decisions are made in between."""


class Inbox:
    """One thread takes, many put.

    :param clock: seconds, growing.
    :ivar lag: seconds since the oldest of the updates that were taken last was read; infinite where the reflector had
        to wait: then it may have lain in etcd for any time.
    """

    def __init__(self, *, bound: int = BOUND, at_once: int = AT_ONCE, clock: Callable[[], float] = monotonic) -> None:
        self._bound = bound
        self._at_once = at_once
        self._answers: deque[EffectDone | LookDone | ChangesSeen] = deque()
        self._clock = clock
        self.lag = 0.0
        self._updates: deque[tuple[Update, float]] = deque()
        # One item for every message. It needs no lock of ours: a signal handler puts one too, and may interrupt the
        # very thread that holds such a lock.
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting = 0
        self._is_late = False
        self._closed = False

    def wake(self) -> None:
        """End the wait of :meth:`take`. Safe from any thread and in a signal handler."""
        self._wakeups.put(None)

    def put_answer(self, answer: EffectDone | LookDone | ChangesSeen) -> None:
        """Put the result of a request. Never waits."""
        self._answers.append(answer)
        self._wakeups.put(None)

    def put_update(self, update: Update) -> bool:
        """Put what was read from etcd, in order; waits for room. Returns whether it was put: not once closed."""
        with self._room:
            if not self._waiting:
                self._is_late = False
            while self._waiting >= self._bound and not self._closed:
                self._is_late = True  # and so is everything behind it, until all has been taken
                self._room.wait()
            if self._closed:
                return False
            self._waiting += _size(update)
            read_at = -math.inf if self._is_late else self._clock()
        self._updates.append((update, read_at))
        self._wakeups.put(None)
        return True

    def take(self, timeout: float, *, updates: bool = True) -> list[Message]:
        """Wait for the first message; then take every answer, and as many updates as are taken together.

        :param timeout: seconds to wait at most.
        :param updates: false: take answers alone, because updates that were taken before are not handled yet.
        """
        self._wait(0.0 if self._answers or (updates and self._updates) else timeout)
        messages: list[Message] = []
        while self._answers:
            messages.append(self._answers.popleft())
        taken = 0
        self.lag = max(0.0, self._clock() - self._updates[0][1]) if self._updates else 0.0
        while updates and self._updates and taken < self._at_once:
            update, _ = self._updates.popleft()
            taken += _size(update)
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
        """Nothing is taken any more: a thread that waits to put an update goes on."""
        with self._room:
            self._closed = True
            self._room.notify_all()

    def _wait(self, timeout: float) -> None:
        try:
            self._wakeups.get(timeout=timeout)
            while True:  # everything put so far is here already
                self._wakeups.get_nowait()
        except queue.Empty:
            return


def _size(update: Update) -> int:
    match update:
        case Snapshot():
            return max(1, len(update.listing.items))
        case Changes():
            return max(1, len(update.changes))
        case Disconnected():
            return 1
