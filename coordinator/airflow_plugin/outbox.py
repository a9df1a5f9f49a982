"""The outbox: events on disk between Airflow and etcd, one file each.

A file is written completely or not at all: under a temporary name, synced, renamed, and the directory synced. So an
event survives a crash of the process and the machine from the moment :meth:`Outbox.put` returns. Names sort by time;
within one process they never repeat or go back, even when the clock does.

Only the user that Airflow runs as may access it, whatever the umask: its events are written to etcd in that user's
name.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.airflow_plugin.parking import ParkedEvents
from coordinator.airflow_plugin.private import create_private, make_private_directory
from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.assets.events import AssetEventDocument
from coordinator.model.runstate import RunStateDocument

_SUFFIX = ".json"
_UNFINISHED = ".tmp"
_DIGITS = 20
_IS_EMITTED = re.compile(rb'\s*\{\s*"asset"')
_ABANDONED_AFTER = 600.0
"""Seconds after which an unfinished file counts as left over from a crash."""


OUTBOX_NAME = "coordinator-outbox"
LOCK_NAME = "sender.lock"
"""The process that holds the lock on it delivers. The file stays when a sender ends."""


def default_outbox() -> Path:
    """``$AIRFLOW_HOME/coordinator-outbox``, with Airflow's own default for its home."""
    home = os.environ.get("AIRFLOW_HOME") or "~/airflow"
    return Path(os.path.expandvars(home)).expanduser().absolute() / OUTBOX_NAME


class UnreadableEvent(CoordinatorError):
    """A file in the outbox contains no event: it is damaged, or was not written by the listener."""


class Event(BaseModel):
    """A run state to deliver to etcd, and its target.

    :ivar environment: ``None`` when the listener could not read its configuration; the sender fills it in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str | None
    dag_id: str
    partition: str
    document: RunStateDocument

    @property
    def about(self) -> dict[str, str | None]:
        """What to log about it."""
        return {
            "dag_id": self.dag_id,
            "partition": self.partition,
            "state": str(self.document.state),
            "run_id": self.document.run_id,
        }


class EmittedEvent(BaseModel):
    """An asset event to deliver to etcd.

    :ivar asset: the event. It is the first field: by it the file is known.
    :ivar event_id: made when it was emitted. Each delivery carries it.
    :ivar environment: as of an :class:`Event`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: AssetEventDocument
    event_id: Annotated[str, Field(min_length=1, max_length=bounds.NAME)]
    environment: str | None

    @property
    def about(self) -> dict[str, str | None]:
        """What to log about it."""
        return {"asset": self.asset.uri, "event_id": self.event_id, "run_id": self.asset.run_id}


AnyEvent = Event | EmittedEvent


class Outbox:
    """A directory of events.

    :param directory: created when the first event is put.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.parked = ParkedEvents(directory)
        self._naming = threading.Lock()
        self._last_time = 0
        self._counter = count()

    def put(self, event: AnyEvent) -> str:
        """Write an event; it is durable when this returns.

        :return: the name of its file.
        :raises OSError: the disk is full, the directory is not writable, ...
        """
        return self._write(self._next_name(), event)

    def _write(self, name: str, event: AnyEvent) -> str:
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
        """Create the directory if it does not exist. An existing one keeps its permissions.

        :raises PermissionError: it is another user's, or everybody may write there.
        """
        make_private_directory(self.directory)

    def pending(self) -> list[str]:
        """The names of all events, in the order in which they happened."""
        try:
            return sorted(name for name in os.listdir(self.directory) if name.endswith(_SUFFIX))
        except FileNotFoundError:
            return []

    def has_had_a_sender(self) -> bool:
        """Whether events were ever delivered from here; otherwise it may be a directory of another program."""
        return (self.directory / LOCK_NAME).exists()

    def read(self, name: str) -> AnyEvent:
        """Read an event.

        :raises UnreadableEvent: the file contains none.
        :raises FileNotFoundError: it does not exist any more.
        """
        return _event_in(self.directory / name)

    def read_parked(self, name: str) -> AnyEvent:
        """Read a parked event. Raises as :meth:`read`."""
        return _event_in(self.parked.directory / name)

    def replay(self, name: str, *, environment: str | None = None) -> bool:
        """Move a parked event back, to be delivered in its old place. Returns whether it existed.

        :param environment: the new environment of the event, if its environment was renamed.
        :raises UnreadableEvent: with ``environment``: the file contains no event. It stays parked.
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
        """When an event was put, in seconds since the epoch; ``None`` for a name that :meth:`put` did not make."""
        nanoseconds = name.partition("-")[0]
        is_ours = nanoseconds.isascii() and nanoseconds.isdigit() and len(nanoseconds) == _DIGITS
        return int(nanoseconds) / 1e9 if is_ours else None

    def remove(self, name: str) -> None:
        """Remove an event. Not synced: one that reappears after a crash is a repeat, which the writer recognises."""
        (self.directory / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove unfinished files of writers that crashed; Airflow calls their listeners again."""
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


def _event_in(place: Path) -> AnyEvent:
    content = _content(place)
    kind: type[AnyEvent] = EmittedEvent if _IS_EMITTED.match(content) else Event
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UnreadableEvent(f"{place}: {where}: {first['msg']}") from error


def _content(place: Path) -> bytes:
    try:
        # O_NONBLOCK: a named pipe without a writer would block the sender here.
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
        raise UnreadableEvent(f"{place}: more than {bounds.OUTBOX_EVENT} bytes; expected at most so many")
    return content
