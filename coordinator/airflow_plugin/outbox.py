"""The outbox: events on disk between Airflow and etcd, one file each.

A file is there as a whole or not at all: written beside its place, synced, renamed, and the directory synced,
so that an event survives the process and the machine from the moment :meth:`Outbox.put` returns. Names sort
by time; within one process they never repeat or go back, even when the clock does.

Only the user that Airflow runs as may read it, whatever the umask: it holds what is written to etcd in that name.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from coordinator.airflow_plugin.parking import ParkedEvents
from coordinator.airflow_plugin.private import create_private, make_private_directory
from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.runstate import RunStateDocument

_SUFFIX = ".json"
_UNFINISHED = ".tmp"
_DIGITS = 20
_ABANDONED_AFTER = 600.0
"""Seconds after which an unfinished file is taken for the remains of a crash."""


OUTBOX_NAME = "coordinator-outbox"
LOCK_NAME = "sender.lock"
"""Whoever holds the lock on it delivers. It stays when a sender leaves."""


def default_outbox() -> Path:
    """``$AIRFLOW_HOME/coordinator-outbox``, with Airflow's own default for its home."""
    home = os.environ.get("AIRFLOW_HOME") or "~/airflow"
    return Path(os.path.expandvars(home)).expanduser().absolute() / OUTBOX_NAME


class UnreadableEvent(CoordinatorError):
    """A file in the outbox holds no event: damaged, or not written by the listener."""


class Event(BaseModel):
    """A run state on its way to etcd, and the key that it belongs under.

    :ivar environment: ``None`` when the listener could not read its configuration; the sender fills it in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str | None
    dag_id: str
    partition: str
    document: RunStateDocument


class Outbox:
    """A directory of events.

    :param directory: made when the first event is put.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.parked = ParkedEvents(directory)
        self._naming = threading.Lock()
        self._last_time = 0
        self._counter = count()

    def put(self, event: Event) -> str:
        """Keep an event; it is durable when this returns.

        :return: the name of its file.
        :raises OSError: the disk is full, the directory is not writable, ...
        """
        return self._write(self._next_name(), event)

    def _write(self, name: str, event: Event) -> str:
        unfinished = self.directory / (name + _UNFINISHED)
        content = event.model_dump_json().encode()
        try:
            descriptor = create_private(unfinished)
        except FileNotFoundError:
            self.prepare()
            descriptor = create_private(unfinished)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.rename(unfinished, self.directory / name)
        except OSError:
            with suppress(OSError):
                unfinished.unlink()
            raise
        self._sync_directory()
        return name

    def prepare(self) -> None:
        """Make the directory, if it is not there. One that is there keeps the rights that somebody gave it.

        :raises PermissionError: it is somebody else's, or everybody may write there.
        """
        make_private_directory(self.directory)

    def pending(self) -> list[str]:
        """The names of all events, in the order in which they happened."""
        try:
            return sorted(name for name in os.listdir(self.directory) if name.endswith(_SUFFIX))
        except FileNotFoundError:
            return []

    def has_had_a_sender(self) -> bool:
        """Whether events have ever been delivered from here: else it may be a directory of something else."""
        return (self.directory / LOCK_NAME).exists()

    def read(self, name: str) -> Event:
        """One event.

        :raises UnreadableEvent: the file holds none.
        :raises FileNotFoundError: it is no longer there.
        """
        return _event_in(self.directory / name)

    def read_parked(self, name: str) -> Event:
        """One parked event. Raises as :meth:`read`."""
        return _event_in(self.parked.directory / name)

    def replay(self, name: str, *, environment: str | None = None) -> bool:
        """Take a parked event back, to be delivered in its old place. Returns whether it was there.

        :param environment: the event then belongs to this one: the environment has been renamed.
        :raises UnreadableEvent: with ``environment``: the file holds no event. It stays parked.
        """
        if environment is None:
            return self.parked.put_back(name)
        try:
            event = self.read_parked(name)
        except FileNotFoundError:
            return False
        self._write(name, event.model_copy(update={"environment": environment}))
        return self.parked.discard(name)

    @staticmethod
    def written_at(name: str) -> float | None:
        """When an event was put, in seconds since the epoch; ``None`` for a name that somebody else chose."""
        nanoseconds = name.partition("-")[0]
        is_ours = nanoseconds.isascii() and nanoseconds.isdigit() and len(nanoseconds) == _DIGITS
        return int(nanoseconds) / 1e9 if is_ours else None

    def remove(self, name: str) -> None:
        """Forget an event. Not synced: one that comes back after a crash is a repeat, which etcd's side knows."""
        (self.directory / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what writers left unfinished when they crashed; Airflow calls their listeners again."""
        for path in self._unfinished():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ABANDONED_AFTER:
                    path.unlink()

    def _unfinished(self) -> Iterator[Path]:
        return self.directory.glob("*" + _UNFINISHED)

    def _next_name(self) -> str:
        with self._naming:
            self._last_time = max(time.time_ns(), self._last_time + 1)
            return f"{self._last_time:0{_DIGITS}d}-{os.getpid()}-{next(self._counter)}{_SUFFIX}"

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _event_in(place: Path) -> Event:
    content = _content(place)
    try:
        return Event.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UnreadableEvent(f"{place}: {where}: {first['msg']}") from error


def _content(place: Path) -> bytes:
    try:
        # O_NONBLOCK: a named pipe that nobody writes to would stop the sender here.
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if place.is_symlink():  # its name is listed for ever
            raise UnreadableEvent(f"{place}: a link to a file that is not there") from None
        raise
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnreadableEvent(f"{place}: not a file")
        content = file.read(bounds.OUTBOX_EVENT + 1)
    if len(content) > bounds.OUTBOX_EVENT:
        raise UnreadableEvent(f"{place}: more than {bounds.OUTBOX_EVENT} bytes; an event has at most as many")
    return content
