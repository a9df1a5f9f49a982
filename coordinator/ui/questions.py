"""Questions to etcd: in threads, few at a time, within a time limit; the same question of many readers once.

A reading of a large etcd costs seconds of computing. So a reader waits for a place, and what takes too long is answered
with that; the reading itself goes on, and keeps its place until it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any

from coordinator.errors import CoordinatorError
from coordinator.store.keys import Keys
from coordinator.store.port import Store, StoreUnavailable

AT_ONCE = 2
"""Readings at a time."""

MOST = 32
"""Different questions that are under way or wait for a place."""

WITHIN = 20.0
"""Seconds until a reader is told that it takes too long."""

GOOD_FOR = 1.0
"""Seconds for which an answer is given to whoever asks the same."""

Question = Callable[[Store, Keys], Any]


class NoAnswer(CoordinatorError):
    """There is no answer now. :ivar kind: ``busy`` or ``slow``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Questions:
    """Asked from the event loop.

    :ivar away_since: since when etcd has given no answer; ``None``: the last question was answered, or there was none.
    """

    def __init__(self, store: Store, keys: Keys, *, at_once: int = AT_ONCE, most: int = MOST) -> None:
        self._store = store
        self._keys = keys
        self._places = asyncio.Semaphore(at_once)
        self._most = most
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}
        self.away_since: datetime | None = None

    @property
    def under_way(self) -> int:
        """How many questions are being answered, or wait for a place."""
        return sum(not task.done() for task in self._under_way.values())

    async def ask(
        self,
        name: Hashable,
        question: Question,
        *,
        within: float = WITHIN,
        good_for: float = GOOD_FOR,
        asks_etcd: bool = True,
    ) -> Any:
        """The answer to a question.

        :param name: equal for equal questions.
        :param within: seconds.
        :param good_for: seconds for which the answer is given to whoever asks the same.
        :param asks_etcd: an answer shows that etcd answers.
        :raises NoAnswer: there are too many other questions, or it takes too long.
        :raises CoordinatorError: what the question raises.
        """
        task = self._under_way.get(name)
        if task is None:
            if sum(not one.done() for one in self._under_way.values()) >= self._most:
                raise NoAnswer("busy", f"{self._most} other questions wait for etcd; ask again in some seconds")
            task = self._under_way[name] = asyncio.create_task(self._ask(question, asks_etcd=asks_etcd))
            task.add_done_callback(lambda done: self._forget(name, done, good_for))
        try:
            return await asyncio.wait_for(asyncio.shield(task), within)
        except TimeoutError:
            raise NoAnswer(
                "slow", f"reading etcd takes more than {within:g} seconds; ask again, or for less at once"
            ) from None

    async def _ask(self, question: Question, *, asks_etcd: bool) -> Any:
        async with self._places:
            try:
                found = await _in_thread(lambda: question(self._store, self._keys))
            except StoreUnavailable:
                self.away_since = self.away_since or datetime.now(UTC).replace(microsecond=0)
                raise
            if asks_etcd:
                self.away_since = None
            return found

    def _forget(self, name: Hashable, done: asyncio.Task[Any], good_for: float) -> None:
        failed = done.cancelled() or done.exception() is not None  # asked for, or asyncio would warn of it
        asyncio.get_running_loop().call_later(0 if failed else good_for, self._under_way.pop, name, None)


async def _in_thread(call: Callable[[], Any]) -> Any:
    """Call in a thread that ends with the process: nobody waits for a reading that nobody will see."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Any] = loop.create_future()

    def tell(result: Any, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as raised:  # noqa: BLE001 - it is raised where the answer is waited for
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends, and nobody waits
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, name="question", daemon=True).start()
    return await outcome
