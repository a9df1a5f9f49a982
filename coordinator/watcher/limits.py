"""Limits: how many runs may be in flight at once, and how fast they may start; who waits, and whose turn it is.

A target passes a gate for its pipeline (``max_in_flight`` of its entry) and one for its environment
(``max_runs_in_flight``, ``max_starts_per_minute``), as far as there are limits. What is inside a gate is in flight,
or has been let in and is about to be. None of this is written anywhere: what is in flight stands in the trigger
records, and who waits is whoever is due, so a successor finds both again.

Pure: no clock, no log, no I/O.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.model.decide import Decision, Obstacle
from coordinator.model.graph import Graph
from coordinator.model.partitions import partition_order
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import TriggerRecord
from coordinator.settings import Settings
from coordinator.watcher.cache import Cache

MINUTE = 60.0
BURSTS_PER_MINUTE = 6
"""So many bursts make up a minute's starts: after a pause a sixth of them may start at once."""


@dataclass(frozen=True, slots=True)
class EnvironmentLimits:
    """What an environment bears. ``None``: any number."""

    max_runs_in_flight: int | None = None
    max_starts_per_minute: int | None = None


class StartRate:
    """A token bucket.

    :param per_minute: starts. A sixth of them, but at least one, may come at once after a pause.
    """

    def __init__(self, per_minute: int) -> None:
        self._pause = MINUTE / per_minute
        self._burst = max(1.0, per_minute / BURSTS_PER_MINUTE)
        self._tokens = self._burst
        self._at = float("-inf")

    def next_at(self) -> float:
        """Monotonic seconds from which on one may start."""
        return self._at + max(0.0, 1.0 - self._tokens) * self._pause

    def may_start(self, now: float) -> bool:
        return now >= self.next_at()

    def take(self, now: float) -> None:
        """One starts. :param now: monotonic seconds, not before :meth:`next_at`."""
        self._refill(now)
        self._tokens = max(0.0, self._tokens - 1.0)

    def give_back(self) -> None:
        """It has not started after all."""
        self._tokens = min(self._burst, self._tokens + 1.0)

    def recall(self, ages: Iterable[float], now: float) -> None:
        """Go on from what a predecessor has started. :param ages: seconds since each start."""
        self._tokens, self._at = self._burst, float("-inf")
        for age in sorted((age for age in ages if 0.0 <= age <= MINUTE), reverse=True):
            self.take(now - age)

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) / self._pause)
            self._at = now


class Line:
    """Who waits at a gate.

    Turns alternate between the oldest partition of all and the newest of those that became due while this watcher
    led. Oldest first is the order of catching up, and nobody waits for ever, for each is the oldest some day; but
    behind a long backlog alone, this hour's partition would wait for hours.
    """

    def __init__(self) -> None:
        self._fresh: dict[Target, bool] = {}
        self._by_age: list[tuple[tuple[bool, object, str], Target]] = []
        self._fresh_by_age: list[tuple[tuple[bool, object, str], Target]] = []
        self._newest_next = True

    def __len__(self) -> int:
        return len(self._by_age)

    def __contains__(self, target: Target) -> bool:
        return target in self._fresh

    def add(self, target: Target, *, fresh: bool) -> None:
        entry = (partition_order(target.partition), target)
        self._fresh[target] = fresh
        insort(self._by_age, entry)
        if fresh:
            insort(self._fresh_by_age, entry)

    def remove(self, target: Target) -> None:
        entry = (partition_order(target.partition), target)
        del self._by_age[bisect_left(self._by_age, entry)]
        if self._fresh.pop(target):
            del self._fresh_by_age[bisect_left(self._fresh_by_age, entry)]

    def pop(self) -> tuple[Target, bool]:
        """Whose turn it is, and whether it is fresh."""
        _, target = self._fresh_by_age[-1] if self._newest_next and self._fresh_by_age else self._by_age[0]
        self._newest_next = not self._newest_next
        fresh = self._fresh[target]
        self.remove(target)
        return target, fresh


def limits_of(settings: Settings) -> dict[str, EnvironmentLimits]:
    """What each environment bears."""
    return {
        name: EnvironmentLimits(environment.max_runs_in_flight, environment.max_starts_per_minute)
        for name, environment in settings.environments.items()
    }


def ages_of_starts(cache: Cache, now: datetime) -> dict[str, list[float]]:
    """When the last runs were decided on, for :meth:`Limits.recall`: a successor does not begin a new minute."""
    ages: dict[str, list[float]] = {}
    for target in cache.targets():
        seen = cache.record(target)
        if seen is not None and isinstance(seen.value, TriggerRecord):
            record = seen.value
            if record.when is not None and not record.skipped:
                ages.setdefault(target.pipeline.environment, []).append((now - record.when).total_seconds())
    return ages


@dataclass(slots=True, eq=False)
class Gate:
    """:ivar inside: in flight, or let in and about to be."""

    limit: int | None
    rate: StartRate | None = None
    inside: set[Target] = field(default_factory=set)
    line: Line = field(default_factory=Line)

    def has_room(self, now: float) -> bool:
        return (self.limit is None or len(self.inside) < self.limit) and (self.rate is None or self.rate.may_start(now))

    def let_in(self, target: Target, now: float) -> None:
        self.inside.add(target)
        if self.rate is not None:
            self.rate.take(now)


class Limits:
    """All gates, and who stands where. Used by the deciding thread only."""

    def __init__(self, environments: Mapping[str, EnvironmentLimits]) -> None:
        self._pipelines: dict[PipelineRef, Gate] = {}
        self._environments: dict[str, Gate] = {}
        for name, limits in environments.items():
            rate = StartRate(limits.max_starts_per_minute) if limits.max_starts_per_minute is not None else None
            if limits.max_runs_in_flight is not None or rate is not None:
                self._environments[name] = Gate(limits.max_runs_in_flight, rate)
        self._waiting: dict[Target, Gate] = {}
        self._let_in: set[Target] = set()
        self._loosened: dict[int, Gate] = {}

    def obey(self, graph: Graph) -> None:
        """Another graph. Whoever waited must come again, and every decision be noted again."""
        self.forget_waiting()
        before = self._pipelines
        self._pipelines = {}
        for node in graph.nodes():
            pipeline, limit = node.downstream.pipeline, node.downstream.max_in_flight
            if limit is not None:
                inside = before[pipeline].inside if pipeline in before else set()
                self._pipelines[pipeline] = Gate(limit, inside=inside)

    def forget_waiting(self) -> None:
        """A term has begun or ended."""
        for target in (*self._waiting, *self._let_in):
            self.leave(target)

    def note(self, decision: Decision) -> None:
        """Take in whether something is in flight. What has been let in is inside although it is not in flight yet."""
        if not self._pipelines and not self._environments:
            return
        target = decision.target
        flies = Obstacle.IN_FLIGHT in decision.obstacles
        if flies:
            self.began(target)  # also when it was not known whether its intent was written
            self.leave(target)
        for gate in self._gates(target):
            if flies:
                gate.inside.add(target)
            elif not self.knows(target):
                self._make_room(gate, target)

    def began(self, target: Target) -> None:
        """What was let in is in flight now."""
        self._let_in.discard(target)

    def enter(self, target: Target, *, fresh: bool, now: float) -> bool:
        """Whether it may start now; else it waits in line until :meth:`admit` names it.

        :param fresh: it became due while this watcher led.
        :param now: monotonic seconds.
        """
        if target in self._let_in:
            return True
        return target not in self._waiting and self._pass(target, self._gates(target), fresh=fresh, now=now)

    def leave(self, target: Target) -> None:
        """It is not to start now: it gives up its place, in line or inside."""
        waits_at = self._waiting.pop(target, None)
        if waits_at is None and target not in self._let_in:
            return
        self._let_in.discard(target)
        for gate in self._gates(target):
            if gate is waits_at:
                gate.line.remove(target)
                break  # it is not inside of what comes behind
            if gate.rate is not None:
                gate.rate.give_back()
            self._make_room(gate, target)

    def knows(self, target: Target) -> bool:
        """Whether it waits, or has been let in and has not begun."""
        return target in self._waiting or target in self._let_in

    def admit(self, now: float) -> list[Target]:
        """Whose turn it is now. :param now: monotonic seconds."""
        admitted: list[Target] = []
        for gate in self._environments.values():
            if gate.rate is not None and gate.line:
                self._loosened[id(gate)] = gate
        while self._loosened:
            _, gate = self._loosened.popitem()
            while gate.line and gate.has_room(now):
                target, fresh = gate.line.pop()
                del self._waiting[target]
                gates = list(self._gates(target))
                gate.let_in(target, now)
                if self._pass(target, gates[gates.index(gate) + 1 :], fresh=fresh, now=now):
                    admitted.append(target)
        return admitted

    def next_at(self) -> float | None:
        """Monotonic seconds at which time alone lets somebody in."""
        times = [
            gate.rate.next_at()
            for gate in self._environments.values()
            if gate.rate is not None and gate.line and (gate.limit is None or len(gate.inside) < gate.limit)
        ]
        return min(times, default=None)

    def recall(self, starts: Mapping[str, Iterable[float]], now: float) -> None:
        """Go on from what predecessors have started. :param starts: by environment, seconds since each start."""
        for name, gate in self._environments.items():
            if gate.rate is not None:
                gate.rate.recall(starts.get(name, ()), now)

    @property
    def has_rates(self) -> bool:
        return any(gate.rate is not None for gate in self._environments.values())

    def _pass(self, target: Target, gates: Iterable[Gate], *, fresh: bool, now: float) -> bool:
        for gate in gates:
            if gate.line or not gate.has_room(now):
                gate.line.add(target, fresh=fresh)
                self._waiting[target] = gate
                return False
            gate.let_in(target, now)
        if any(True for _ in self._gates(target)):
            self._let_in.add(target)
        return True

    def _gates(self, target: Target) -> Iterator[Gate]:
        if (gate := self._pipelines.get(target.pipeline)) is not None:
            yield gate
        if (gate := self._environments.get(target.pipeline.environment)) is not None:
            yield gate

    def _make_room(self, gate: Gate, target: Target) -> None:
        if target in gate.inside:
            gate.inside.discard(target)
            if gate.line:
                self._loosened[id(gate)] = gate
