"""Cycles across the documents of several owners: pipelines that would wait for themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coordinator.model.cycles import CyclePath, Upstreams, shortest_cycle, without_acyclic_parts
from coordinator.model.references import PipelineRef


def cycles_through(pipelines: Iterable[PipelineRef], upstreams: Upstreams) -> Iterator[CyclePath]:
    """A shortest cycle through each of these pipelines, unless an earlier result contains it."""
    tangled = without_acyclic_parts(upstreams)  # in a good graph nothing is left to search
    shown: set[PipelineRef] = set()
    for pipeline in pipelines:
        if pipeline in tangled and pipeline not in shown:
            ring = shortest_cycle(pipeline, tangled)
            shown.update(ring)
            if ring:
                yield ring
