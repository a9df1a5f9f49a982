"""Reporters: the senders beside Airflows that report run states, and whether an environment is heard from.

A reporter has the key ``reporter/<environment>/<name>`` on a lease, so the key is deleted after the reporter has ended.
``reporter_seen/<environment>`` has no lease: it distinguishes an environment that fell silent from one that was never
heard from.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from coordinator.model import bounds
from coordinator.model.partitions.instants import format_instant
from coordinator.model.phrases import counted
from coordinator.model.printable import printable
from coordinator.model.stored import Instant, Unreadable, read_stored

LEASE = timedelta(seconds=20)
"""How long the key of a reporter that has ended may stay."""

SEEN_EVERY = timedelta(seconds=60)
"""How often a reporter writes ``reporter_seen``."""

BACKLOG_TOO_OLD = timedelta(minutes=5)
"""An undelivered event of this age, while its reporter reaches etcd, is a problem."""

RECENT_RUNS = 3
"""How many of the last reported runs a reporter names."""

Text = Annotated[str, AfterValidator(lambda text: printable(text, limit=bounds.NAME))]
"""Text from another host, escaped and shortened."""

Count = Annotated[int, Field(ge=0, lt=1 << 63)]


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    def to_value(self) -> bytes:
        """The bytes for etcd."""
        return self.model_dump_json(exclude_none=True).encode()


class ReportedRun(_Value):
    """A run whose state was delivered. ``at``: when the state was observed."""

    dag_id: Text
    run_id: Text
    state: Text
    at: Instant


class ReporterStatus(_Value):
    """The status of a reporter, written by itself.

    :ivar version: of the plugin.
    :ivar airflow_url: the address of its Airflow (``[api] base_url``).
    :ivar backlog: events in its outbox that are not delivered yet.
    :ivar oldest: when the oldest of them was put there.
    :ivar parked: events that could not be delivered and are set aside.
    :ivar recent: the runs that it reported last, newest first.
    :ivar written_at: when it wrote this, by its own clock.
    """

    host: Text
    pid: int
    since: Instant
    written_at: Instant
    version: Text | None = None
    airflow_version: Text | None = None
    airflow_url: Text | None = None
    outbox: Text | None = None
    backlog: Count = 0
    oldest: Instant | None = None
    parked: Count = 0
    recent: Annotated[tuple[ReportedRun, ...], Field(max_length=RECENT_RUNS)] = ()

    def says_the_same_as(self, other: ReporterStatus | None) -> bool:
        """Whether the two differ only in the time at which they were written."""
        return other is not None and self.model_copy(update={"written_at": other.written_at}) == other


class LastSeen(_Value):
    """The last sign of life of any reporter of an environment. ``at``: by that reporter's clock."""

    at: Instant
    reporter: Text
    host: Text


def read_reporter(value: bytes) -> ReporterStatus | Unreadable:
    """Read the value of ``reporter/<environment>/<name>``. Never raises."""
    what = "what a reporter says about itself"
    return read_stored(value, ReporterStatus.model_validate_json, most=bounds.REPORTER, what=what)


def read_last_seen(value: bytes) -> LastSeen | Unreadable:
    """Read the value of ``reporter_seen/<environment>``. Never raises."""
    what = "the last sign of a reporter"
    return read_stored(value, LastSeen.model_validate_json, most=bounds.REPORTER, what=what)


class Hearing(enum.StrEnum):
    """Whether an environment is heard from. ``UNSURE``: its reporters are gone, and it is too early to say."""

    HEARD = "heard"
    SILENT = "silent"
    NEVER = "never heard"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of an environment's reporters."""

    environment: str
    hearing: Hearing
    reporters: Mapping[str, ReporterStatus | Unreadable] = field(default_factory=dict)
    last_seen: LastSeen | Unreadable | None = None

    @property
    def readable(self) -> Mapping[str, ReporterStatus]:
        """The reporters whose value could be read."""
        return {name: one for name, one in self.reporters.items() if isinstance(one, ReporterStatus)}


def hear(
    environment: str,
    reporters: Mapping[str, ReporterStatus | Unreadable],
    last_seen: LastSeen | Unreadable | None,
    *,
    now: datetime,
    reachable_since: datetime | None,
) -> Heard:
    """Whether an environment is heard from.

    After an outage of etcd the reporters need a moment to reconnect: silence counts only once etcd has been reachable
    for two lease times.

    :param reachable_since: since when etcd is known to be reachable; ``None``: unknown, only the last sign of life
        counts.
    """
    hearing = Hearing.HEARD
    if not reporters:
        hearing = Hearing.NEVER
        if last_seen is not None:
            quiet_for = [] if reachable_since is None else [now - reachable_since]
            # A time in the future (a wrong clock, or an attacker) is ignored.
            if isinstance(last_seen, LastSeen) and last_seen.at <= now + SEEN_EVERY:
                quiet_for.append(now - last_seen.at - SEEN_EVERY)
            too_early = bool(quiet_for) and min(quiet_for) <= 2 * LEASE
            hearing = Hearing.UNSURE if too_early else Hearing.SILENT
    return Heard(environment, hearing, reporters, last_seen)


def problems_of(heard: Heard, *, now: datetime) -> list[str]:
    """The problems that need somebody's action, in sentences with the remedy."""
    name = heard.environment
    if heard.hearing is Hearing.NEVER:
        return [
            f"no reporter has ever been heard from, so starts and ends of its runs are not reported: install the "
            f"plugin in its Airflow with COORDINATOR_REPORTER__ENVIRONMENT={name}; or set environments.{name}.observe "
            f"= true, and nothing need be installed there; or environments.{name}.plugin = false, if others report"
        ]
    if heard.hearing is Hearing.SILENT:
        seen = heard.last_seen
        last = f" since {format_instant(seen.at)} ({seen.host})" if isinstance(seen, LastSeen) else ""
        return [f"no reporter has been heard from{last}: is its scheduler running? see sender.log in its outbox"]
    return [*_of_reporters(heard, now=now), *_of_different_airflows(heard)]


def _of_reporters(heard: Heard, *, now: datetime) -> list[str]:
    found = []
    for _, one in sorted(heard.readable.items()):
        where = f"in {one.outbox or 'its outbox'} on {one.host}"
        if one.parked:
            parked = counted(one.parked, "event is", "events are")
            found.append(f"{parked} parked {where}: see them with 'coordinator outbox list' there")
        if one.oldest is not None and now - one.oldest > BACKLOG_TOO_OLD:
            minutes = int((now - one.oldest).total_seconds() // 60)
            backlog = counted(one.backlog, "event waits", "events wait")
            found.append(f"{backlog} {where}, the oldest for {minutes} min: see its sender's log")
    return found


def _of_different_airflows(heard: Heard) -> list[str]:
    of_url = {one.airflow_url: one.host for one in heard.readable.values() if one.airflow_url}
    if len(of_url) < 2:
        return []
    named = ", ".join(f"{url} ({host})" for url, host in sorted(of_url.items()))
    return [
        f"different Airflows report under this name: {named}; give each its own COORDINATOR_REPORTER__ENVIRONMENT, or "
        "the same [api] base_url to the components of one Airflow"
    ]
