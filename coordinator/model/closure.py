"""The closure of a decision: the pipelines and partitions that it depends on, up through all upstreams.

If mappings name the inputs of a partition, only those partitions are needed. ``latest``, ``fixed_key``, ``start_of_*``
and what is made of these name none: of such an upstream, and of everything above it, all partitions are needed. Of a
downstream with ``latest`` all partitions are needed too, because ``latest`` starts only the newest of them; and of a
pipeline on a cycle that goes back in time, which leads from partition to partition without an end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from coordinator.model.conditions import Dependency
from coordinator.model.graph import Graph
from coordinator.model.partitions import Assets, FixedKey, Latest, StartOf, gathers
from coordinator.model.references import PipelineRef

Place = tuple[PipelineRef, str | None]
"""A pipeline in a partition, or in all of its partitions: ``None``."""

Closure = Mapping[PipelineRef, frozenset[str] | None]
"""The needed partitions of each pipeline; ``None``: all."""


def what_decides(graph: Graph, about: Iterable[Place]) -> Closure:
    """Everything that decisions about some places depend on, including these places."""
    needed: dict[PipelineRef, set[str] | None] = {}
    waiting: list[Place] = list(about)
    while waiting:
        pipeline, partition = waiting.pop()
        node = graph.node(pipeline)
        dependencies = tuple(node.leaves()) if node is not None else ()
        if pipeline.whole in graph.going_back or any(isinstance(one.mapping, Latest) for one in dependencies):
            partition = None
        partitions = needed.setdefault(pipeline, set())
        if partitions is None or partition in partitions:
            continue
        if partition is None:
            needed[pipeline] = None
        else:
            partitions.add(partition)
        if pipeline.task:
            waiting.append((pipeline.whole, partition))
        if pipeline.is_rows:
            waiting.append((pipeline.fanned_out, partition))
        waiting += (
            (edge.upstream, partition if edge.same_partition else None)
            for edge in graph.sensors
            if edge.downstream == pipeline.whole
        )
        for dependency in dependencies:
            waiting += ((dependency.upstream, one) for one in _inputs(dependency, partition))
    return {pipeline: None if found is None else frozenset(found) for pipeline, found in needed.items()}


def with_all_below(graph: Graph, place: Place) -> set[Place]:
    """A place, and everything that can run because of it."""
    found: set[Place] = set()
    waiting = [place]
    while waiting:
        upstream, partition = one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        waiting += (
            (edge.downstream, partition if edge.same_partition else None)
            for edge in graph.sensors
            if edge.upstream == upstream
        )
        for downstream, mapping in graph.edges(upstream):
            if partition is None or isinstance(mapping, Latest) or downstream.whole in graph.going_back:
                waiting.append((downstream, None))
            else:
                waiting += ((downstream, fed) for fed in mapping.downstreams(partition))
    return found


def _inputs(dependency: Dependency, partition: str | None) -> Iterator[str | None]:
    """The partitions of an upstream that a partition of its downstream needs."""
    mapping = dependency.mapping
    if partition is None or isinstance(mapping, Latest | StartOf | Assets) or gathers(mapping):
        yield None
    elif not isinstance(mapping, FixedKey):
        yield from mapping.upstreams(partition)
    elif partition == mapping.downstream_key:
        yield None
