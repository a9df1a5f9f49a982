"""Which partitions a pipeline has, by the names of keys alone.

A pipeline may have hundreds of thousands, and deciding about all of them takes minutes and gigabytes. Their names are
cheap: the newest few are chosen by name, and only the keys that decisions about those need are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.model.closure import what_decides
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions import Identity, Latest
from coordinator.model.partitions.instants import parse_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.store.keys import Keys, OrderKey, StateKey, TriggerKey
from coordinator.store.port import Store

_NO_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PartitionNames:
    """The partitions in which a pipeline, or any pipeline above it, has run.

    :ivar newest: some of them, the newest first.
    :ivar count: how many there are.
    :ivar seen: the partitions of the pipeline and of its direct upstreams that have keys in etcd.
    """

    newest: tuple[str, ...]
    count: int
    seen: Mapping[PipelineRef, set[str]]


def newest_first(partitions: set[str]) -> list[str]:
    """Sort partitions, the newest first; those that are not date-times come last."""
    return sorted(partitions, key=lambda partition: (parse_instant(partition) or _NO_TIME, partition), reverse=True)


def partition_names(
    store: Store, keys: Keys, graph: Graph, pipeline: PipelineRef, *, most: int | None, revision: int = 0
) -> PartitionNames:
    """Read the names of the keys of a pipeline and of everything above it.

    :param most: how many of the newest; ``None``: all.
    :param revision: of etcd; 0: the present.
    :raises Compacted: that revision is no longer kept.
    """
    node = graph.node(pipeline)
    near = {pipeline, *((leaf.pipeline for leaf in node.leaves()) if node is not None else ())}
    known: dict[PipelineRef, set[str]] = {}
    seen: dict[PipelineRef, set[str]] = {}
    same: dict[str, str] = {}  # one string for equal partitions of all pipelines
    for one in sorted(what_decides(graph, {(pipeline, None)}), key=graph.rank):
        names = {same.setdefault(name, name) for name in _names_of(store, keys, one, revision)}
        if one in near and names:
            seen[one] = names
        fed = _fed(graph.node(one), known)
        known[one] = names | {same.setdefault(name, name) for name in fed}
    found = known[pipeline]
    return PartitionNames(tuple(newest_first(found)[:most]), len(found), seen)


def _fed(node: Node | None, known: Mapping[PipelineRef, set[str]]) -> Iterator[str]:
    """The partitions of a downstream that follow from its upstreams' partitions."""
    if node is None:
        return
    dependencies = tuple(node.leaves())
    by_latest_alone = all(isinstance(one.mapping, Latest) for one in dependencies)
    for dependency in dependencies:
        upstream = known[dependency.pipeline]
        match dependency.mapping:
            case Latest():
                yield from upstream if by_latest_alone else ()
            case Identity():
                yield from upstream
            case mapping:
                for partition in upstream:
                    yield from mapping.downstreams(partition)


def _names_of(store: Store, keys: Keys, pipeline: PipelineRef, revision: int) -> Iterator[str]:
    for of in (keys.order, keys.state, keys.trigger):
        for key in store.names(of(Target(pipeline, "")), revision=revision):
            match keys.parse(key):
                case OrderKey(target) | StateKey(target) | TriggerKey(target) if target.pipeline == pipeline:
                    yield target.partition
