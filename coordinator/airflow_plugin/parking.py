"""Parked events: events that cannot be delivered now, or ever, set aside so that they do not delay others.

Each is in ``parked/`` under its name in the outbox, with the reason beside it (``.reason``). It can be moved back at
any time: an older report never replaces a newer one in etcd (:func:`coordinator.model.runstate.evaluate_report`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from coordinator.airflow_plugin.private import FILE, make_private_directory
from coordinator.model import bounds
from coordinator.model.runstate import Instant

PARKED = "parked"
EVENT = ".json"
_REASON = ".reason"


class Reason(BaseModel):
    """Why an event is parked.

    :ivar may_pass: it is tried again at intervals: somebody may grant the permission, or correct the configuration.
    :ivar environment: the environment of the event, if it could be read and names one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    reason: str
    may_pass: bool
    since: Instant
    environment: str | None = None


UNKNOWN = Reason(reason="unknown: the file with it is missing", may_pass=False, since=datetime.fromtimestamp(0, UTC))


@dataclass(frozen=True, slots=True)
class Parked:
    """One parked event: the name of its file, and why it is parked."""

    name: str
    why: Reason


class ParkedEvents:
    """The parked events of an outbox.

    :param outbox: its directory.
    """

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox
        self.directory = outbox / PARKED

    def park(self, name: str, why: Reason) -> Path:
        """Set an event aside. Returns its new place.

        :raises OSError: it cannot be moved.
        """
        make_private_directory(self.directory)
        self._write_reason(name, why)
        place = self.directory / name
        os.replace(self._outbox / name, place)
        return place

    def names(self) -> list[str]:
        """The names of all parked events, in the order in which they happened."""
        try:
            return sorted(name for name in os.listdir(self.directory) if name.endswith(EVENT))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def __contains__(self, name: str) -> bool:
        return (self.directory / name).exists()

    def all(self) -> Iterator[Parked]:
        """All parked events, in the order in which they happened."""
        return (Parked(name, self.why(name)) for name in self.names())

    def why(self, name: str) -> Reason:
        """Why an event is parked; :data:`UNKNOWN` if its reason cannot be read."""
        try:
            # O_NONBLOCK: a named pipe without a writer would block the sender here.
            descriptor = os.open(self._reason_of(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                return Reason.model_validate_json(file.read(bounds.OUTBOX_EVENT))
        except (OSError, ValidationError):
            return UNKNOWN

    def put_back(self, name: str) -> bool:
        """Move an event back into the outbox. Returns whether it existed."""
        try:
            os.replace(self.directory / name, self._outbox / name)
        except FileNotFoundError:
            return False
        self._reason_of(name).unlink(missing_ok=True)
        return True

    def discard(self, name: str) -> bool:
        """Delete an event for good. Returns whether it existed."""
        try:
            (self.directory / name).unlink()
        except FileNotFoundError:
            return False
        self._reason_of(name).unlink(missing_ok=True)
        return True

    def _write_reason(self, name: str, why: Reason) -> None:
        # Even on a full disk, an event must not delay others.
        with suppress(OSError):
            descriptor = os.open(
                self._reason_of(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, FILE
            )
            with open(descriptor, "wb") as file:
                file.write(why.model_dump_json().encode())

    def _reason_of(self, name: str) -> Path:
        return self.directory / (name + _REASON)
