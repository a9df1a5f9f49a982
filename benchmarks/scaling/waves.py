"""A wave through a ring: somebody clears a source in a finished partition, and everything below runs again, once.

There are two versions: with the whole reconciler on an etcd in memory, and with the model alone.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.scaling.alone import ModelAlone
from benchmarks.scaling.counting import Examined, Passed, counting
from benchmarks.scaling.instant import InstantWatcher, TimedStore, report, target_of
from benchmarks.scaling.ring import KEYS, Ring, partition
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import Target
from coordinator.model.runstate import State
from coordinator.runners.port import ObservedRun
from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Put, Transaction
from coordinator.store.reflector import Snapshot


class ReconcilerWaves:
    """The real reconciler over a ring with a history.

    :param partitions: the number of finished partitions: each pipeline has run in all of them.
    """

    def __init__(self, ring: Ring, partitions: int) -> None:
        self.ring = ring
        self.partitions = [partition(number) for number in range(partitions)]
        etcd = MemoryEtcd()
        self._store = TimedStore(etcd)
        # The first revision, so that everything put later is newer than the dependencies.
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

    def counted_wave(self, place: int, day: int) -> Examined:
        """A wave, with what it examines counted: slower than one that is not."""
        with counting(self.watcher.reconciler.cache) as examined:
            self.wave(place, day)
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


class ModelWaves:
    """The rule and the propagation alone, over the same ring with the same history."""

    def __init__(self, ring: Ring, partitions: int) -> None:
        self.ring = ring
        self.partitions = [partition(number) for number in range(partitions)]
        past = (
            (target, state.to_run_state(), record)
            for name in self.partitions
            for target, state, record in ring.past(name)
        )
        self._model = ModelAlone(ring.graph(), past)

    def counted_wave(self, place: int, day: int) -> Examined:
        """A wave, with what it examines counted: slower than one that is not."""
        with counting(self._model.facts) as examined:
            self.wave(place, day)
        return examined

    def wave(self, place: int, day: int) -> Passed:
        """Clear a source in a partition of the past, and let everything run until nothing is left to run."""
        began = self._model.seconds
        cleared = Target(self.ring.source(place), self.partitions[day % len(self.partitions)])
        completions = self._model.complete(cleared)
        assert completions == self.ring.completions_in_a_wave(), f"{completions} completions in a wave"
        return Passed(completions, self._model.seconds - began)
