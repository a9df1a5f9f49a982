"""The dependency graph: which pipelines wait for which, in which partitions, and since when each dependency counts."""

from __future__ import annotations

import copy
import graphlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from coordinator.model import partitions as mappings
from coordinator.model.assets.names import is_asset
from coordinator.model.conditions import IDENTITY, Dependency, leaves
from coordinator.model.cycles import Cycle, CyclePath, back_in_time, find_cycles, reached, reverse
from coordinator.model.cycles import Edge as CycleEdge
from coordinator.model.dependencies import Catchup, Downstream, OnLate, Rerun, Settle
from coordinator.model.partitions import Identity, Latest, Offset
from coordinator.model.references import PipelineRef, Target, target_of

_APART = 3
"""Between the ranks of two pipelines are those of the rows and of the items of the second one."""


class CycleFound(ValueError):
    """The dependencies close a cycle. :ivar remedy: why it is refused, and what to do."""

    def __init__(self, cycle: CyclePath, remedy: str) -> None:
        super().__init__(" -> ".join(map(str, cycle)))
        self.cycle = cycle
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Node:
    """A downstream pipeline in the graph.

    :ivar active_since: for each dependency, the etcd revision at which it became active: completions up to it are never
        new (docs/architecture.md#new).
    :ivar active_at: the time of that, as far as it is known, for dependencies on tasks: a task may be looked at for the
        first time long after it ended.
    """

    downstream: Downstream
    active_since: Mapping[Dependency, int]
    active_at: Mapping[Dependency, datetime] = field(default_factory=dict)

    def leaves(self) -> Iterator[Dependency]:
        """Every dependency, from left to right."""
        return leaves(self.downstream.condition)


class Edge(NamedTuple):
    """A downstream, and the mapping through which it depends on an upstream."""

    downstream: PipelineRef
    mapping: mappings.Mapping


class SensorEdge(NamedTuple):
    """A pipeline with a sensor that is cleared when its upstream completes again.

    :ivar upstream: a pipeline, or a task of one.
    :ivar same_partition: both are always in the same partition.
    :ivar goes_back: both are always date-times, the upstream's the earlier one.
    """

    downstream: PipelineRef
    upstream: PipelineRef
    same_partition: bool
    goes_back: bool = False


class Graph:
    """Immutable. A new one is built when a dependency document changes.

    :param sensors: for each pair, the etcd revision since which sensors are known to wait so: of what ended before,
        tasks need not be asked about. Unlike dependencies, they may form a cycle.
    :ivar assets: the assets that pipelines wait for.
    :ivar orders_assets: they come after the pipelines that emit them in the order of pipelines; else these wait for
        them in turn.
    :ivar cycles: those that are accepted, because they go back in time; ``going_back``: the pipelines on them.
    :raises CycleFound: a pipeline would wait for itself.
    """

    def __init__(self, nodes: Iterable[Node] = (), sensors: Mapping[SensorEdge, int] | None = None) -> None:
        self._nodes = {node.downstream.pipeline: node for node in nodes}
        self.sensors = sensors or {}
        self.cycles: Sequence[Cycle] = ()
        upstreams = self._upstreams()
        self._tasks: dict[PipelineRef, dict[PipelineRef, int]] = {}
        assets: set[PipelineRef] = set()
        for node in self._nodes.values():
            for leaf in node.leaves():
                if is_asset(leaf.upstream):
                    assets.add(leaf.upstream)
                if leaf.upstream.task:
                    since = self._tasks.setdefault(leaf.upstream.whole, {})
                    known = since.get(leaf.upstream, node.active_since[leaf])
                    since[leaf.upstream] = min(known, node.active_since[leaf])
        for edge, first in self.sensors.items():
            upstreams.setdefault(edge.downstream, set())
            upstreams.setdefault(edge.upstream.whole, set())
            if edge.upstream.task:
                since = self._tasks.setdefault(edge.upstream.whole, {})
                since[edge.upstream] = min(since.get(edge.upstream, first), first)
        self.assets = frozenset(assets)
        of_tasks = {task: {pipeline} for pipeline, tasks in self._tasks.items() for task in tasks}
        emitted = {edge.downstream: set[PipelineRef]() for edge in self.sensors if is_asset(edge.downstream)}
        for edge in self.sensors:
            if edge.downstream in emitted:
                emitted[edge.downstream].add(edge.upstream)
        self.orders_assets = True
        try:
            order = tuple(graphlib.TopologicalSorter(upstreams | of_tasks | emitted).static_order())
        except graphlib.CycleError:
            self.orders_assets = not emitted
            order = ()
        try:
            order = order or tuple(graphlib.TopologicalSorter(upstreams | of_tasks).static_order())
        except graphlib.CycleError:
            self.cycles = find_cycles({one: node.downstream for one, node in self._nodes.items()})
            if refused := next((cycle for cycle in self.cycles if cycle.refusal), None):
                raise CycleFound(refused.path, refused.refusal) from None
            upstreams |= self._upstreams(without=back_in_time(self.cycles))
            order = tuple(graphlib.TopologicalSorter(upstreams | of_tasks).static_order())
        self.going_back = frozenset(pipeline for cycle in self.cycles for pipeline in cycle.pipelines)
        self._directly_above: dict[PipelineRef, set[PipelineRef]] = {}
        self._all_above: dict[PipelineRef, set[PipelineRef]] = {}
        self._may_go_on: set[CycleEdge] = set()
        self._only_back: dict[tuple[PipelineRef, PipelineRef], bool] = {}
        self._rank = {pipeline: rank * _APART for rank, pipeline in enumerate(order)}
        self._items: dict[PipelineRef, Node] = {}
        self._edges: dict[PipelineRef, list[Edge]] = {
            pipeline: [Edge(task, IDENTITY) for task in tasks] for pipeline, tasks in self._tasks.items()
        }
        for pipeline, node in self._nodes.items():
            for upstream, mapping in dict.fromkeys(
                (leaf.upstream, leaf.mapping) for leaf in leaves(node.downstream.condition)
            ):
                self._edges.setdefault(upstream, []).append(Edge(pipeline, mapping))

    def _upstreams(self, *, without: Container[CycleEdge] = ()) -> dict[PipelineRef, set[PipelineRef]]:
        return {
            one: {leaf.upstream for leaf in node.leaves() if (one, leaf.pipeline) not in without}
            for one, node in self._nodes.items()
        }

    def with_sensors(self, sensors: Mapping[SensorEdge, int]) -> Graph:
        """The same dependencies, and these sensors."""
        return Graph(self._nodes.values(), sensors)

    def is_above(self, upper: PipelineRef, lower: PipelineRef) -> bool:
        """Whether a pipeline, in some partition, may be above another one, or above itself, through dependencies and
        sensors."""
        self._note_what_is_above()
        if (found := self._all_above.get(lower.whole)) is None:
            found = self._all_above[lower.whole] = reached(lower.whole, self._directly_above)
        return upper.whole in found

    def leads_only_back(self, upper: PipelineRef, lower: PipelineRef) -> bool:
        """Whether each way from a pipeline up to another one keeps the partition, or leads to an earlier date-time.

        Ways that do not lead there do not count.
        """
        ends = upper.whole, lower.whole
        if (found := self._only_back.get(ends)) is None:
            self._note_what_is_above()
            above = self._directly_above
            on_ways = reached(lower.whole, above)
            on_ways &= reached(upper.whole, reverse(above))
            found = not any(
                (one, two) in self._may_go_on for one in on_ways for two in above.get(one, ()) if two in on_ways
            )
            self._only_back[ends] = found
        return found

    def _note_what_is_above(self) -> None:
        if self._directly_above:
            return
        for pipeline, node in self._nodes.items():
            self._directly_above.setdefault(pipeline, set()).update(leaf.upstream.whole for leaf in node.leaves())
            self._may_go_on |= {(pipeline, leaf.pipeline) for leaf in node.leaves() if not _never_goes_on(leaf.mapping)}
        for edge in self.sensors:
            self._directly_above.setdefault(edge.downstream, set()).add(edge.upstream.whole)
            if not (edge.same_partition or edge.goes_back):
                self._may_go_on.add((edge.downstream, edge.upstream.whole))

    def within(self, pipelines: Container[PipelineRef]) -> Graph:
        """The same graph and order, without the entries of all other pipelines."""
        part = copy.copy(self)
        part._nodes = {pipeline: node for pipeline, node in self._nodes.items() if pipeline in pipelines}
        part._edges = {
            upstream: [edge for edge in edges if edge.downstream.whole in pipelines]
            for upstream, edges in self._edges.items()
            if upstream.whole in pipelines
        }
        return part

    def __len__(self) -> int:
        """How many pipelines there are; their tasks do not count."""
        return len(self._rank) - sum(map(len, self._tasks.values()))

    def __iter__(self) -> Iterator[PipelineRef]:
        """Every pipeline, upstreams before their downstreams, without the tasks that others wait for."""
        return (pipeline for pipeline in self._rank if not pipeline.task)

    def node(self, pipeline: PipelineRef) -> Node | None:
        """What a pipeline waits for; ``None`` when it waits for nothing. An item waits for the rows."""
        found = self._nodes.get(pipeline)
        return self._item(pipeline) if found is None and pipeline.dag_id[-1:] == "]" else found

    def fans_out(self, pipeline: PipelineRef) -> bool:
        """Whether a pipeline runs once for each of its rows."""
        node = self._nodes.get(pipeline)
        return node is not None and node.downstream.items is not None

    def _item(self, pipeline: PipelineRef) -> Node | None:
        if (known := self._items.get(pipeline)) is not None:
            return known
        if pipeline.task or not pipeline.item or not self.fans_out(pipeline.fanned_out):
            return None
        entry = self._nodes[pipeline.fanned_out].downstream
        rows = Dependency(pipeline.fanned_out.rows)
        downstream = replace(
            entry,
            pipeline=pipeline,
            condition=rows,
            rerun=Rerun.NEW_RUN if entry.rerun is Rerun.NEW_RUN else Rerun.CLEAR,
            settle=Settle.WAVE,
            catchup=Catchup.ALL,
            max_in_flight=None,
            deadline=None,
            on_late=OnLate.SHOW,
            items=None,
        )
        self._items[pipeline] = node = Node(downstream, {rows: 0})
        return node

    def nodes(self) -> Iterable[Node]:
        """Every pipeline that waits for something."""
        return self._nodes.values()

    def tasks(self, pipeline: PipelineRef) -> Iterable[PipelineRef]:
        """The tasks of a pipeline that others wait for."""
        return self._tasks.get(pipeline, ())

    def all_tasks(self) -> Iterator[PipelineRef]:
        """Every task that a pipeline waits for."""
        return chain.from_iterable(self._tasks.values())

    def task_active_since(self, task: PipelineRef) -> int | None:
        """The etcd revision at which the oldest dependency on a task became active; ``None``: nobody waits for it."""
        return self._tasks.get(task.whole, {}).get(task)

    def rank(self, pipeline: PipelineRef) -> int:
        """The position in an order in which upstreams come first; unknown pipelines have no downstreams. The rows of a
        pipeline come before its items, and these before itself."""
        if pipeline.dag_id[-1:] == "]" and self.fans_out(whole := pipeline.fanned_out):
            return self._rank[whole] - (2 if pipeline.is_rows else 1)
        return self._rank.get(pipeline, -1)

    def edges(self, upstream: PipelineRef) -> Sequence[Edge]:
        """The downstreams of a pipeline or task, with their mappings; its tasks are downstreams of a pipeline, and a
        pipeline that fans out is one of its items."""
        found = self._edges.get(upstream, ())
        if not found and upstream.item and self.fans_out(upstream.fanned_out):
            return (Edge(upstream.fanned_out, IDENTITY),)
        return found

    def dependents(self, upstream: Target) -> Iterator[Target]:
        """The downstream partitions of an upstream partition, by the mappings alone: without those of ``latest``, which
        is an input of all partitions that the downstream has."""
        for edge in self.edges(upstream.pipeline):
            if isinstance(edge.mapping, Identity):
                yield target_of((edge.downstream, upstream.partition))
            elif not isinstance(edge.mapping, Latest):
                for partition in edge.mapping.downstreams(upstream.partition):
                    yield target_of((edge.downstream, partition))


def _never_goes_on(mapping: mappings.Mapping) -> bool:
    """Whether a date-time needs itself or an earlier one only, spelled as usual."""
    if isinstance(mapping, Offset):
        return mapping.goes_back and mapping.input_format is mapping.output_format is None
    return isinstance(mapping, Identity)
