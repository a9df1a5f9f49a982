"""The live reading: one for the whole process. A thread of its own lists and watches etcd; whoever asks is answered by
what it has read, and whoever listens is told what has changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from coordinator.errors import CoordinatorError
from coordinator.model.references import PipelineRef
from coordinator.reading.following import FollowedReading, News
from coordinator.reading.reading import Reading
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.store.reflector import Disconnected, Reflector, Snapshot, Update

_log = structlog.get_logger(__name__)

TICK = 1.0
"""Seconds between two looks at what time alone has changed, if nothing else happens."""

AFTER_A_MISTAKE = 5.0
"""Seconds after a mistake of ours until everything is read again."""

_MISTAKE = "a mistake in the coordinator; see the log of coordinator ui"

_Answer = TypeVar("_Answer")


class NotRead(CoordinatorError):
    """etcd has not been read yet."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the live reading is.

    :ivar revision: everything up to this etcd revision is in it; 0: it has not been read yet.
    :ivar away_since: since when etcd gives no answer; ``None``: it gives answers.
    :ivar reason: why it gives none.
    :ivar changes: how often something has changed that may be shown.
    """

    revision: int = 0
    changes: int = 0
    away_since: datetime | None = None
    reason: str = ""


class Listener:
    """Collects what has changed until somebody takes it. Everything but :meth:`note` is for the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed: set[PipelineRef] | None = None
        self._woken = asyncio.Event()
        self._woken.set()  # whoever begins to listen is told how everything stands

    def note(self, news: News) -> None:
        """Something has changed. From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(self._note, news)

    def _note(self, news: News) -> None:
        if news.pipelines is None:
            self._changed = None
        elif self._changed is not None:
            self._changed |= news.pipelines
        self._woken.set()

    async def changed(self, within: float) -> frozenset[PipelineRef] | None:
        """Wait for something to change.

        :param within: seconds.
        :returns: the pipelines that have changed since the last call; ``None``: any may have, or it is the first call.
        :raises TimeoutError: nothing has.
        """
        await asyncio.wait_for(self._woken.wait(), within)
        self._woken.clear()
        changed, self._changed = self._changed, set()
        return None if changed is None else frozenset(changed)


class Live:
    """See the module.

    :ivar standing: how far it is. Any thread may read it.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._lock = threading.Lock()
        self._followed = FollowedReading(keys)
        self._listeners: set[Listener] = set()
        self._stop = threading.Event()
        self.standing = Standing()

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Follow etcd, in a thread of its own."""
        thread = threading.Thread(target=self._run, name="live", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(2 * TICK)

    def ask(self, question: Callable[[Reading, datetime], _Answer]) -> _Answer:
        """Answer by what has been read. Nothing changes meanwhile: a question is short.

        :raises NotRead: nothing has been read yet.
        """
        with self._lock:
            if not self._followed.revision:
                reason = self.standing.reason
                raise NotRead(f"etcd has not been read yet{f': {reason}' if reason else ''}")
            return question(self._followed.reading(), datetime.now(UTC))

    @contextlib.contextmanager
    def listening(self) -> Iterator[Listener]:
        """Be told of what changes. From the event loop."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def _run(self) -> None:
        while not self._stop.is_set():
            reflector = Reflector(self._store, self._keys.root, largest=self._keys.largest_value)
            try:
                while not self._stop.is_set():
                    self._take(reflector.step(TICK), reflector)
            except Exception as error:  # noqa: BLE001 - it is logged and shown, and everything is read again
                _log.error("ui.defect", path="live", exc_info=error)
                with self._lock:
                    self._followed = FollowedReading(self._keys)
                self._tell(News(0, None), away=_MISTAKE)
                self._stop.wait(AFTER_A_MISTAKE)
            finally:
                reflector.close()

    def _take(self, update: Update | None, reflector: Reflector) -> None:
        now = datetime.now(UTC)
        if isinstance(update, Disconnected):
            self._tell(News(self.standing.revision, frozenset()), away=update.reason)
            self._stop.wait(reflector.retry_in)
            return
        with self._lock:
            if update is None:
                news = self._followed.pass_time(now)
            elif isinstance(update, Snapshot):
                news = self._followed.replace(update.listing, now)
            else:
                news = self._followed.apply(update, now)
        if update is None:
            self._tell(news, away=self.standing.reason)
        else:
            self._tell(news, away="")

    def _tell(self, news: News, *, away: str) -> None:
        """Note how far it is, and tell the listeners if that is news.

        :param away: why etcd gives no answer; empty: it gives answers.
        """
        before = self.standing
        since = (before.away_since or datetime.now(UTC).replace(microsecond=0)) if away else None
        self.standing = Standing(news.revision, before.changes + bool(news), since, away)
        if news or since != before.away_since:
            for listener in tuple(self._listeners):
                listener.note(news)
