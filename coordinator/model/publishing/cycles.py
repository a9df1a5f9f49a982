"""Cycles across the documents of several owners: pipelines that would wait for themselves."""

from __future__ import annotations

import contextlib
import graphlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping

from coordinator.model.references import PipelineRef

Upstreams = Mapping[PipelineRef, Collection[PipelineRef]]
"""Downstream -> its upstreams."""


def cycles_through(pipelines: Iterable[PipelineRef], upstreams: Upstreams) -> Iterator[tuple[PipelineRef, ...]]:
    """A shortest cycle through each of these pipelines, unless an earlier result contains it.

    :returns: cycles that start and end with the same pipeline, upstream first.
    """
    # Pipelines on no cycle are removed first, from both ends: in a good graph nothing is left to search.
    tangled = _without_loose_ends(_reversed(_without_loose_ends(upstreams)))
    tangled = _reversed(tangled)
    shown: set[PipelineRef] = set()
    for pipeline in pipelines:
        if pipeline in tangled and pipeline not in shown:
            cycle = _way_back(pipeline, tangled)
            shown.update(cycle)
            if cycle:
                yield cycle


def _without_loose_ends(edges: Upstreams) -> Upstreams:
    sorter = graphlib.TopologicalSorter(edges)
    with contextlib.suppress(graphlib.CycleError):
        sorter.prepare()
    # graphlib: "the sorter can still be used to obtain as many nodes as possible until cycles block more progress"
    loose: set[PipelineRef] = set()
    while ready := sorter.get_ready():
        loose.update(ready)
        sorter.done(*ready)
    return {
        node: [target for target in targets if target not in loose]
        for node, targets in edges.items()
        if node not in loose
    }


def _reversed(edges: Upstreams) -> Upstreams:
    turned: dict[PipelineRef, list[PipelineRef]] = {}
    for node, targets in edges.items():
        for target in targets:
            turned.setdefault(target, []).append(node)
    return turned


def _way_back(start: PipelineRef, upstreams: Upstreams) -> tuple[PipelineRef, ...]:
    """A path, breadth first, from a pipeline up to itself; empty if there is none."""
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
