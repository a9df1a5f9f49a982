"""The cyclic garbage collector of a process that holds much for long and makes few cycles."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

EVERY = 60.0
"""Seconds between two collections of what is young."""

RARE = (20_000, 50, 100)
"""Allocations, and collections of the younger, after which each generation is collected."""


@contextmanager
def collected_rarely() -> Iterator[None]:
    """While this context lasts, cycles are looked for rarely: a command that reads a million keys makes hardly any."""
    before = gc.get_threshold()
    gc.set_threshold(*RARE)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class RareCollections:
    """From here on cycles are looked for rarely; while this context lasts, by the clock too. Once in a process.

    By default Python looks every 700 allocations, and again and again through all that is loaded and cached: a fifth
    of the CPU time of a trigger, by ``python -m benchmarks.reaction``. Little that we know of makes cycles: errors go
    without their frames (:func:`coordinator.store.failures.without_frames`). What a library may still leave would stay
    for days at a high threshold alone, so the clock looks too. What is young is few objects, and is gone through in
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
