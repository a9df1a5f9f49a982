"""When a run that is not listed counts as one that does not exist.

CDAP answers a start before the run is listed. So whoever does not find a run asks again, until the run has not been
listed for a while. It does not matter who has started it, and when: the while begins with the first question.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable

from coordinator.boottime import boottime

_MOST = 10_000


class Absences:
    """What was not found, and since when. Used from several threads.

    :param within: seconds after which a run that was started is listed.
    """

    def __init__(self, within: float) -> None:
        self.within = within
        self._lock = threading.Lock()
        self._missed: dict[Hashable, tuple[float, float]] = {}

    def left(self, key: Hashable) -> float:
        """It was not found now. Returns for how many seconds it may still appear; 0: it does not exist.

        A gap between two questions that is longer than ``within`` begins a new while: in between it may have been
        started by another watcher.
        """
        now = boottime()
        with self._lock:
            first, last = self._missed.pop(key, (now, now))
            if now - last > self.within + 1:
                first = now
            if len(self._missed) >= _MOST:
                del self._missed[next(iter(self._missed))]  # the oldest one begins anew
            self._missed[key] = (first, now)
            return max(0.0, first + self.within - now)

    def forget(self, key: Hashable) -> None:
        """It may appear from now on."""
        with self._lock:
            self._missed.pop(key, None)
