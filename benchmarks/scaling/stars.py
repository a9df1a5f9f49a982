"""Graphs with one wide pipeline, for the real watcher (:mod:`benchmarks.scaling.instant`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from benchmarks.scaling.instant import InstantWatcher, TimedStore
from benchmarks.scaling.ring import ENVIRONMENTS, KEYS
from coordinator.model.conditions import Dependency, all_of
from coordinator.model.dependencies import Downstream
from coordinator.model.partitions.instants import format_instant, partition_of_run
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.runners.port import ObservedRun
from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Put, Transaction
from coordinator.store.reflector import Snapshot

ENVIRONMENT = ENVIRONMENTS[0]


def pipeline(name: str) -> PipelineRef:
    return PipelineRef(ENVIRONMENT, name)


class Star:
    """A watcher over a graph in which everything has succeeded.

    :param edges: the upstreams of each pipeline that has some.
    """

    def __init__(self, edges: dict[str, Sequence[str]]) -> None:
        document = {}
        for name, upstreams in edges.items():
            leaves = [Dependency(pipeline(upstream)) for upstream in upstreams]
            document[pipeline(name)] = Downstream(pipeline(name), all_of(*leaves) if len(leaves) > 1 else leaves[0])
        self._etcd = MemoryEtcd()
        self.store = TimedStore(self._etcd)
        value = dump_publication(Publication(document, {}))
        self.store.commit(Transaction((), (Put(KEYS.dependencies(ENVIRONMENT), value),)))
        term = self.store.commit(Transaction((), (Put(KEYS.leader, b"the benchmark"),))).revision
        self.watcher = InstantWatcher(self.store, term=term)
        listing = self.store.list(KEYS.root)
        self._watch = self.store.watch(KEYS.root, from_revision=listing.revision + 1)
        self.watcher.step([Snapshot(listing)])
        self.watcher.settle()
        for _ in range(2):  # what comes now is live: it has not stood still, and what was listed is not fresh any more
            self.watcher.clock.seconds += 1.5
            self.watcher.one_step(())
        self._attempts = 0

    def report(self, name: str, state: State, *, day: int = 0, again: bool = True) -> None:
        """Report the state of a run. :param again: it is another attempt than the one before."""
        self._attempts += again
        now = self.watcher.clock.now()
        instant = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=day)
        document = RunStateDocument(
            state=state,
            run_id=f"scheduled__{format_instant(instant)}",
            queued_at=instant + timedelta(microseconds=self._attempts),
            logical_date=instant,
            observed_at=now,
        )
        run = ObservedRun(name, document.run_id or "", state, document.queued_at, instant)
        self.watcher.environments[ENVIRONMENT].observe(run)  # for looks at runs that are not fresh
        partition = partition_of_run(run_id="", logical_date=instant, partition_key=None, conf={})
        target = Target(pipeline(name), partition)
        self.store.commit(Transaction((), (Put(KEYS.state(target), document.to_value()),)))

    def one_step(self) -> float:
        """Handle the changes in etcd in one step. Returns its CPU seconds."""
        changes = self._watch.receive(0)
        return self.watcher.one_step([changes] if changes is not None else ())

    def settle(self) -> None:
        """Run until nothing changes any more."""
        while (changes := self._watch.receive(0)) is not None:
            self.watcher.step([changes])
        while self.watcher.run_jobs():
            while (changes := self._watch.receive(0)) is not None:
                self.watcher.step([changes])
