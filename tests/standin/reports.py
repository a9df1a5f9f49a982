"""What the stand-in tells of its runs: every state, in order, in a thread of its own, as Airflow's listeners do."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable

from coordinator.model.runstate import State
from coordinator.runners.port import ObservedRun

OnState = Callable[[ObservedRun], None]


class Reports:
    """:ivar failures: tracebacks of subscribers that raised."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._subscribers: list[tuple[OnState, bool]] = []
        self._events: queue.SimpleQueue[tuple[ObservedRun, threading.Event] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, name="standin-reports", daemon=True)
        self._thread.start()

    def subscribe(self, subscriber: OnState, *, queued: bool) -> None:
        """:param queued: for queued too. Airflow has no listener for it: who reports to etcd must not hear of it."""
        self._subscribers.append((subscriber, queued))

    def put(self, run: ObservedRun) -> threading.Event:
        """:returns: what is set once every subscriber has heard of it."""
        delivered = threading.Event()
        self._events.put((run, delivered))
        return delivered

    def close(self) -> None:
        self._events.put(None)
        self._thread.join(10)

    def _deliver(self) -> None:
        while (event := self._events.get()) is not None:
            run, delivered = event
            for subscriber, queued in list(self._subscribers):
                if run.state is State.QUEUED and not queued:
                    continue
                try:
                    subscriber(run)
                except Exception:  # noqa: BLE001 - as Airflow's listeners: kept for the test to see, others go on
                    self.failures.append(traceback.format_exc())
            delivered.set()
