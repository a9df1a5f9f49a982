"""Watches etcd from outside, over lines of its own, and keeps every change with the time at which it was seen."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from coordinator.store.port import Changed, Compacted, StoreUnavailable
from tests.faults.witnessed_airflow import present

RETRY = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """A change in etcd. ``time``: when it was seen, at most a moment after it happened."""

    time: float
    change: Changed


class Witness:
    """Start it, and close it in the end.

    :ivar gap: why something may have been missed; ``None``: nothing was.
    :ivar revision: of the last change seen.
    """

    def __init__(self, etcd: EtcdSettings, keys: Keys, seen: Callable[[Seen], None]) -> None:
        self._store = connect(etcd)
        self._root = keys.root
        self._seen = seen
        self._stopping = False
        self.gap: str | None = None
        self.revision = self._store.list(self._root).revision
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def start(self) -> Witness:
        self._thread.start()
        return self

    def close(self) -> None:
        self._stopping = True
        self._thread.join(10)
        self._store.close()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._watch()
            except Compacted as error:
                self.gap = f"compacted before it was seen: {error}"
                return
            except StoreUnavailable:
                threading.Event().wait(RETRY)

    def _watch(self) -> None:
        with contextlib.closing(self._store.watch(self._root, from_revision=self.revision + 1)) as stream:
            while not self._stopping:
                changes = stream.receive(0.2)
                at = present()
                for change in changes.changes if changes is not None else ():
                    self._seen(Seen(at, change))
                    self.revision = change.revision
