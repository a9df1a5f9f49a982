"""The reporters that have a key in etcd, by environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest

from coordinator.config.environments import EnvironmentSettings
from coordinator.controller.state.problems import SHOWN
from coordinator.model import bounds
from coordinator.model.graph import Graph
from coordinator.model.reporters import (
    Heard,
    Hearing,
    LastSeen,
    ReporterStatus,
    hear,
    problems_of,
    read_last_seen,
    read_reporter,
)
from coordinator.model.runstate import Unreadable

TIME_TO_START = timedelta(seconds=60)
"""A watcher that has just connected waits for so long before it reports that an environment was never heard from: the
environment may be about to start for the first time."""

WAITING = 8 * bounds.REPORTERS
"""Reporters of an environment that are kept in addition to those that count."""


class Reporters:
    """What reporters say about themselves. Bounded: of each environment at most ``bounds.REPORTERS`` count.

    A readable one takes the place of an unreadable one. Some more readable ones wait for a place; any other gets a
    chance when it writes its key again, which each does every minute.

    Changed by one thread; others may read: values are replaced, never changed.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[str, ReporterStatus | Unreadable]] = {}
        self._waiting: dict[str, dict[str, ReporterStatus]] = {}
        self._last_seen: dict[str, LastSeen | Unreadable] = {}

    def put(self, environment: str, name: str, value: bytes) -> ReporterStatus | Unreadable:
        """Note a reporter's key. Returns what was read, or why it does not count."""
        known, found = self._of.get(environment, {}), read_reporter(value)
        if name not in known and len(known) >= bounds.REPORTERS:
            unreadable = next((other for other, one in known.items() if isinstance(one, Unreadable)), None)
            if unreadable is None or isinstance(found, Unreadable):
                self._let_wait(environment, name, found)
                return Unreadable(f"one of more than {bounds.REPORTERS} reporters of {environment}; it is not counted")
            known = {other: one for other, one in known.items() if other != unreadable}
        self._waiting.get(environment, {}).pop(name, None)
        self._of[environment] = {**known, name: found}
        return found

    def delete(self, environment: str, name: str) -> str | None:
        """A reporter's key was deleted. Returns the one that counts in its place."""
        self._waiting.get(environment, {}).pop(name, None)
        known = self._of.get(environment, {})
        if name not in known:
            return None
        left = {other: one for other, one in known.items() if other != name}
        successor, waiting = None, self._waiting.get(environment)
        if waiting:
            successor = next(iter(waiting))
            left[successor] = waiting.pop(successor)
        if left:
            self._of[environment] = left
        else:
            del self._of[environment]
        if not waiting:
            self._waiting.pop(environment, None)
        return successor

    def _let_wait(self, environment: str, name: str, found: ReporterStatus | Unreadable) -> None:
        waiting = self._waiting.setdefault(environment, {})
        waiting.pop(name, None)
        if isinstance(found, ReporterStatus) and len(waiting) < WAITING:
            waiting[name] = found

    def put_last_seen(self, environment: str, value: bytes) -> LastSeen | Unreadable:
        """Note when an environment was last heard from. Returns what was read."""
        found = self._last_seen[environment] = read_last_seen(value)
        return found

    def delete_last_seen(self, environment: str) -> None:
        self._last_seen.pop(environment, None)

    def clear(self) -> None:
        self._of.clear()
        self._waiting.clear()
        self._last_seen.clear()

    def environments(self) -> set[str]:
        """The environments that have been heard from."""
        return set(self._of) | set(self._last_seen)

    def hear(self, environment: str, *, now: datetime, reachable_since: datetime | None) -> Heard:
        """Whether an environment is heard from; see :func:`coordinator.model.reporters.hear`."""
        return hear(
            environment,
            self._of.get(environment, {}),
            self._last_seen.get(environment),
            now=now,
            reachable_since=reachable_since,
        )


@dataclass(frozen=True, slots=True)
class HeardInNumbers:
    """:ivar others: how many environments documents name, or reporters, that are not configured here.
    :ivar others_silent: how many of those that documents name were heard from, and are no more.
    """

    configured: list[Heard]
    others: int
    others_silent: int


class Listening:
    """Which environments should be heard from, and the problems of those that are not.

    :param environments: the configured ones.
    :param named: environments that published documents name.
    """

    def __init__(
        self, reporters: Reporters, environments: Mapping[str, EnvironmentSettings], named: Iterable[str]
    ) -> None:
        without_plugin = {name for name, environment in environments.items() if not environment.reports}
        self._reporters = reporters
        self._configured = set(environments) - without_plugin
        self._named = set(named) - without_plugin
        self._only_named = self._named - self._configured

    def heard(self, *, now: datetime, reachable_since: datetime | None) -> list[Heard]:
        """For people: as :meth:`expected`, and some of the others, of which documents may name any number."""
        return self._hear(
            {*self._expected(), *nsmallest(SHOWN, self._never_heard()), *nsmallest(SHOWN, self._unknown())},
            now=now,
            reachable_since=reachable_since,
        )

    def expected(self, *, now: datetime, reachable_since: datetime | None) -> list[Heard]:
        """How each environment is heard from that is configured, or named and has been heard from."""
        return self._hear(self._expected(), now=now, reachable_since=reachable_since)

    def in_numbers(self, *, now: datetime, reachable_since: datetime | None) -> HeardInNumbers:
        """For metrics, whose labels only the configuration may bound."""
        others = self._hear(self._expected() - self._configured, now=now, reachable_since=reachable_since)
        return HeardInNumbers(
            configured=self._hear(self._configured, now=now, reachable_since=reachable_since),
            others=len(self._only_named) + len(self._unknown()),
            others_silent=sum(one.hearing is Hearing.SILENT for one in others),
        )

    def never_heard_not_shown(self) -> int:
        """How many more environments there are that documents name and that were never heard from."""
        return max(0, len(self._never_heard()) - SHOWN)

    def unknown_not_shown(self) -> int:
        """How many more environments report that are neither configured nor named."""
        return max(0, len(self._unknown()) - SHOWN)

    def _hear(self, environments: Iterable[str], *, now: datetime, reachable_since: datetime | None) -> list[Heard]:
        return [self._reporters.hear(name, now=now, reachable_since=reachable_since) for name in sorted(environments)]

    def _expected(self) -> set[str]:
        return self._configured | (self._only_named & self._reporters.environments())

    def _never_heard(self) -> set[str]:
        return self._only_named - self._reporters.environments()

    def _unknown(self) -> set[str]:
        return self._reporters.environments() - self._named - self._configured

    def problems(self, heard: Iterable[Heard], *, now: datetime) -> dict[str, str]:
        """The problems that need somebody's action, by ``reporters <environment>``.

        An environment that was never heard from is a problem only where it is configured (and so known to be an Airflow
        with the plugin) and documents name it.
        """
        return {
            f"reporters {one.environment}": "; ".join(problems)
            for one in heard
            if one.environment in (self._named & self._configured)
            or (one.hearing is not Hearing.NEVER and one.environment in (self._named | self._configured))
            if (problems := problems_of(one, now=now))
        }

    def unexpected(self, heard: Iterable[Heard]) -> list[Heard]:
        """Environments that are neither configured nor in any document: their reporters may have a wrong name."""
        return [one for one in heard if one.reporters and one.environment not in (self._named | self._configured)]


class HealthOfReporters:
    """What a running watcher knows about reporters. The deciding thread updates it, any thread may ask.

    :param reporters: those of its cache.
    :param environments: the configured ones.
    """

    def __init__(self, reporters: Reporters, environments: Mapping[str, EnvironmentSettings]) -> None:
        self._reporters = reporters
        self._environments = environments
        self._graph: Graph | None = None
        self._listening = Listening(reporters, environments, ())
        self._connected_since: datetime | None = None

    def note(self, graph: Graph, *, connected: bool, now: datetime) -> None:
        """Update what is known after a step.

        :param connected: it has read etcd, and its watch is alive.
        """
        if graph is not self._graph:
            self._graph = graph
            named = {pipeline.environment for pipeline in graph}
            self._listening = Listening(self._reporters, self._environments, named)
        if not connected:
            self._connected_since = None
        elif self._connected_since is None:
            self._connected_since = now

    def in_numbers(self, now: datetime) -> HeardInNumbers:
        """See :meth:`Listening.in_numbers`."""
        return self._listening.in_numbers(now=now, reachable_since=self._connected_since)

    def problems(self, now: datetime) -> dict[str, str]:
        """See :meth:`Listening.problems`. Empty while etcd cannot be reached: no reporter can be heard then."""
        since = self._connected_since
        if since is None:
            return {}
        listening = self._listening
        heard = listening.expected(now=now, reachable_since=since)
        if now - since < TIME_TO_START:
            heard = [one for one in heard if one.hearing is not Hearing.NEVER]
        return listening.problems(heard, now=now)
