"""Loops: of sensors, whose clears would bring about the completions that ask for the same clears; and of assets, that
are emitted by what they would start. Pure."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.model.assets.completions import AssetCompletion
from coordinator.model.graph import Graph
from coordinator.model.partitions import Assets, FixedKey, Latest, StartOf, gathers
from coordinator.model.partitions.instants import is_earlier
from coordinator.model.references import Target
from coordinator.model.view import Facts, readable_state
from coordinator.model.waits import Wait, is_cleared_by

MAX_TARGETS = 10_000
"""Targets that are searched for a loop."""


def is_loop(graph: Graph, facts: Facts, run: Target, wait: Wait, *, if_unknown: bool = True) -> bool:
    """Whether what a sensor waits for depends on what would run again with it: the clears would go on for ever.

    :param run: the pipeline and the partition of the sensor's run.
    :param if_unknown: the answer where more than :data:`MAX_TARGETS` would have to be searched.
    """

    def is_of_run(target: Target) -> bool:
        return target.whole == run and (not target.pipeline.task or is_cleared_by(wait, target.pipeline.task))

    return _leads_to(graph, facts, wait.upstream, run, is_of_run, if_unknown=if_unknown)


def comes_of(graph: Graph, facts: Facts, producer: Target, run: Target) -> bool:
    """Whether what emits an asset is a pipeline in a partition itself, or is started by it: a gate starts nothing."""
    if not graph.is_above(run.pipeline, producer.pipeline):
        return False
    return _leads_to(
        graph, facts, producer, run, lambda target: target.whole == run, if_unknown=False, through_gates=False
    )


def _leads_to(
    graph: Graph,
    facts: Facts,
    upstream: Target,
    run: Target,
    is_of_run: Callable[[Target], bool],
    *,
    if_unknown: bool = True,
    through_gates: bool = True,
) -> bool:
    """Whether an upstream depends on a run.

    :param is_of_run: whether a target is the run, or the part of it that counts.
    :param if_unknown: the answer where a search exceeds its limit.
    :param through_gates: a gate is a dependency as any other.
    """
    known: set[Target] = set()
    to_visit = [upstream]
    while to_visit:
        target = to_visit.pop()
        if is_of_run(target):
            return True
        if target in known:
            continue
        known.add(target)
        goes_back = is_earlier(target.partition, run.partition)
        if goes_back and graph.leads_only_back(run.pipeline, target.pipeline):
            continue  # no way leads from the past back to the run
        if len(known) > MAX_TARGETS:
            return if_unknown
        if (above := _directly_above(graph, facts, target, run, through_gates=through_gates)) is not None:
            to_visit += above
        elif graph.is_above(run.pipeline, target.pipeline):
            return True
    return False


def _directly_above(
    graph: Graph, facts: Facts, target: Target, run: Target, *, through_gates: bool
) -> list[Target] | None:
    """The targets that the readiness of this one depends on; ``None``: their partitions cannot be named."""
    found: list[Target] = []
    node = graph.node(target.pipeline.whole)
    for leaf in node.leaves() if node is not None else ():
        if not (leaf.trigger or through_gates):
            continue
        if isinstance(leaf.mapping, Latest | FixedKey | Assets):
            return None
        if isinstance(leaf.mapping, StartOf) or gathers(leaf.mapping):
            if leaf.upstream.whole == run.pipeline:
                found += [run] if target.partition in leaf.mapping.downstreams(run.partition) else []
            elif graph.is_above(run.pipeline, leaf.upstream.whole):
                return None
            continue
        found += (Target(leaf.upstream, one) for one in leaf.mapping.upstreams(target.partition))
    if isinstance(emitted := readable_state(facts.state(target)), AssetCompletion):
        found += emitted.producers
    for seen in facts.sensors(target.whole):
        if isinstance(seen.value, Wait) and (
            not target.pipeline.task or is_cleared_by(seen.value, target.pipeline.task)
        ):
            found.append(seen.value.upstream)
    return found
