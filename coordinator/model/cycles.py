"""Cycles of dependencies: which are accepted, because they go back in time (docs/dependencies.md#cycles). Pure.

A pipeline that needs yesterday's partition of one that depends on it waits for itself on paper only: partitions have an
order in time. Such a cycle could still start itself, each day the next one, for ever. So each way around it must lead
through a pipeline that starts only with something from outside.
"""

from __future__ import annotations

import contextlib
import graphlib
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from coordinator.model.conditions import Condition, Dependency, leaves
from coordinator.model.dependencies import Document, Downstream, OnLate
from coordinator.model.partitions import FixedKey, Identity, Latest, Offset
from coordinator.model.references import PipelineRef

Upstreams = Mapping[PipelineRef, Collection[PipelineRef]]
"""Downstream -> its upstreams."""

CyclePath = tuple[PipelineRef, ...]
"""A cycle, upstream first; it starts and ends with the same pipeline."""

Edge = tuple[PipelineRef, PipelineRef]
"""A downstream and its upstream."""

WAITS_FOR_EVER = "each would wait for the other for ever: remove one dependency of it"
STARTS_ITSELF = (
    "it would start itself for ever: make one pipeline also depend on a pipeline outside the cycle, or set "
    "'trigger': false on the dependency that goes back"
)


@dataclass(frozen=True, slots=True)
class Cycle:
    """Pipelines that all depend on each other.

    :ivar path: a shortest cycle among them.
    :ivar back: the dependencies that go back in time, as downstream and upstream.
    :ivar outside: the pipelines that start only with something from outside, and what they need from there.
    :ivar refusal: why it is refused, and what to do; empty: it is accepted.
    """

    pipelines: frozenset[PipelineRef]
    path: CyclePath
    back: frozenset[Edge] = frozenset()
    outside: Mapping[PipelineRef, Collection[PipelineRef]] = field(default_factory=dict)
    refusal: str = ""

    def __str__(self) -> str:
        """The cycle, and why it is accepted."""
        back = (f"{downstream} needs an earlier partition of {upstream}" for downstream, upstream in sorted(self.back))
        outside = (
            f"{one} starts only with {', '.join(map(str, above))}" for one, above in sorted(self.outside.items())
        )
        return "; ".join([" -> ".join(map(str, self.path)), *back, *outside])


def find_cycles(document: Document) -> list[Cycle]:
    """Every group of pipelines that all depend on each other, accepted or not."""
    tangled = without_acyclic_parts(
        {pipeline: {leaf.pipeline for leaf in leaves(entry.condition)} for pipeline, entry in document.items()}
    )
    reversed_edges = reverse(tangled)
    found, known = [], set[PipelineRef]()
    for pipeline in sorted(tangled):
        if pipeline not in known and (path := shortest_cycle(pipeline, tangled)):
            group = frozenset(reached(pipeline, tangled) & reached(pipeline, reversed_edges))
            known |= group
            found.append(_evaluate_group(group, path, document))
    return found


def back_in_time(cycles: Iterable[Cycle]) -> set[Edge]:
    """The dependencies by which accepted cycles go back in time: without them, upstreams can come first."""
    return {edge for cycle in cycles if not cycle.refusal for edge in cycle.back}


def reason_of(path: CyclePath, cycles: Iterable[Cycle]) -> str:
    """Why a cycle is refused, and what to do."""
    return next((one.refusal for one in cycles if one.refusal and one.pipelines >= set(path)), WAITS_FOR_EVER)


def _evaluate_group(group: frozenset[PipelineRef], path: CyclePath, document: Document) -> Cycle:
    within = [
        (one, leaf) for one in sorted(group) for leaf in leaves(document[one].condition) if leaf.pipeline in group
    ]
    for pipeline, leaf in within:
        if not (leaf.mapping == Identity() or _goes_back(leaf)):
            reason = (
                f"{pipeline} needs {leaf}: only a cycle of the same partition and offsets back in time can be in order"
            )
            return Cycle(group, path, refusal=f"{reason}; remove one dependency of it")
    back = {(pipeline, leaf.pipeline) for pipeline, leaf in within} - {
        (pipeline, leaf.pipeline) for pipeline, leaf in within if not _goes_back(leaf)
    }
    edges = {(pipeline, leaf.pipeline) for pipeline, leaf in within}
    if left := _cycle_of(edges - back):
        return Cycle(group, left, refusal=WAITS_FOR_EVER)
    if by_itself := _self_starting(group, document):
        left = _cycle_of({(one, above) for one, above in edges if {one, above} <= by_itself})
        return Cycle(group, left, refusal=STARTS_ITSELF)
    outside = {
        one: sorted({leaf.upstream for leaf in leaves(document[one].condition) if leaf.pipeline not in group})
        for one in sorted(group)
        if not _is_started_by(group, document[one])
    }
    return Cycle(group, path, frozenset(back), outside)


def _goes_back(leaf: Dependency) -> bool:
    return isinstance(leaf.mapping, Offset) and leaf.mapping.goes_back


def _self_starting(group: frozenset[PipelineRef], document: Document) -> set[PipelineRef]:
    """The pipelines of a group that go on starting each other, partition after partition, without anything else."""
    left = set(group)
    while held_back := {one for one in left if not _is_started_by(left, document[one])}:
        left -= held_back
    return left


def _is_started_by(pipelines: Collection[PipelineRef], entry: Downstream) -> bool:
    """Whether some pipelines can start another one without anything else.

    A newest completion is there for every partition to come: it holds nothing back.
    """

    def holds(condition: Condition) -> bool:
        if isinstance(condition, Dependency):
            return condition.pipeline in pipelines or isinstance(condition.mapping, Latest | FixedKey)
        return sum(map(holds, condition.of)) >= condition.n

    has_trigger = any(leaf.trigger and leaf.pipeline in pipelines for leaf in leaves(entry.condition))
    return has_trigger and (holds(entry.condition) or entry.on_late is OnLate.FIRE)


# -- graphs ------------------------------------------------------------------------------------------------------------


def without_acyclic_parts(upstreams: Upstreams) -> Upstreams:
    """Without the pipelines that are on no cycle, and not between two either."""
    return reverse(_without_sources(reverse(_without_sources(upstreams))))


def shortest_cycle(start: PipelineRef, upstreams: Upstreams) -> CyclePath:
    """A shortest cycle through a pipeline; empty if there is none."""
    came_from: dict[PipelineRef, PipelineRef] = {}
    queue = deque([start])
    while queue:
        downstream = queue.popleft()
        for upstream in sorted(upstreams.get(downstream, ())):
            if upstream == start:
                way = [start, downstream]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return tuple(way)
            if upstream not in came_from:
                came_from[upstream] = downstream
                queue.append(upstream)
    return ()


def _cycle_of(edges: Iterable[Edge]) -> CyclePath:
    """A cycle of these edges; empty if there is none."""
    upstreams: dict[PipelineRef, list[PipelineRef]] = {}
    for downstream, upstream in sorted(edges):
        upstreams.setdefault(downstream, []).append(upstream)
    try:
        graphlib.TopologicalSorter(upstreams).prepare()
    except graphlib.CycleError as error:
        return tuple(error.args[1])
    return ()


def _without_sources(edges: Upstreams) -> Upstreams:
    sorter = graphlib.TopologicalSorter(edges)
    with contextlib.suppress(graphlib.CycleError):
        sorter.prepare()
    # graphlib: "the sorter can still be used to obtain as many nodes as possible until cycles block more progress"
    sources: set[PipelineRef] = set()
    while ready := sorter.get_ready():
        sources.update(ready)
        sorter.done(*ready)
    return {
        node: [target for target in targets if target not in sources]
        for node, targets in edges.items()
        if node not in sources
    }


def reverse(edges: Upstreams) -> Upstreams:
    """The edges the other way around."""
    reversed_edges: dict[PipelineRef, list[PipelineRef]] = {}
    for node, targets in edges.items():
        for target in targets:
            reversed_edges.setdefault(target, []).append(node)
    return reversed_edges


def reached(start: PipelineRef, edges: Upstreams) -> set[PipelineRef]:
    """Everything that the edges lead to, with the start."""
    found, waiting = {start}, [start]
    while waiting:
        further = set(edges.get(waiting.pop(), ())) - found
        found |= further
        waiting += further
    return found
