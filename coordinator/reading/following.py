"""A reading that is kept up to date: what a reflector brings becomes facts, and what it touches is decided about again.

It shows what the watcher would decide, as :func:`coordinator.reading.reading.read` does, and costs as much as what has
changed. It writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from coordinator.controller.queue.rechecks import Rechecks
from coordinator.controller.reconcile.broken_targets import problems_of
from coordinator.controller.state.cache import Cache, unsettled_of
from coordinator.controller.state.changed import Replaced, Touched
from coordinator.controller.state.task_problems import task_problems
from coordinator.model.graph import Graph
from coordinator.model.propagation.propagation import BEFORE_ALL, Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.reading.reading import Noted, Reading, failure_of, graph_of, intent_of, newest_change
from coordinator.store.keys import Keys
from coordinator.store.port import Changes, Listing


@dataclass(frozen=True, slots=True)
class News:
    """What has changed.

    :ivar pipelines: those whose partitions have changed, or may look different; ``None``: any may.
    """

    revision: int
    pipelines: frozenset[PipelineRef] | None

    def __bool__(self) -> bool:
        return self.pipelines is None or bool(self.pipelines)


class FollowedReading:
    """See the module. One thread at a time may use it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._cache = Cache(keys)
        self._propagation = Propagation(Graph(), self._cache, now=BEFORE_ALL)
        self._documents = Graph()
        self._graph_problems: dict[str, str] = {}
        self._rechecks = Rechecks()
        self._late: set[Target] = set()
        self._newest_change = 0
        self._failed: set[Target] = set()
        self._intents: set[Target] = set()

    @property
    def revision(self) -> int:
        """Everything up to this etcd revision is in it; 0: nothing has been listed yet."""
        return self._cache.revision

    def replace(self, listing: Listing, now: datetime) -> News:
        """Everything was listed. This empties the listing."""
        self._propagation.now = now
        self._newest_change = newest_change(self._keys, listing.items)
        replaced = self._cache.replace(listing)
        self._use_documents(replaced)
        for noted in (self._late, self._failed, self._intents):
            noted.clear()
        self._note(self._cache.targets())
        self._decide()
        return News(self.revision, None)

    def apply(self, changes: Changes, now: datetime) -> News:
        """Changes from the watch."""
        self._propagation.now = now
        items = [change.kv for change in changes.changes if change.kv is not None]
        self._newest_change = max(self._newest_change, newest_change(self._keys, items))
        touched = self._cache.apply(changes, now=0.0, live=False)
        self._note((*touched.targets, *touched.recorded))
        everything = self._touch(touched)
        changed = {target.pipeline for target in (*touched.targets, *touched.recorded)} | touched.held
        changed |= self._decide()
        return News(self.revision, None if everything else frozenset(changed))

    def pass_time(self, now: datetime) -> News:
        """Time alone changes decisions, too: deadlines pass, completions become too old."""
        self._propagation.now = now
        if due := self._rechecks.due(now):
            self._propagation.touch((), recorded=due)
        return News(self.revision, frozenset(self._decide()))

    def reading(self) -> Reading:
        """The reading as it is now. It goes on changing: use it before the next update."""
        problems = (
            self._graph_problems
            | problems_of(self._propagation.broken)
            | task_problems(self._cache, self._propagation.graph)
        )
        noted = Noted(self._failed, self._intents)
        return Reading(
            self._cache, self._propagation, problems, None, frozenset(self._late), self._newest_change, noted
        )

    def _note(self, targets: Iterable[Target]) -> None:
        cache = self._cache
        for target in targets:
            (self._failed.discard if failure_of(cache.state(target)) is None else self._failed.add)(target)
            (self._intents.discard if intent_of(cache.record(target)) is None else self._intents.add)(target)

    def _touch(self, touched: Touched) -> bool:
        """Note what has changed. Returns whether that may be anything."""
        propagation = self._propagation
        propagation.touch(touched.targets, recorded=touched.recorded)
        if touched.held:
            propagation.touch((), recorded=unsettled_of(touched.held, propagation.unsettled()))
        if touched.watermarks:
            propagation.touch(propagation.partitions_of(touched.watermarks, self._cache.targets()))
        if touched.dependencies:
            self._use_documents(None)
            return True
        return (touched.producers or bool(touched.waits)) and self._use_connections(self._cache.snapshot())

    def _use_documents(self, replaced: Replaced | None) -> None:
        """:param replaced: everything was listed; ``None``: only the documents have changed."""
        self._documents, self._graph_problems = graph_of(self._cache)
        targets = self._cache.snapshot() if replaced is None else replaced.targets
        self._use_connections(targets, everything=replaced is not None, is_new=True)

    def _use_connections(self, targets: Iterable[Target], *, everything: bool = False, is_new: bool = False) -> bool:
        """Use the documents with what else connects pipelines. Returns whether anything has changed.

        Parameters as in :meth:`Propagation.exchange_graph`.
        """
        connections = self._cache.connections()
        if not is_new and connections == self._propagation.graph.sensors:
            return False
        graph = self._documents.with_sensors(connections)
        self._propagation.exchange_graph(graph, targets, everything=everything)
        self._propagation.touch((), recorded=tuple(self._late), live=False)  # some may have left the graph
        return True

    def _decide(self) -> set[PipelineRef]:
        """Decide about everything that was touched. Returns the pipelines that were decided about."""
        decided = set()
        while not self._propagation.is_drained:
            if (made := self._propagation.decide_next()) is not None:
                decision = made.decision
                decided.add(decision.target.pipeline)
                self._rechecks.note(decision)
                (self._late.add if decision.late else self._late.discard)(decision.target)
        return decided
