"""Loops of sensors: clears that would bring about the completions that ask for the same clears. Pure."""

from __future__ import annotations

from coordinator.model.graph import Graph
from coordinator.model.partitions import Assets, FixedKey, Latest, StartOf, gathers
from coordinator.model.partitions.instants import is_earlier
from coordinator.model.references import Target
from coordinator.model.view import Facts
from coordinator.model.waits import Wait, is_cleared_by

MAX_TARGETS = 10_000
"""Targets that are searched for a loop."""


def is_loop(graph: Graph, facts: Facts, run: Target, wait: Wait, *, if_unknown: bool = True) -> bool:
    """Whether what a sensor waits for depends on what would run again with it: the clears would go on for ever.

    :param run: the pipeline and the partition of the sensor's run.
    :param if_unknown: the answer where more than :data:`MAX_TARGETS` would have to be searched.
    """
    goes_back = is_earlier(wait.upstream.partition, run.partition)
    if goes_back and graph.leads_only_back(run.pipeline, wait.upstream.pipeline):
        return False  # no way leads from the past back to the run
    known: set[Target] = set()
    to_visit = [wait.upstream]
    while to_visit:
        target = to_visit.pop()
        if target.whole == run and (not target.pipeline.task or is_cleared_by(wait, target.pipeline.task)):
            return True
        if target in known:
            continue
        known.add(target)
        if len(known) > MAX_TARGETS:
            return if_unknown
        if (above := _directly_above(graph, facts, target)) is not None:
            to_visit += above
        elif graph.is_above(run.pipeline, target.pipeline):
            return True
    return False


def _directly_above(graph: Graph, facts: Facts, target: Target) -> list[Target] | None:
    """The targets that the readiness of this one depends on; ``None``: their partitions cannot be named."""
    found: list[Target] = []
    node = graph.node(target.pipeline.whole)
    for leaf in node.leaves() if node is not None else ():
        if isinstance(leaf.mapping, Latest | FixedKey | StartOf | Assets) or gathers(leaf.mapping):
            return None
        found += (Target(leaf.upstream, one) for one in leaf.mapping.upstreams(target.partition))
    for seen in facts.sensors(target.whole):
        if isinstance(seen.value, Wait) and (
            not target.pipeline.task or is_cleared_by(seen.value, target.pipeline.task)
        ):
            found.append(seen.value.upstream)
    return found
