"""The wakeup pipe: a named pipe in the outbox, by which writers wake the sender and name themselves as its clients.

It is a pipe and not a socket, because its path has no length limit and because a writer learns at once, without
waiting, whether a sender listens: opening a pipe without a reader fails with ENXIO (fifo(7)). A wake-up is only a hint:
a sender checks the outbox regularly anyway.
"""

from __future__ import annotations

import errno
import os
import select
from dataclasses import dataclass
from pathlib import Path

from coordinator.airflow_plugin.private import FILE

_NAME = "wakeup_pipe"
_RETIRE = b"retire"


@dataclass(frozen=True, slots=True)
class WakeUps:
    """The content of the pipe since the last read.

    :ivar clients: processes that use the sender, which runs until the last of them has ended.
    :ivar retire: a newer sender waits for this one to end.
    """

    clients: frozenset[int] = frozenset()
    retire: bool = False


def wake_up(directory: Path, *, client: int) -> bool:
    """Wake the sender of an outbox, and name a process that it must stay for. Never blocks.

    :return: whether a sender listens.
    """
    return _send(directory, b"%d" % client)


def wake(directory: Path) -> bool:
    """Wake the sender of an outbox, without naming a client. Returns whether one listens."""
    return _send(directory, b"wake")


def ask_to_retire(directory: Path) -> bool:
    """Ask the sender of an outbox to end in favour of a newer one. Returns whether one listens."""
    return _send(directory, _RETIRE)


def _send(directory: Path, word: bytes) -> bool:
    try:
        descriptor = os.open(directory / _NAME, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    try:
        os.write(descriptor, word + b"\n")
    except BlockingIOError:
        pass  # full of unread wake-ups: the sender is awake, or about to be
    except BrokenPipeError:
        return False  # it ended between the two calls
    finally:
        os.close(descriptor)
    return True


class WakeupPipe:
    """The listening end. Use as a context manager.

    :raises OSError: the file system has no named pipes, or something else has this name.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / _NAME
        try:
            os.mkfifo(path, FILE)
        except FileExistsError:
            if not path.is_fifo():
                raise
        # Read and write: with a write end of our own the pipe never reports end-of-file when a writer leaves.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def wait(self, timeout: float) -> WakeUps:
        """Wait for a wake-up, at most ``timeout`` seconds."""
        readable, _, _ = select.select([self._descriptor], [], [], max(timeout, 0.0))
        if not readable:
            return WakeUps()
        try:
            received = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return WakeUps()
        words = set(received.split())
        clients = frozenset(int(word) for word in words if word.isdigit() and len(word) < 10) - {0}
        return WakeUps(clients, retire=_RETIRE in words)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> WakeupPipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
