"""Threads for the environments: one bounded pool each, so that a slow one cannot use up another's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from coordinator.watcher.lanes import EffectDone, LookDone


class Pools:
    """Runs jobs in threads and posts what they return.

    :param sizes: for each environment, how many effects run at once; a look has a thread beside them.
    :param post: takes what a job returns; called in the job's thread.
    """

    def __init__(self, sizes: Mapping[str, int], post: Callable[[EffectDone | LookDone], None]) -> None:
        self._post = post
        self._pools = {
            environment: ThreadPoolExecutor(max_workers=size + 1, thread_name_prefix=f"environment-{environment}")
            for environment, size in sizes.items()
        }

    def submit(self, environment: str, job: Callable[[], EffectDone | LookDone]) -> None:
        self._pools[environment].submit(lambda: self._post(job()))

    def close(self) -> None:
        """Drop what has not begun, and wait for the rest: every request is bounded by its time-out."""
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
