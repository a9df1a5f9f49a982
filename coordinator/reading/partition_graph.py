"""The graph of one partition: each pipeline with how it stands there, and what depends on what."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

from coordinator.model.dependency_edges import edges_of
from coordinator.model.partitions.instants import partition_order
from coordinator.model.references import Target
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness, readable_record, readable_state
from coordinator.reading.reading import Reading

PARTITIONS = 30
"""The newest partitions that may be chosen from."""


def partition_graph(reading: Reading, partition: str | None) -> dict[str, Any]:
    """The graph for the page.

    :param partition: as it is spelled in keys; ``None``: the newest one in which something needs a person, else the
        newest one.
    """
    newest = _newest(target.partition for target in reading.cache.targets())
    if partition is None:
        partition = _first(reading) or (newest[0] if newest else "")
    graph = reading.propagation.graph
    edges = edges_of((node.downstream for node in graph.nodes()), graph.sensors)
    pairs = dict.fromkeys((one.upstream.whole, one.downstream.whole) for one in edges)
    pipelines = sorted({pipeline.whole for pair in pairs for pipeline in pair})
    number = {pipeline: index for index, pipeline in enumerate(pipelines)}
    return {
        "revision": reading.cache.revision,
        "partition": partition,
        "partitions": newest,
        "pipelines": [
            {"pipeline": str(one), "environment": one.environment, "kind": _kind(reading, Target(one, partition))}
            for one in pipelines
        ],
        "edges": [[number[upstream], number[downstream]] for upstream, downstream in pairs if upstream != downstream],
    }


def _kind(reading: Reading, target: Target) -> str:
    """How a pipeline stands in a partition, in one word."""
    readiness = reading.propagation.readiness(target)
    state, record = readable_state(reading.cache.state(target)), readable_record(reading.cache.record(target))
    if readiness is Readiness.STUCK:
        return "held" if reading.cache.hold(target.pipeline) is not None else "stuck"
    if readiness is Readiness.BUSY:
        is_asked_for = record is not None and record.status in (Status.INTENT, Status.SENT)
        return "running" if is_asked_for or (state is not None and not state.state.is_terminal) else "waiting"
    return str(state.state) if state is not None else "none"


def _first(reading: Reading) -> str | None:
    """The newest partition in which something has failed, or is stuck."""
    failed = (target.partition for target, _ in reading.failed())
    unsettled = reading.propagation.unsettled_readiness()
    stuck = (target.partition for target, readiness in unsettled if readiness is Readiness.STUCK)
    return max({*failed, *stuck}, key=partition_order, default=None)


def _newest(partitions: Iterable[str]) -> list[str]:
    return heapq.nlargest(PARTITIONS, set(partitions), key=partition_order)
