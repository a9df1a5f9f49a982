"""A wave through a ring: somebody clears a source of the past, and everything below runs again, once.

Told in two ways: with the whole reconciler on an etcd in memory, and with nothing but the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ParamSpec, TypeVar

from benchmarks.scaling.instant import HandClock, InstantWatcher, TimedStore, report, target_of
from benchmarks.scaling.ring import FIRST_REVISION, HISTORY, KEYS, Ring, partition
from coordinator.model.decide import Decision
from coordinator.model.hold import Hold
from coordinator.model.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State, Unreadable
from coordinator.model.standings import Standings
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import SeenRecord, SeenState
from coordinator.runners.port import ObservedRun
from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Put, Transaction
from coordinator.store.reflector import Snapshot
from coordinator.watcher import records

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Examined:
    """What was looked at.

    :ivar keys: reads of a state, a trigger record or a hold.
    :ivar decisions: decisions made while standings were brought up to date.
    """

    keys: int = 0
    decisions: int = 0


@dataclass(frozen=True)
class Passed:
    """A wave that has passed. ``seconds`` of CPU time."""

    completions: int
    seconds: float

    @property
    def each(self) -> float:
        return self.seconds / self.completions


class ReconcilerWaves:
    """The real reconciler over a ring with a past.

    :param partitions: of the past: each pipeline has run in every one of them.
    """

    def __init__(self, ring: Ring, partitions: int) -> None:
        self.ring = ring
        self.partitions = [partition(number) for number in range(partitions)]
        etcd = MemoryEtcd()
        self._store = TimedStore(etcd)
        # The first revision of all, so that what is put behind it is younger than the dependencies.
        for owner, document in ring.documents().items():
            put = Put(KEYS.dependencies(owner), dump_publication(Publication(document, {})))
            self._store.commit(Transaction((), (put,)))
        term = self._store.commit(Transaction((), (Put(KEYS.leader, b"the benchmark"),))).revision
        for name in self.partitions:
            puts = [Put(item.key, item.value) for item in ring.past_keys(name)]
            for first in range(0, len(puts), 100):
                self._store.commit(Transaction((), tuple(puts[first : first + 100])))
        etcd.compact(etcd.revision)
        self.watcher = InstantWatcher(self._store, term=term)
        listing = self._store.list(KEYS.root)
        self._watch = self._store.watch(KEYS.root, from_revision=listing.revision + 1)
        self.watcher.step([Snapshot(listing)])
        self._settle()
        assert not self.watcher.starts, "the past must not fire"
        self.watcher.clock.seconds += 10  # what comes now is live

    def count(self) -> Examined:
        """From now on count what is examined."""
        examined = Examined()
        reconciler = self.watcher.reconciler
        for name in ("state", "record", "hold"):
            setattr(reconciler.cache, name, _counted(getattr(reconciler.cache, name), examined))
        refresh = reconciler.standings.refresh

        def counted(changed: Iterable[Target]) -> list[Decision]:
            decisions = refresh(changed)
            examined.decisions += len(decisions)
            return decisions

        setattr(reconciler.standings, "refresh", counted)  # noqa: B010 - mypy: a method
        return examined

    def wave(self, place: int, day: int) -> Passed:
        """Clear a source in a partition of the past, and let everything run until nothing is left to run."""
        watcher, began = self.watcher, self.watcher.seconds
        completions = 0
        watcher.clock.seconds += 60  # since the last wave: nothing is fresh
        cleared = Target(self.ring.source(place), self.partitions[day % len(self.partitions)])
        environment = cleared.pipeline.environment
        self._run(environment, watcher.environments[environment].begun_anew(cleared))
        completions += 1
        while watcher.queued:
            self._run(*watcher.queued.popleft())
            completions += 1
        assert completions == self.ring.completions_in_a_wave(), f"{completions} completions in a wave"
        return Passed(completions, watcher.seconds - began)

    def _run(self, environment: str, run: ObservedRun) -> None:
        target = target_of(environment, run)
        for state in (State.RUNNING, State.SUCCESS):
            self.watcher.environments[environment].observe(replace(run, state=state))
            report(self._store, target, state, run, at=self.watcher.clock.now())
            self._settle()

    def _settle(self) -> None:
        while True:
            changes = self._watch.receive(0)
            if changes is not None:
                self.watcher.step([changes])
            elif not self.watcher.run_jobs():
                return


class Facts:
    """States and records as they stand, without an etcd."""

    def __init__(self) -> None:
        self.states: dict[Target, SeenState] = {}
        self.records: dict[Target, SeenRecord] = {}

    def state(self, target: Target) -> SeenState | None:
        return self.states.get(target)

    def record(self, target: Target) -> SeenRecord | None:
        return self.records.get(target)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        del pipeline
        return None

    def order(self, target: Target) -> None:
        del target

    def floor(self, pipeline: PipelineRef) -> None:
        del pipeline


class ModelWaves:
    """The rule and the standings alone, over the same ring with the same past."""

    def __init__(self, ring: Ring, partitions: int) -> None:
        self.ring = ring
        self.partitions = [partition(number) for number in range(partitions)]
        self._facts = Facts()
        self._clock = HandClock()
        self._revision = FIRST_REVISION
        self._seconds = 0.0
        self._examined = Examined()
        self._due: dict[Target, Decision] = {}
        self._standings = Standings(ring.graph(), self._facts)
        for name in self.partitions:
            for target, state, record in ring.past(name):
                self._facts.states[target] = SeenState(state.to_run_state(), FIRST_REVISION)
                if record is not None:
                    self._facts.records[target] = SeenRecord(record, FIRST_REVISION)
        self._standings.refresh(self._facts.states)
        assert not list(self._standings.unsettled()), "the past is settled"

    def count(self) -> Examined:
        """From now on count what is examined."""
        for name in ("state", "record", "hold"):
            setattr(self._facts, name, _counted(getattr(self._facts, name), self._examined))
        self._examined.decisions = 0
        return self._examined

    def wave(self, place: int, day: int) -> Passed:
        """Clear a source in a partition of the past, and let everything run until nothing is left to run."""
        began, completions = self._seconds, 1
        self._run(Target(self.ring.source(place), self.partitions[day % len(self.partitions)]))
        while self._due:
            decision = self._due.pop(next(iter(self._due)))
            self._fire(decision)
            self._run(decision.target)
            self._record(decision.target, records.done(self._present(decision.target)))
            completions += 1
        assert completions == self.ring.completions_in_a_wave(), f"{completions} completions in a wave"
        return Passed(completions, self._seconds - began)

    def _fire(self, decision: Decision) -> None:
        target, present = decision.target, self._present(decision.target)
        own = records.ExistingRun(HISTORY + target.partition, present.attempt)
        intent = records.intend(decision, present, own, who="", when=self._clock.now())
        self._record(target, intent)
        run = ObservedRun(target.pipeline.dag_id, own.run_id, State.QUEUED, self._tick())
        self._record(target, records.sent(intent, run))

    def _run(self, target: Target) -> None:
        record = self._facts.records.get(target)
        attempt = Attempt(HISTORY + target.partition, self._tick() if record is None else self._present(target).attempt)
        for state in (State.RUNNING, State.SUCCESS):
            self._revision += 1
            self._facts.states[target] = SeenState(RunState(state, attempt), self._revision)
            self._refresh(target)

    def _present(self, target: Target) -> TriggerRecord:
        record = self._facts.records[target].value
        assert isinstance(record, TriggerRecord)
        return record

    def _record(self, target: Target, record: TriggerRecord) -> None:
        self._revision += 1
        self._facts.records[target] = SeenRecord(record, self._revision)
        self._refresh(target)

    def _refresh(self, target: Target) -> None:
        began = time.thread_time()
        decisions = self._standings.refresh((target,))
        self._seconds += time.thread_time() - began
        self._examined.decisions += len(decisions)
        for decision in decisions:
            self._due.pop(decision.target, None)
            if decision.fires:
                self._due[decision.target] = decision

    def _tick(self) -> datetime:
        self._clock.seconds += 0.001
        return self._clock.now()


def _counted(read: Callable[P, T], examined: Examined) -> Callable[P, T]:
    def counting(*args: P.args, **kwargs: P.kwargs) -> T:
        examined.keys += 1
        return read(*args, **kwargs)

    return counting
