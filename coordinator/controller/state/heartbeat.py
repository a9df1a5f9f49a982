"""Attendance: up to which etcd revision a watcher has been there.

``catchup`` concerns what came while nobody led, and trigger records do not tell: what is due and has no record may
have come then, or may have waited under a leader, held or for a limit, when it died. So whoever leads leaves a mark
now and then, under the key ``attended``. It is written only where some pipeline's ``catchup`` asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import BaseModel, ConfigDict

from coordinator.errors import LeadershipLost
from coordinator.model import bounds
from coordinator.model.stored import Instant, Revision, Unreadable, read_stored
from coordinator.store.keys import Keys
from coordinator.store.port import CreateRevisionIs, Put, Store, StoreError, Transaction

_log = structlog.get_logger(__name__)

MARKS = 4
"""So many marks are left in the time after which something counts as missed."""


@dataclass(frozen=True, slots=True)
class Attended:
    """:ivar revision: everything up to it has been seen by a watcher that led, and has caught up."""

    revision: int
    when: datetime | None = None


class _AttendedDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    revision: Revision
    when: Instant | None = None


def dump_attended(attended: Attended) -> bytes:
    """The bytes for etcd."""
    return _AttendedDocument(revision=attended.revision, when=attended.when).model_dump_json(exclude_none=True).encode()


def read_attended(value: bytes) -> Attended | Unreadable:
    """Read what stands under ``attended``. Never raises."""
    return read_stored(
        value,
        _AttendedDocument.model_validate_json,
        lambda found: Attended(found.revision, found.when),
        most=bounds.SMALL_VALUE,
        what="a mark of attendance",
    )


def attended_up_to(attended: Attended | Unreadable | None, present: int) -> int:
    """The etcd revision up to which somebody has been there.

    A mark that cannot be read says that somebody was, and not until when: then nothing has been missed. To start what
    ``catchup`` would pass over costs a run; to pass over what had only been waiting would lose it.

    :param present: the revision at which the term begins.
    """
    if isinstance(attended, Unreadable):
        return present
    return attended.revision if attended is not None else 0


class Attendance:
    """Leaves the marks.

    :param missed_after: seconds after which something counts as missed.
    """

    def __init__(self, store: Store, keys: Keys, *, missed_after: float) -> None:
        self._store = store
        self._keys = keys
        self._every = missed_after / MARKS
        self._due_at = 0.0

    def begin_term(self) -> None:
        """The first mark is due at once."""
        self._due_at = 0.0

    def next_at(self) -> float:
        """Monotonic seconds of the next mark."""
        return self._due_at

    def mark(self, attended: Attended, *, term: int, now: float) -> None:
        """Leave a mark, if it is time. etcd without an answer is no harm: the next mark is soon.

        :param now: monotonic seconds.
        :raises LeadershipLost: another watcher leads.
        """
        if now < self._due_at:
            return
        self._due_at = now + self._every
        fence = CreateRevisionIs(self._keys.leader, term)
        try:
            answer = self._store.commit(Transaction((fence,), (Put(self._keys.attended, dump_attended(attended)),)))
        except StoreError as error:
            _log.warning("attendance.not_marked", reason=str(error))
            return
        if not answer.succeeded:
            raise LeadershipLost(f"{self._keys.leader}: another watcher leads, or none")
