"""Components: targets can change each other's readiness only if dependencies connect their pipelines.

Two weakly connected components of a graph never affect each other. If all dependencies of a component are within the
same partition, its partitions do not affect each other either.
"""

from __future__ import annotations

from coordinator.model.assets.names import is_asset
from coordinator.model.graph import Graph
from coordinator.model.partitions import Identity
from coordinator.model.references import PipelineRef, Target

OUTSIDE = -1
"""The component of all pipelines outside of the graph, which have no dependencies."""

ALL_PARTITIONS = ""
"""The partition of an area whose partitions may affect each other. No real partition is empty."""

Area = tuple[int, str]
"""A component and a partition: no target of one area can change the readiness of a target of another."""


class Components:
    """The components of one graph, numbered."""

    def __init__(self, graph: Graph) -> None:
        parent = {pipeline: pipeline for pipeline in graph}

        def find(pipeline: PipelineRef) -> PipelineRef:
            while (above := parent[pipeline]) != pipeline:
                parent[pipeline] = parent[above]
                pipeline = parent[pipeline]
            return pipeline

        mixed = set()
        for node in graph.nodes():
            downstream = node.downstream.pipeline
            for leaf in node.leaves():
                parent[find(leaf.upstream.whole)] = find(downstream)
                if not isinstance(leaf.mapping, Identity):
                    mixed.add(downstream)
        for edge in graph.sensors:
            parent[find(edge.upstream.whole)] = find(edge.downstream)
            if not edge.same_partition:
                mixed.add(edge.downstream)
        for pipeline in graph:  # an item in which a sensor waits
            if pipeline.item and graph.fans_out(pipeline.fanned_out):
                parent[find(pipeline)] = find(pipeline.fanned_out)
        numbers: dict[PipelineRef, int] = {}
        self._of = {pipeline: numbers.setdefault(find(pipeline), len(numbers)) for pipeline in graph}
        self._of |= {task: self._of[pipeline] for pipeline in graph for task in graph.tasks(pipeline)}
        self._mixed = {self._of[pipeline] for pipeline in mixed}
        self._unordered = {
            self._of[edge.downstream]
            for edge in graph.sensors
            if not (graph.orders_assets and is_asset(edge.downstream))
        }
        self._unordered |= {self._of[pipeline] for pipeline in graph.going_back}

    def __getitem__(self, pipeline: PipelineRef) -> int:
        found = self._of.get(pipeline, OUTSIDE)
        if found == OUTSIDE and pipeline.dag_id[-1:] == "]":
            return self._of.get(pipeline.fanned_out, OUTSIDE)
        return found

    def is_unordered(self, component: int) -> bool:
        """Whether the order of its pipelines is not that of all dependencies: they form a cycle that goes back in time,
        there are sensors, which may form any, or a pipeline waits for an asset that it emits."""
        return component in self._unordered

    def area(self, target: Target) -> Area:
        """The area of a target."""
        component = self[target.pipeline]
        return component, ALL_PARTITIONS if component in self._mixed else target.partition
