"""Clients: the processes that use a sender (a scheduler, an API server).

A sender outlives the process that started it as long as another one writes to the same outbox, and ends with the last
of them.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterable
from contextlib import suppress


class Clients:
    """A set of processes, some of which may have ended."""

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._watched: dict[int, int | None] = {}
        for pid in pids:
            self.adopt(pid)

    def adopt(self, pid: int) -> None:
        """Add a process. Does nothing if it has ended already."""
        if pid not in self._watched:
            try:
                self._watched[pid] = _open(pid)
            except ProcessLookupError:
                return

    def any_alive(self) -> bool:
        """Whether one of them still runs. Removes those that have ended."""
        for pid, descriptor in list(self._watched.items()):
            if not _alive(pid, descriptor):
                del self._watched[pid]
                if descriptor is not None:
                    os.close(descriptor)
        return bool(self._watched)


def _open(pid: int) -> int | None:
    """A descriptor of the process: unlike its number, it is never given to another process, and a zombie counts as
    ended. ``None`` where the kernel does not support this (macOS, some sandboxes)."""
    if hasattr(os, "pidfd_open"):
        try:
            return os.pidfd_open(pid)
        except OSError as error:
            if error.errno == errno.ESRCH:
                raise
    with suppress(PermissionError):  # it exists, and is another user's
        os.kill(pid, 0)
    return None


def _alive(pid: int, descriptor: int | None) -> bool:
    if descriptor is not None:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return not poller.poll(0)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
