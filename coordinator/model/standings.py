"""Keeping every pipeline's standing, so that a completion costs only what it touches.

Standings are recursive: a pipeline is busy because an input is busy, and so on up. Here they are kept and only
corrected: what changed is decided anew, upstreams first, and a change goes on to the downstreams only when
their decision can differ for it. Only what is not settled is stored.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

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

    def is_coming(self, upstream: PipelineRef) -> bool:
        return self._partitions.is_coming(upstream)

    def is_newest_partition(self, downstream: Target) -> bool:
        return self._partitions.is_newest_partition(downstream)

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

    def replace_graph(self, graph: Graph, targets: Iterable[Target]) -> list[Decision]:
        """Go on with another graph: everything is decided anew.

        :param targets: all that has a state or a record.
        """
        self.graph = graph
        self._unsettled.clear()
        self._partitions = PartitionIndex(graph, self._facts)
        return self.refresh(targets)

    def refresh(self, changed: Iterable[Target]) -> list[Decision]:
        """Decide anew what has changed and what that touches.

        :param changed: targets whose state, record, order or hold is another than at the last call.
        :returns: every decision made on the way, upstreams first.
        """
        heap: list[tuple[int, Target]] = []
        waiting: set[Target] = set()

        def add(target: Target) -> None:
            if target not in waiting:
                waiting.add(target)
                heapq.heappush(heap, (self.graph.rank(target.pipeline), target))
                if (replaced := self._partitions.note_partition(target)) is not None:
                    add(replaced)

        changed = tuple(changed)
        for target in changed:
            self._partitions.note_change(target, self.standing(target))
        for target in changed:
            add(target)
            for dependent in self.dependents(target):
                add(dependent)
        decisions = []
        while heap:
            _, target = heapq.heappop(heap)
            waiting.discard(target)
            decision = decide(self.graph, self, target)
            decisions.append(decision)
            self._partitions.note_decision(decision)
            if decision.standing is not self.standing(target):
                if decision.standing is Standing.SETTLED:
                    del self._unsettled[target]
                else:
                    self._unsettled[target] = decision.standing
                self._partitions.note_standing(target, decision.standing)
                for dependent in self.dependents(target):
                    add(dependent)
        return decisions
