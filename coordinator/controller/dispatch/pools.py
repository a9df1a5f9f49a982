"""Threads for the environments: bounded pools for each, so that a slow one cannot use up another's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from coordinator.controller.dispatch.jobs import ChangesSeen, EffectDone, LookDone


class Pools:
    """Runs jobs in threads and posts what they return.

    :param sizes: for each environment, how many requests run at once.
    :param post: takes what a job returns; called in the job's thread.
    """

    def __init__(self, sizes: Mapping[str, int], post: Callable[[EffectDone | LookDone | ChangesSeen], None]) -> None:
        self._post = post
        self._effects = {name: ThreadPoolExecutor(size, f"effects-{name}") for name, size in sizes.items()}
        self._looks = {name: ThreadPoolExecutor(1, f"looks-{name}") for name in sizes}

    def effect(self, environment: str, job: Callable[[], EffectDone]) -> None:
        self._effects[environment].submit(lambda: self._post(job()))
        time.sleep(0)  # let a thread begin with it: what is left to do here is less urgent than the request

    def look(self, environment: str, job: Callable[[], LookDone | ChangesSeen]) -> None:
        self._looks[environment].submit(lambda: self._post(job()))

    def end_effects(self) -> None:
        """Drop the requests that have not begun, and wait for those that have: each is bounded by its time-out."""
        _end(self._effects)

    def close(self) -> None:
        """End the looks, too."""
        self.end_effects()
        _end(self._looks)


def _end(pools: Mapping[str, ThreadPoolExecutor]) -> None:
    for pool in pools.values():
        pool.shutdown(wait=False, cancel_futures=True)
    for pool in pools.values():
        pool.shutdown(wait=True)
