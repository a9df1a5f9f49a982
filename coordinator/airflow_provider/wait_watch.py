"""One watch on the waits of an environment, for all sensors of a triggerer.

A thread follows the keys (:mod:`coordinator.store.reflector`): it lists again after a compaction, and goes on when etcd
comes back after however long. The sensors are coroutines, which it wakes when the value of their key changes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator

from coordinator.commands.write_wait import write_wait
from coordinator.config.etcd import EtcdSettings
from coordinator.errors import CoordinatorError
from coordinator.model.waits import Wait, WaitStatus, is_same_wait, read_wait
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.store.reflector import Disconnected, Reflector, Snapshot, Update

RETRY_AFTER = 5.0
"""Seconds until a wait that could not be written again is tried once more."""

_watches: list[tuple[EtcdSettings, str, WaitWatch]] = []
"""Those of this process, each with its settings and its environment."""

_lock = threading.Lock()


async def answer_to(etcd: EtcdSettings, environment: str, key: str, wait: bytes) -> bytes:
    """The answered wait, once there is one.

    :param key: of the wait.
    :param wait: its value, to be written again if it is removed, or replaced by that of an earlier attempt: by a
        mistake, by a write that was late, or with a restored etcd.
    :raises CoordinatorError: the settings are wrong.
    """
    watch = await asyncio.to_thread(_watch_of, etcd, environment)
    ours = read_wait(wait)
    assert isinstance(ours, Wait)
    async for value in watch.values(key):
        found = read_wait(value) if value is not None else None
        if isinstance(found, Wait) and is_same_wait(found, ours):
            if found.status is not WaitStatus.WAITING:
                assert value is not None
                return value
            continue
        while True:
            # What is known here may be old: there may be an answer by now, which the watch will tell of. Where a later
            # attempt of the same sensor waits, this one is about to be cancelled, and changes nothing.
            try:
                await asyncio.to_thread(watch.write, key, ours)
                break
            except CoordinatorError:  # etcd is away, which the reflector logs
                await asyncio.sleep(RETRY_AFTER)
    raise AssertionError("a watch does not end")


def _watch_of(etcd: EtcdSettings, environment: str) -> WaitWatch:
    """The watch of this process, which is opened when it is first asked for, and stays.

    Other settings, such as a changed password, have a watch of their own; sensors that wait already keep theirs.
    """
    with _lock:
        for settings, name, watch in _watches:
            if settings == etcd and name == environment:
                return watch
        watch = WaitWatch(connect(etcd), Keys(etcd.prefix), environment)
        _watches.append((etcd, environment, watch))
        return watch


def trouble_with(etcd: EtcdSettings, environment: str) -> str | None:
    """Why etcd cannot be followed at present; ``None``: it can be, or it was not tried yet."""
    with _lock:
        return next((watch.trouble for known, name, watch in _watches if (known, name) == (etcd, environment)), None)


class WaitWatch:
    """See the module.

    :param environment: whose waits are followed: a reporter's role may read no others.
    :ivar trouble: why etcd cannot be followed at present.
    """

    def __init__(self, store: Store, keys: Keys, environment: str) -> None:
        self._store = store
        self._reflector = Reflector(store, keys.every("wait", environment), largest=keys.largest_value)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._values: dict[str, bytes] | None = None
        self.trouble: str | None = None
        self._listeners: dict[str, list[_Listener]] = defaultdict(list)
        self._thread = threading.Thread(target=self._follow, name=f"waits {environment}", daemon=True)
        self._thread.start()

    def write(self, key: str, wait: Wait) -> None:
        """Write a wait that is not there. :raises CoordinatorError: etcd could not be reached, or refuses."""
        write_wait(self._store, key, wait, begins=False)

    def close(self) -> None:
        """End the watch and its connection. That of a triggerer ends with its process."""
        self._stop.set()
        self._reflector.close()
        self._thread.join()
        self._store.close()

    async def values(self, key: str) -> AsyncIterator[bytes | None]:
        """The present value of a key as soon as it is known, and then each new one; ``None``: there is none."""
        listener = _Listener(asyncio.get_running_loop(), asyncio.Queue())
        with self._lock:
            self._listeners[key].append(listener)
            if self._values is not None:
                listener.queue.put_nowait(self._values.get(key))
        try:
            while True:
                yield await listener.queue.get()
        finally:
            with self._lock:
                self._listeners[key].remove(listener)
                if not self._listeners[key]:
                    del self._listeners[key]

    def _follow(self) -> None:
        for update in self._reflector.updates(self._stop):
            with self._lock:
                self._take(update)

    def _take(self, update: Update) -> None:
        self.trouble = update.reason if isinstance(update, Disconnected) else None
        match update:
            case Snapshot(listing):
                self._values = {item.key: item.value for item in listing.items}
                for key in self._listeners:
                    self._tell(key)
            case Disconnected():
                pass  # the reflector logs it; what is known stays true
            case changes:
                assert self._values is not None
                for change in changes.changes:
                    if change.kv is None:
                        self._values.pop(change.key, None)
                    else:
                        self._values[change.key] = change.kv.value
                for key in {change.key for change in changes.changes} & self._listeners.keys():
                    self._tell(key)

    def _tell(self, key: str) -> None:
        assert self._values is not None
        for listener in self._listeners[key]:
            listener.tell(self._values.get(key))


class _Listener:
    """A coroutine that waits for values of a key."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[bytes | None]) -> None:
        self._loop = loop
        self.queue = queue

    def tell(self, value: bytes | None) -> None:
        """From the thread that follows."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.queue.put_nowait, value)
