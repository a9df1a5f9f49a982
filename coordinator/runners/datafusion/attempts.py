"""The attempts of a run, among the runs that CDAP lists.

A run of ours is every run of CDAP with its ``coordinator.run_id``; each is an attempt. A REJECTED one is none: it never
ran, and CDAP does not try it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from msgspec import structs

from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.model.runstate import State
from coordinator.runners.datafusion.arguments import Ours, read_arguments
from coordinator.runners.datafusion.client import Record
from coordinator.runners.port import ObservedRun

REJECTED = "REJECTED"
STATES = {
    "PENDING": State.QUEUED,
    "STARTING": State.QUEUED,
    "RUNNING": State.RUNNING,
    "SUSPENDED": State.RUNNING,
    "RESUMING": State.RUNNING,
    "STOPPING": State.RUNNING,
    "COMPLETED": State.SUCCESS,
    "FAILED": State.FAILED,
    "KILLED": State.FAILED,
}
"""What has another name goes on: only COMPLETED is success, and only an end is an end."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt. :ivar record: as CDAP lists it. :ivar ours: what its arguments say."""

    record: Record
    ours: Ours

    @property
    def state(self) -> State:
        return STATES.get(self.record.status, State.RUNNING)

    def began(self) -> datetime | None:
        return moment(self.record.starting)

    def has_taken(self, timeout: timedelta, now: datetime) -> bool:
        """Whether it goes on, and has taken so long at a moment by CDAP's clock."""
        began = self.began()
        return not self.state.is_terminal and began is not None and now - began >= timeout


@dataclass(frozen=True, slots=True)
class Run:
    """A run of ours. :ivar attempts: at least one, the oldest first."""

    dag_id: str
    attempts: tuple[Attempt, ...]

    @property
    def newest(self) -> Attempt:
        return self.attempts[-1]

    def observed(self, timeout: timedelta | None) -> ObservedRun:
        """As the watcher sees it. :param timeout: of its pipeline."""
        first, newest = self.attempts[0].ours, self.newest
        conf = dict(first.conf)
        mine = conf.get("coordinator")
        conf["coordinator"] = {**(mine if isinstance(mine, dict) else {}), "token": first.token}
        return ObservedRun(
            self.dag_id,
            first.run_id,
            newest.state,
            newest.ours.queued_at,
            logical_date=first.logical_date,
            start_date=moment(newest.record.start),
            end_date=moment(newest.record.end) if newest.state.is_terminal else None,
            conf=conf,
            note=_note(newest, timeout),
        )


def attempt_of(record: Record) -> Attempt | None:
    """The attempt that a record is about; ``None``: it is none of ours, or never ran."""
    ours = read_arguments(record.properties.get("runtimeArgs"))
    if ours is None or record.status == REJECTED:
        return None
    return Attempt(structs.replace(record, properties={}), ours)


def run_of(dag_id: str, attempts: Iterable[Attempt]) -> Run:
    """A run of its attempts, in any order."""
    return Run(dag_id, tuple(sorted(attempts, key=lambda one: (one.ours.queued_at, one.record.runid))))


def moment(seconds: float | None) -> datetime | None:
    """A moment in seconds since 1970; ``None``: there is none, or it is none."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _note(attempt: Attempt, timeout: timedelta | None) -> str | None:
    status = attempt.record.status
    where = f"run {attempt.record.runid} of CDAP"
    if status not in STATES:
        return printable(f"{where} is {status!r}, which is not a state that the coordinator knows", limit=bounds.DETAIL)
    if attempt.state is not State.FAILED:
        return None
    ended, began = moment(attempt.record.end), attempt.began()
    is_late = timeout is not None and None not in (ended, began) and ended - began >= timeout  # type: ignore[operator]
    late = " after its timeout" if is_late and status == "KILLED" else ""
    return printable(f"{where} ended as {status}{late}", limit=bounds.DETAIL)
