"""The leader heartbeat: the etcd revision up to which some watcher has led.

``catchup`` concerns completions that came while nobody led. Trigger records do not show that: a target that is due and
has no record may have become due then, or may have waited under a leader, for a release or a limit, when that leader
died. So the leader writes a heartbeat at intervals, under the key ``heartbeat``, if the ``catchup`` of some pipeline
needs it.
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

HEARTBEATS = 4
"""Heartbeats in the time after which something counts as missed."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """:ivar revision: a watcher that led, and had caught up, has seen everything up to it."""

    revision: int
    when: datetime | None = None


class _HeartbeatDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    revision: Revision
    when: Instant | None = None


def dump_heartbeat(heartbeat: Heartbeat) -> bytes:
    """The bytes for etcd."""
    return (
        _HeartbeatDocument(revision=heartbeat.revision, when=heartbeat.when).model_dump_json(exclude_none=True).encode()
    )


def read_heartbeat(value: bytes) -> Heartbeat | Unreadable:
    """Read the value of ``heartbeat``. Never raises."""
    return read_stored(value, _heartbeat_of, most=bounds.SMALL_VALUE, what="a leader heartbeat")


def _heartbeat_of(value: bytes) -> Heartbeat:
    found = _HeartbeatDocument.model_validate_json(value)
    return Heartbeat(found.revision, found.when)


def led_up_to(heartbeat: Heartbeat | Unreadable | None, present: int) -> int:
    """The etcd revision up to which some watcher has led.

    A heartbeat that cannot be read shows that a watcher led, and not until when: then nothing counts as missed.
    Starting a partition that ``catchup`` would give up costs a run; giving up one that was only waiting would lose it.

    :param present: the revision at which the term begins.
    """
    if isinstance(heartbeat, Unreadable):
        return present
    return heartbeat.revision if heartbeat is not None else 0


class HeartbeatWriter:
    """Writes the heartbeats.

    :param missed_after: seconds after which something counts as missed.
    """

    def __init__(self, store: Store, keys: Keys, *, missed_after: float) -> None:
        self._store = store
        self._keys = keys
        self._every = missed_after / HEARTBEATS
        self._due_at = 0.0

    def begin_term(self) -> None:
        """The first heartbeat of a term is due at once."""
        self._due_at = 0.0

    def next_at(self) -> float:
        """Monotonic seconds at which the next one is due."""
        return self._due_at

    def write(self, heartbeat: Heartbeat, *, term: int, now: float) -> None:
        """Write one, if it is due. If etcd does not answer, the next one follows soon.

        :param now: monotonic seconds.
        :raises LeadershipLost: another watcher leads.
        """
        if now < self._due_at:
            return
        self._due_at = now + self._every
        fence = CreateRevisionIs(self._keys.leader, term)
        try:
            answer = self._store.commit(Transaction((fence,), (Put(self._keys.heartbeat, dump_heartbeat(heartbeat)),)))
        except StoreError as error:
            _log.warning("heartbeat.not_written", reason=str(error))
            return
        if not answer.succeeded:
            raise LeadershipLost(f"{self._keys.leader}: another watcher leads, or none")
