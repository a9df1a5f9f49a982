"""One connection for a process, for code that needs etcd only occasionally: reports, a task's inputs."""

from __future__ import annotations

import os
import threading

from coordinator.config.etcd import EtcdSettings
from coordinator.store.port import Store


class _Connected:
    """The store that this process uses. A forked child starts without one, because gRPC does not survive fork()."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings: EtcdSettings | None = None
        self.store: Store | None = None


_connected = _Connected()
_inherited: list[_Connected] = []


def _forget_in_child() -> None:
    """After fork(): a thread that does not exist in the child may hold the lock, and the channel is broken.

    The channel must not be collected either: closing one whose threads are gone may hang.
    """
    global _connected
    _inherited.append(_connected)
    _connected = _Connected()


os.register_at_fork(after_in_child=_forget_in_child)


def store_of_this_process(settings: EtcdSettings) -> Store:
    """The store that this process uses, connected when it is first asked for."""
    from coordinator.store.connection import connect

    with _connected.lock:
        if _connected.store is None or _connected.settings != settings:
            if _connected.store is not None:
                _connected.store.close()
            _connected.store, _connected.settings = connect(settings), settings
        return _connected.store
