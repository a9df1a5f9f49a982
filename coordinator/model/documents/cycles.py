"""Who would wait for itself: the cycles that dependencies close."""

from __future__ import annotations

import graphlib
from collections.abc import Container, Iterator

from coordinator.model.cycles import CyclePath, Edge
from coordinator.model.documents.findings import Cursor
from coordinator.model.references import PipelineRef

Edges = dict[PipelineRef, dict[PipelineRef, Cursor]]
"""Downstream -> upstream -> where that dependency stands."""

MAX_CYCLES = 20
"""A document with more is wrong in a way that a longer list does not make clearer; each costs a sort."""


def find_cycle_paths(edges: Edges, *, without: Container[Edge] = ()) -> Iterator[tuple[CyclePath, Cursor]]:
    """Cycles, and the dependency that closes each: the last one of it in the text.

    Every cycle found is cut there, to find the next.

    :param without: dependencies that are left out.
    """
    remaining = {
        downstream: {upstream for upstream in upstreams if (downstream, upstream) not in without}
        for downstream, upstreams in edges.items()
    }
    for _ in range(MAX_CYCLES):
        try:
            graphlib.TopologicalSorter(remaining).prepare()
        except graphlib.CycleError as error:
            # graphlib: each node is an immediate predecessor of the next; the first and the last are the same.
            ring: list[PipelineRef] = error.args[1]
            closing = max(range(1, len(ring)), key=lambda at: edges[ring[at]][ring[at - 1]].spot)
            upstream, downstream = ring[closing - 1 : closing + 1]
            remaining[downstream].discard(upstream)
            yield (*ring[closing:], *ring[1 : closing + 1]), edges[downstream][upstream]
        else:
            return
