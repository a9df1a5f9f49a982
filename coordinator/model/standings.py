"""Keeping every pipeline's standing, so that a completion costs only what it touches.

Standings are recursive: a pipeline is busy because an input is busy, and so on up. Here they are kept and only
corrected: what changed is decided anew, upstreams first, and a change goes on to the downstreams only when
their decision can differ for it. Only what is not settled is stored.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain

from coordinator.model.conditions import Dependency
from coordinator.model.decide import Decision, decide
from coordinator.model.floor import Floor
from coordinator.model.graph import Graph
from coordinator.model.hold import Hold
from coordinator.model.partition_index import PartitionIndex
from coordinator.model.partitions import partition_order
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Unreadable
from coordinator.model.view import Facts, SeenOrder, SeenRecord, SeenState, Standing

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
"""The time of those who have no clock: no deadline has passed, and nothing is too old."""


class Standings:
    """A :class:`~coordinator.model.view.View` over facts that change, with standings kept up to date.

    :param graph: may be replaced by :meth:`replace_graph`.
    :ivar now: the moment at which decisions are made; whoever has a clock moves it on.
    """

    def __init__(self, graph: Graph, facts: Facts, *, now: datetime = BEFORE_ALL) -> None:
        self.graph = graph
        self.now = now
        self._facts = facts
        self._unsettled: dict[Target, Standing] = {}
        self._partitions = PartitionIndex(graph, facts)

    def state(self, target: Target) -> SeenState | None:
        return self._facts.state(target)

    def record(self, target: Target) -> SeenRecord | None:
        return self._facts.record(target)

    def order(self, target: Target) -> SeenOrder | None:
        return self._facts.order(target)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        return self._facts.hold(pipeline)

    def floor(self, pipeline: PipelineRef) -> Floor | None:
        return self._facts.floor(pipeline)

    def standing(self, target: Target) -> Standing:
        return self._unsettled.get(target, Standing.SETTLED)

    def gathered(self, dependency: Dependency, downstream: Target) -> Collection[Target]:
        return self._partitions.gathered(dependency, downstream)

    def newest(self, upstream: PipelineRef) -> Target | None:
        return self._partitions.newest(upstream)

    def is_newest_partition(self, downstream: Target) -> bool:
        return self._partitions.is_newest_partition(downstream)

    def is_coming_partition(self, downstream: Target) -> bool:
        return self._partitions.is_coming_partition(downstream)

    def unsettled(self) -> Iterator[Target]:
        """Everything that is busy or stuck: all that a new leader must look at."""
        return iter(tuple(self._unsettled))

    def unsettled_by_age(self) -> list[Target]:
        """The same, the oldest partitions first: the order in which what was missed is made up for."""
        return sorted(self._unsettled, key=lambda target: (partition_order(target.partition), target))

    def decide(self, target: Target) -> Decision:
        """Decide on the present facts."""
        return decide(self.graph, self, target)

    def dependents(self, upstream: Target) -> Iterator[Target]:
        """Every downstream partition that an upstream partition can touch."""
        yield from self.graph.dependents(upstream)
        yield from self._partitions.followers(upstream)

    def partitions_of(self, pipelines: Collection[PipelineRef], targets: Iterable[Target]) -> set[Target]:
        """Every partition of these pipelines that is known, or that an upstream of theirs has.

        :param targets: all that has a state, a record or an order.
        """
        upstreams = {leaf.upstream for one in pipelines if (node := self.graph.node(one)) for leaf in node.leaves()}
        found: set[Target] = set()
        for target in targets:
            if target.pipeline in pipelines:
                found.add(target)
            if target.pipeline in upstreams:
                found.update(one for one in self.dependents(target) if one.pipeline in pipelines)
        return found

    def replace_graph(self, graph: Graph, targets: Iterable[Target]) -> list[Decision]:
        """Go on with another graph: everything is decided anew.

        :param targets: all that has a state, a record or an order.
        """
        self.graph = graph
        self._unsettled.clear()
        self._partitions = PartitionIndex(graph, self._facts)
        return self.refresh(targets)

    def exchange_graph(self, graph: Graph, targets: Iterable[Target]) -> set[Target]:
        """Go on with another graph, where all that was known has been decided about. Nothing is decided yet.

        :param targets: all that has a state, a record or an order.
        :returns: what the other graph may decide otherwise, to be refreshed: of the pipelines whose dependencies are
            others than before, every partition that is known or that an upstream has.
        """
        before, self.graph = self.graph, graph
        self._partitions = PartitionIndex(graph, self._facts)
        changed = {pipeline for pipeline in {*before, *graph} if before.node(pipeline) != graph.node(pipeline)}
        changed |= self._partitions.with_latest  # what is their newest partition may be another
        upstreams = {leaf.upstream for one in changed if (node := graph.node(one)) for leaf in node.leaves()}
        again: set[Target] = set()
        for target in chain(targets, self._unsettled):  # also what is due without having anything in etcd yet
            self._partitions.note_change(target, self.standing(target))
            if target.pipeline in changed:
                again.add(target)
            if target.pipeline in upstreams:
                again.update(one for one in self.dependents(target) if one.pipeline in changed)
        for target, standing in self._unsettled.items():
            self._partitions.note_standing(target, standing)
        return again

    def refresh(self, changed: Iterable[Target], *, recorded: Iterable[Target] = ()) -> list[Decision]:
        """Decide anew what has changed and what that touches.

        :param changed: targets whose state, order or hold is another than at the last call.
        :param recorded: targets of which only the record is another: others see of it no more than the standing.
        :returns: every decision made on the way, upstreams first.
        """
        return list(self.refreshing(changed, recorded=recorded))

    def refreshing(self, changed: Iterable[Target], *, recorded: Iterable[Target] = ()) -> Iterator[Decision]:
        """The same, one by one: a million decisions at once are gigabytes. What is not taken is not decided."""
        heap: list[tuple[int, Target]] = []
        waiting: set[Target] = set()

        def add(target: Target) -> None:
            if target not in waiting:
                waiting.add(target)
                heapq.heappush(heap, (self.graph.rank(target.pipeline), target))

        changed, recorded = tuple(changed), tuple(recorded)
        for target in (*changed, *recorded):
            for newest in self._partitions.note_change(target, self.standing(target)):
                add(newest)
        for target in recorded:
            add(target)
        for target in changed:
            add(target)
            for dependent in self.dependents(target):
                add(dependent)
        while heap:
            _, target = heapq.heappop(heap)
            waiting.discard(target)
            decision = decide(self.graph, self, target)
            self._partitions.note_decision(decision)
            if decision.standing is not self.standing(target):
                if decision.standing is Standing.SETTLED:
                    del self._unsettled[target]
                else:
                    self._unsettled[target] = decision.standing
                for newest in self._partitions.note_standing(target, decision.standing):
                    add(newest)
                for dependent in self.dependents(target):
                    add(dependent)
            yield decision
