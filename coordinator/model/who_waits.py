"""Who waits for a pipeline or a task: by dependencies, and by sensors. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coordinator.model.graph import Graph
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import SeenWait
from coordinator.model.waits import SensorRerun, Wait, WaitStatus


def downstreams(graph: Graph, upstream: PipelineRef) -> list[PipelineRef]:
    """The pipelines whose dependencies name this pipeline, or this task."""
    return sorted({edge.downstream for edge in graph.edges(upstream) if not edge.downstream.task})


def sensors_on(waits: Iterable[SeenWait], upstream: Target, *, passed: bool = False) -> Iterator[SeenWait]:
    """The sensors that wait for this pipeline or task in this partition, or for a task of this pipeline.

    :param passed: those that have passed on it instead.
    """
    answer = WaitStatus.PASSED if passed else WaitStatus.WAITING
    for seen in waits:
        wait = seen.value
        if isinstance(wait, Wait) and wait.status is answer and upstream in (wait.upstream, wait.upstream.whole):
            yield seen


def who_waits(graph: Graph, waits: Iterable[SeenWait], upstream: Target) -> list[str]:
    """Who uses what becomes of a pipeline or a task in a partition, by name; empty: nobody.

    :param waits: all, or those for this upstream.
    """
    known = tuple(waits)
    waiting = {seen.ref.sensor for seen in sensors_on(known, upstream)}
    to_be_cleared = {
        seen.ref.sensor
        for seen in sensors_on(known, upstream, passed=True)
        if isinstance(seen.value, Wait) and seen.value.rerun is SensorRerun.CLEAR
    }
    return [*map(str, downstreams(graph, upstream.pipeline)), *sorted(waiting | to_be_cleared)]
