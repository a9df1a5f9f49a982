"""Reporters, and environments without one: the part of ``coordinator status`` about reporters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, table
from coordinator.model.partitions.instants import format_instant

if TYPE_CHECKING:
    from coordinator.config.settings import Settings
    from coordinator.model.reporters import Heard, ReporterStatus
    from coordinator.reading.reading import Reading


@dataclass(frozen=True, slots=True)
class ReportersShown:
    """:ivar problems: problems that need somebody's action. :ivar notes: notes that need none.
    :ivar not_shown: how many environments are not among ``heard``.
    """

    heard: list[Heard]
    problems: dict[str, str]
    notes: list[str]
    not_shown: int
    now: datetime

    def as_json(self) -> list[dict[str, Any]]:
        """Each environment for programs."""
        return [
            {
                "environment": one.environment,
                "hearing": str(one.hearing),
                "last_seen": _last_seen(one),
                "reporters": [
                    {"name": name} | reporter.model_dump(mode="json") for name, reporter in sorted(one.readable.items())
                ],
            }
            for one in self.heard
        ]

    def print_table(self) -> None:
        """All reporters for people."""
        rows = [row for one in self.heard for row in self._rows(one)]
        if rows:
            columns = ("environment", "heard", "host", "Airflow", "plugin", "waiting", "parked", "last report")
            people().print(table(*columns, rows=rows))

    def _rows(self, heard: Heard) -> list[list[str]]:
        if not heard.readable:
            last = _last_seen(heard)
            return [[heard.environment, f"{heard.hearing}{f', last {last}' if last else ''}", *[""] * 6]]
        return [[heard.environment, str(heard.hearing), *self._cells(one)] for one in heard.readable.values()]

    def _cells(self, one: ReporterStatus) -> list[str]:
        waiting = str(one.backlog)
        if one.oldest is not None:
            waiting += f", for {max(0, int((self.now - one.oldest).total_seconds()))} s"
        last = one.recent[0] if one.recent else None
        return [
            one.host,
            " ".join(filter(None, (one.airflow_version, one.airflow_url))),
            one.version or "",
            waiting,
            str(one.parked),
            f"{last.dag_id} {last.state} {last.at:%Y-%m-%dT%H:%M:%SZ}" if last is not None else "",
        ]


def reporters_in(reading: Reading, settings: Settings, now: datetime) -> ReportersShown:
    """The reporters in a reading.

    :param settings: names the expected environments.
    """
    from coordinator.controller.state.reporters import Listening
    from coordinator.model.reporters import Hearing
    from coordinator.store.presence import read_presence

    cache, environments = reading.cache, settings.environments
    named = {pipeline.environment for pipeline in reading.propagation.graph}
    listening = Listening(cache.reporters, environments, named)
    # etcd has been reachable at least since the leader leads: reporters and watchers both have leases.
    since = read_presence(cache.leader).began if cache.leader is not None else None
    heard = listening.heard(now=now, reachable_since=since)
    problems = listening.problems(heard, now=now)
    notes = [
        f"reporters call their environment {one.environment}, which is neither configured nor in a document: a wrong "
        "COORDINATOR_REPORTER__ENVIRONMENT?"
        for one in listening.unexpected(heard)
    ]
    if unknown := listening.unknown_not_shown():
        notes.append(f"and {unknown:,} more environments report that are neither configured nor in a document")
    notes += [
        f"no reporter of {one.environment} has been heard from"
        for one in heard
        if one.hearing is Hearing.NEVER and f"reporters {one.environment}" not in problems
    ]
    if notes and (missing := settings.without_environments) is not None:
        notes = ["; ".join(missing)]  # nobody knows who should be heard
    if never := listening.never_heard_not_shown():
        notes.append(f"and {never:,} more environments that documents name have never been heard from")
    return ReportersShown(heard, problems, notes, never + unknown, now)


def _last_seen(heard: Heard) -> str | None:
    from coordinator.model.reporters import LastSeen

    return format_instant(heard.last_seen.at) if isinstance(heard.last_seen, LastSeen) else None
