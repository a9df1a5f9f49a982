"""Lines to a file or to standard output, written by a thread of their own.

The file is opened for appending and each write is of whole lines, so that several watchers may share it (POSIX: with
O_APPEND no two writes mix). It is opened again when it was moved or deleted, as logrotate does. The standard
library's WatchedFileHandler does so too, but keeps in its buffers what a full disk refused, and cuts long lines.

The caller never waits: a full disk, a missing directory or a pipe that nobody reads costs lines and nothing else. Lost
lines are counted, and logged once.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from coordinator.errors import ConfigurationError

T = TypeVar("T")

STANDARD_OUTPUT = "-"

ROOM = 10_000
"""Lines that may wait to be written; further ones are lost."""

TOGETHER = 100
"""Lines in one write to a file at most: for each write, this thread takes Python's lock from those that decide and
send. A pipe mixes longer writes than its buffer (PIPE_BUF) with those of other writers: it gets lines one by one."""

END_WITHIN = 5.0
"""Seconds for which :meth:`LineFile.close` waits for the last lines."""

_log = structlog.get_logger(__name__)


class LineFile(Generic[T]):
    """See the module. Use as a context manager, or :meth:`start` and :meth:`close` it.

    :param destination: a path, or ``-`` for standard output.
    :param line_of: makes the line of an item that was given to :meth:`take`; called in the writing thread.
    :raises ConfigurationError: it cannot be opened now; probably it is mistyped.
    :ivar lost: lines that were not written, in all.
    :ivar problem: why lines are being lost at present.
    """

    def __init__(self, destination: str, line_of: Callable[[T], str]) -> None:
        self._path = None if destination == STANDARD_OUTPUT else Path(destination)
        self._destination = destination
        self._line_of = line_of
        self._waiting: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._descriptor: int | None = None
        self._together = 1
        self._torn = False
        self._losing = threading.Lock()
        self._thread = threading.Thread(target=self._write_all, name="decision-log", daemon=True)
        self.lost = 0
        self._lost_and_said = 0
        self.problem: str | None = None
        try:
            self._open()
        except OSError as error:
            raise ConfigurationError(
                f"watcher.decision_log: {destination} cannot be opened for appending: {error.strerror}; "
                "expected a path in a directory that exists, or '-' for standard output"
            ) from error

    def start(self) -> None:
        self._thread.start()

    def take(self, item: T) -> None:
        """Write a line soon. Never waits."""
        if self._waiting.qsize() < ROOM:
            self._waiting.put(item)
        else:
            self._lose(f"{ROOM} lines wait already: {self._destination} takes none, or too slowly")

    def close(self) -> None:
        """Write what waits, for at most :data:`END_WITHIN`."""
        self._waiting.put(None)
        self._thread.join(END_WITHIN)

    def _write_all(self) -> None:
        is_open = True
        while is_open:
            items = [self._waiting.get()]
            while items[-1] is not None and len(items) < self._together and not self._waiting.empty():
                items.append(self._waiting.get())
            is_open = items[-1] is not None
            if lines := b"".join(self._line(item) for item in items if item is not None):
                self._write(lines)
        self._close()

    def _line(self, item: T) -> bytes:
        """The bytes of a line; empty if it cannot be made."""
        try:
            return f"{self._line_of(item)}\n".encode("utf-8", "backslashreplace")
        except Exception as error:  # noqa: BLE001 - it is counted as lost; the lines that follow are written
            self._lose(f"a mistake in the coordinator itself: {error!r}")
            return b""

    def _write(self, lines: bytes) -> None:
        left = lines
        try:
            descriptor = self._present_file()
            if self._torn:  # a full disk cut the last line off: end it, so that the next line stays whole
                os.write(descriptor, b"\n")
                self._torn = False
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError as error:
            written = lines[: len(lines) - len(left)]
            self._torn = self._torn or not (written or b"\n").endswith(b"\n")
            self._lose(error.strerror or str(error), lines=left.count(b"\n"))
        else:
            self._written()

    def _present_file(self) -> int:
        """The file that is at the path now, open. :raises OSError: it cannot be opened."""
        if self._path is not None and not self._is_the_file_at(self._path):
            self._close()
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None
        return self._descriptor

    def _is_the_file_at(self, path: Path) -> bool:
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.stat(path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        if self._path is None:
            self._descriptor = 1
        else:
            # O_NONBLOCK only while opening: a named pipe that nobody reads would block here.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._descriptor = os.open(self._path, flags, 0o644)
            os.set_blocking(self._descriptor, True)
            self._together = TOGETHER if stat.S_ISREG(os.fstat(self._descriptor).st_mode) else 1
            self._torn = False

    def _close(self) -> None:
        if self._descriptor is not None and self._path is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _lose(self, reason: str, *, lines: int = 1) -> None:
        with self._losing:
            self.lost += lines
            first = self.problem is None
            self.problem = f"lines are lost: {self._destination}: {reason}"
        if first:
            _log.error("decision_log.losing", destination=self._destination, reason=reason)

    def _written(self) -> None:
        # Only once everything that waited is written: a slow destination would otherwise alternate in the log.
        if self.problem is None or not self._waiting.empty():
            return
        with self._losing:
            lost, self._lost_and_said, self.problem = self.lost - self._lost_and_said, self.lost, None
        _log.warning("decision_log.writing_again", destination=self._destination, lost=lost)
