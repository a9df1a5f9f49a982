"""The dependencies as edges between pipelines, for who draws them: ``coordinator graph``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from coordinator.model.conditions import Dependency, leaves
from coordinator.model.cycles import reached
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import SensorEdge
from coordinator.model.references import PipelineRef


class DependencyEdge(NamedTuple):
    """A downstream waits for an upstream.

    :ivar upstream: a pipeline, or a task of one.
    :ivar dependency: ``None``: a sensor inside the downstream's runs waits for it.
    """

    upstream: PipelineRef
    downstream: PipelineRef
    dependency: Dependency | None

    @property
    def label(self) -> str:
        """What is asked for, other than a success in the same partition; empty: nothing else."""
        if self.dependency is None:
            return f"sensor for {self.upstream.task}" if self.upstream.task else "sensor"
        words = str(self.dependency).removeprefix(str(self.upstream)).strip()
        return f"{self.upstream.task} {words}".strip() if self.upstream.task else words


def edges_of(downstreams: Iterable[Downstream], sensors: Iterable[SensorEdge] = ()) -> list[DependencyEdge]:
    """Every edge, in order of names; a dependency that a condition has twice is there once."""
    found = {
        DependencyEdge(leaf.upstream, downstream.pipeline, leaf)
        for downstream in downstreams
        for leaf in leaves(downstream.condition)
    }
    found |= {DependencyEdge(sensor.upstream, sensor.downstream, None) for sensor in sensors}
    return sorted(found, key=lambda edge: (str(edge.downstream), str(edge.upstream), edge.label))


def pipelines_of(edges: Iterable[DependencyEdge]) -> list[PipelineRef]:
    """Every pipeline on an edge, in order of names."""
    return sorted({pipeline for edge in edges for pipeline in (edge.upstream.whole, edge.downstream)}, key=str)


def around(edges: Iterable[DependencyEdge], pipeline: PipelineRef) -> list[DependencyEdge]:
    """The edges on the ways that lead to a pipeline, and that lead away from it."""
    edges = list(edges)
    up, down = _neighbours(edges)
    above, below = reached(pipeline, up), reached(pipeline, down)
    return [edge for edge in edges if edge.downstream in above or edge.upstream.whole in below]


def _neighbours(
    edges: Iterable[DependencyEdge],
) -> tuple[Mapping[PipelineRef, set[PipelineRef]], Mapping[PipelineRef, set[PipelineRef]]]:
    """The direct upstreams of each pipeline, and its direct downstreams."""
    up: dict[PipelineRef, set[PipelineRef]] = {}
    down: dict[PipelineRef, set[PipelineRef]] = {}
    for edge in edges:
        up.setdefault(edge.downstream, set()).add(edge.upstream.whole)
        down.setdefault(edge.upstream.whole, set()).add(edge.downstream)
    return up, down
