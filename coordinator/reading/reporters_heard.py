"""Reporters, and environments without one: which are heard from, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coordinator.model.partitions.instants import format_instant

if TYPE_CHECKING:
    from coordinator.config.settings import Settings
    from coordinator.model.reporters import Heard
    from coordinator.reading.reading import Reading


@dataclass(frozen=True, slots=True)
class ReportersHeard:
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
                "last_seen": last_seen(one),
                "reporters": [
                    {"name": name} | reporter.model_dump(mode="json") for name, reporter in sorted(one.readable.items())
                ],
            }
            for one in self.heard
        ]


def reporters_in(reading: Reading, settings: Settings, now: datetime) -> ReportersHeard:
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
    return ReportersHeard(heard, problems, notes, never + unknown, now)


def last_seen(heard: Heard) -> str | None:
    """When it was heard from last, if that is known."""
    from coordinator.model.reporters import LastSeen

    return format_instant(heard.last_seen.at) if isinstance(heard.last_seen, LastSeen) else None
