"""Follows etcd's keys from a thread, and hands every change to the thread that asks for it."""

from __future__ import annotations

import queue
import threading
from types import TracebackType

from coordinator.config.settings import EtcdSettings
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from coordinator.store.port import Changes, KeyValue
from coordinator.store.reflector import Reflector, Snapshot, Update


class Follower:
    """Use as a context manager.

    :ivar keys: the keys that are followed.
    :ivar store: for other questions to the same etcd.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        self.keys = Keys(settings.prefix)
        self.store = connect(settings)
        self._reflector = Reflector(self.store, self.keys.root, largest=self.keys.largest_value)
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def changes(self, timeout: float) -> list[KeyValue]:
        """The keys put since the last call, in revision order; waits for some, but not longer than ``timeout``."""
        found: list[KeyValue] = []
        try:
            found += _puts(self._updates.get(timeout=timeout))
            while True:
                found += _puts(self._updates.get_nowait())
        except queue.Empty:
            return found

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._reflector.close()
        self._thread.join()
        self.store.close()

    def _follow(self) -> None:
        for update in self._reflector.updates(self._stop):
            self._updates.put(update)


def _puts(update: Update) -> list[KeyValue]:
    match update:
        case Snapshot(listing):
            return sorted(listing.items, key=lambda item: item.mod_revision)
        case Changes(changes):
            return [change.kv for change in changes if change.kv is not None]
    return []  # etcd is away: whoever started it finds out
