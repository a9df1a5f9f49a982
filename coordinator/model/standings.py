"""Keeping every pipeline's standing, so that a completion costs only what it touches.

Standings are recursive: a pipeline is busy because an input is busy, and so on up. Here they are kept and only
corrected: what changed is decided anew, upstreams first, and a change goes on to the downstreams only when
their decision can differ for it. Only what is not settled is stored.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Protocol

from coordinator.model.decide import Decision, decide
from coordinator.model.graph import Graph
from coordinator.model.hold import Hold
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Unreadable
from coordinator.model.view import SeenRecord, SeenState, Standing


class Facts(Protocol):
    """What stands in etcd: a view without standings."""

    def state(self, target: Target) -> SeenState | None: ...

    def record(self, target: Target) -> SeenRecord | None: ...

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None: ...


class Standings:
    """A :class:`~coordinator.model.view.View` over facts that change, with standings kept up to date.

    :param graph: may be replaced by :meth:`replace_graph`.
    """

    def __init__(self, graph: Graph, facts: Facts) -> None:
        self.graph = graph
        self._facts = facts
        self._unsettled: dict[Target, Standing] = {}

    def state(self, target: Target) -> SeenState | None:
        return self._facts.state(target)

    def record(self, target: Target) -> SeenRecord | None:
        return self._facts.record(target)

    def hold(self, pipeline: PipelineRef) -> Hold | Unreadable | None:
        return self._facts.hold(pipeline)

    def standing(self, target: Target) -> Standing:
        return self._unsettled.get(target, Standing.SETTLED)

    def unsettled(self) -> Iterator[Target]:
        """Everything that is busy or stuck: all that a new leader must look at."""
        return iter(tuple(self._unsettled))

    def decide(self, target: Target) -> Decision:
        """Decide on the present facts."""
        return decide(self.graph, self, target)

    def replace_graph(self, graph: Graph, targets: Iterable[Target]) -> list[Decision]:
        """Go on with another graph: everything is decided anew.

        :param targets: all that has a state or a record.
        """
        self.graph = graph
        self._unsettled.clear()
        return self.refresh(targets)

    def refresh(self, changed: Iterable[Target]) -> list[Decision]:
        """Decide anew what has changed and what that touches.

        :param changed: targets whose state, record or hold is another than at the last call.
        :returns: every decision made on the way, upstreams first.
        """
        heap: list[tuple[int, Target]] = []
        waiting: set[Target] = set()

        def add(target: Target) -> None:
            if target not in waiting:
                waiting.add(target)
                heapq.heappush(heap, (self.graph.rank(target.pipeline), target))

        for target in changed:
            add(target)
            for dependent in self.graph.dependents(target):
                add(dependent)
        decisions = []
        while heap:
            _, target = heapq.heappop(heap)
            waiting.discard(target)
            decision = decide(self.graph, self, target)
            decisions.append(decision)
            if decision.standing is not self.standing(target):
                if decision.standing is Standing.SETTLED:
                    del self._unsettled[target]
                else:
                    self._unsettled[target] = decision.standing
                for dependent in self.graph.dependents(target):
                    add(dependent)
        return decisions
