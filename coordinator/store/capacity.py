"""How full etcd's database is, with a warning well before it is full.

At its quota, etcd raises the alarm NOSPACE and refuses every write: nothing is reported or started any more until
somebody compacts, defragments and disarms the alarm. Every writer can fill it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from coordinator.model import bounds
from coordinator.store.connection import MemberStatus
from coordinator.store.port import StoreError

log = structlog.get_logger(__name__)

WARNING_FROM = 0.5
PROBLEM_FROM = 0.8

_EVERY = 60.0
"""Seconds between two checks. A check is two small requests to each member."""

REMEDY = (
    "delete what is not needed (retention), compact (etcd's --auto-compaction-retention), defragment (etcdctl defrag), "
    "or raise --quota-backend-bytes"
)


@dataclass(frozen=True, slots=True)
class Fullness:
    """How much of its quota a member's database uses; 1.0: it is full."""

    endpoint: str
    size: int
    quota: int

    @property
    def share(self) -> float:
        return self.size / self.quota

    def __str__(self) -> str:
        return (
            f"its database has {self.size / bounds.MIB:.0f} MiB, {self.share:.0%} of its quota of "
            f"{self.quota / bounds.MIB:.0f} MiB"
        )


def fullness_of(member: MemberStatus, *, quota: int) -> Fullness:
    """:param quota: bytes, for a member that does not report its own (etcd before 3.6)."""
    return Fullness(member.endpoint, member.db_size, member.db_quota or quota)


def fullest(members: Iterable[MemberStatus], *, quota: int) -> Fullness | None:
    """The fullest member of those that answered."""
    answered = (fullness_of(member, quota=quota) for member in members if member.version)
    return max(answered, key=lambda fullness: fullness.share, default=None)


class SizeAlarm:
    """Checks every minute, in a thread of its own.

    :param status: returns the status of the members, in bounded time.
    :ivar problem: the problem, for people; ``None``: none is known.
    """

    def __init__(self, status: Callable[[], Iterable[MemberStatus]], *, quota: int, every: float = _EVERY) -> None:
        self._status = status
        self._quota = quota
        self._every = every
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem: str | None = None

    def look(self) -> None:
        """Ask the members once. A member that does not answer changes nothing."""
        try:
            found = fullest(self._status(), quota=self._quota)
        except StoreError as error:
            log.info("etcd.size_unknown", reason=str(error))
            return
        if found is None:
            return
        before, self.problem = self.problem, None
        if found.share >= WARNING_FROM:
            self.problem = f"etcd {found.endpoint}: {found}; when it is full, etcd refuses every write: {REMEDY}"
            if before is None:
                log.warning("etcd.filling", endpoint=found.endpoint, bytes=found.size, quota=found.quota)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="etcd-size", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a check that is under way goes on until its requests have ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception:
                log.exception("etcd.size_unknown")  # the next check may succeed
            self._stop.wait(self._every)
