"""The dependency graph: who waits for whom, in which partition, and since when each dependency counts."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Downstream
from coordinator.model.references import PipelineRef, Target


class CycleFound(ValueError):
    """The dependencies close a cycle. ``cycle`` starts and ends with the same pipeline, upstream first."""

    def __init__(self, cycle: tuple[PipelineRef, ...]) -> None:
        super().__init__(" -> ".join(map(str, cycle)))
        self.cycle = cycle


@dataclass(frozen=True, slots=True)
class Node:
    """A downstream pipeline in the graph.

    :ivar active_since: for each dependency, the etcd revision at which it became active: completions up to it
        are the past, for which nothing is fired (design section 4, *new*).
    """

    downstream: Downstream
    active_since: Mapping[Dependency, int]


class Graph:
    """Immutable. Built anew when a dependency document changes.

    :raises CycleFound: a pipeline would wait for itself.
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self._nodes = {node.downstream.pipeline: node for node in nodes}
        upstreams = {
            pipeline: {leaf.upstream for leaf in leaves(node.downstream.condition)}
            for pipeline, node in self._nodes.items()
        }
        try:
            order = tuple(graphlib.TopologicalSorter(upstreams).static_order())
        except graphlib.CycleError as error:
            raise CycleFound(tuple(error.args[1])) from None
        self._rank = {pipeline: rank for rank, pipeline in enumerate(order)}
        self._dependents: dict[PipelineRef, list[PipelineRef]] = {}
        for downstream, of in upstreams.items():
            for upstream in of:
                self._dependents.setdefault(upstream, []).append(downstream)

    def __len__(self) -> int:
        return len(self._rank)

    def __iter__(self) -> Iterator[PipelineRef]:
        """Every pipeline, upstreams before their downstreams."""
        return iter(self._rank)

    def node(self, pipeline: PipelineRef) -> Node | None:
        """What a pipeline waits for; ``None`` when it waits for nothing."""
        return self._nodes.get(pipeline)

    def rank(self, pipeline: PipelineRef) -> int:
        """Position in an order in which upstreams come first; unknown pipelines are upstream of nothing."""
        return self._rank.get(pipeline, -1)

    def input_of(self, dependency: Dependency, downstream: Target) -> Target:
        """The input that a dependency names for a downstream partition (identity mapping)."""
        return Target(dependency.upstream, downstream.partition)

    def dependents(self, upstream: Target) -> Iterator[Target]:
        """The downstream partitions that an upstream partition is an input of: the inverse of ``input_of``."""
        for pipeline in self._dependents.get(upstream.pipeline, ()):
            yield Target(pipeline, upstream.partition)
