"""Tuning the cyclic garbage collector, for a process with many long-lived objects and few cycles."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

EVERY = 60.0
"""Seconds between two collections of young objects."""

RARE = (20_000, 50, 100)
"""Allocations, and collections of the younger, after which each generation is collected."""


@contextmanager
def collected_rarely() -> Iterator[None]:
    """Collect rarely while this context lasts: a command that reads a million keys makes hardly any cycles."""
    before = gc.get_threshold()
    gc.set_threshold(*RARE)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class RareCollections:
    """Collect rarely from now on; while this context lasts, also at intervals. To be used once in a process.

    By default Python collects every 700 allocations, and often goes through everything that is loaded and cached: a
    fifth of the CPU time of a trigger, by ``python -m benchmarks.reaction``. Our code makes few cycles: errors are kept
    without their frames (:func:`coordinator.store.failures.without_frames`). With a high threshold alone, the cycles of
    a library could stay for days, so young objects are also collected at intervals. They are few, which takes
    milliseconds, however much is cached.

    :param every: seconds.
    """

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="garbage", daemon=True)

    def __enter__(self) -> RareCollections:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*RARE)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _collect(self) -> None:
        while not self._over.wait(self._every):
            gc.collect(1)
