"""The policy of retention: what it may remove (docs/architecture.md#retention).

A partition of a pipeline may be removed when it is *at rest* (nothing goes on or waits in it), and when nothing that
remains needs it. Its state, its record and its order are removed; the pipeline's watermark stays. The watermark is
about the pipeline as a whole and not its partitions, so there are two rules for it:

* it stays below the queued_at of every state that is kept; otherwise that state would expire
* it stays below the revision of every completion that is new to a partition without a record; otherwise that partition
  would lose it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from coordinator.model.conditions import leaves
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.evaluation import EvaluatedInput, all_inputs
from coordinator.model.graph import Graph
from coordinator.model.partitions import FixedKey, Identity, Latest
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import RunState, Unreadable
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Facts, Readiness

Lapsed = Callable[[Target], bool]
"""Whether nothing has happened in a partition for so long that targets waiting for it are given up."""

_UNDER_WAY = (Status.INTENT, Status.SENT, Status.BLOCKED)


def what_keeps(propagation: Propagation, target: Target, lapsed: Lapsed) -> str | None:
    """Why a partition cannot be removed now; ``None``: it can.

    Mappings that use a pipeline's newest completion (``latest``, ``fixed_key``) need only that one. All other
    dependents of the partition must have been removed before: a downstream with a record may be started again by
    another of its inputs, and would then lack this one.
    """
    if (unreadable := _unreadable(propagation, target)) is not None:
        return unreadable
    if (unrest := why_not_at_rest(propagation.decide(target), lapsed)) is not None:
        return unrest
    if propagation.newest(target.pipeline) == target:
        return "it is the newest completion, which others look at"
    if propagation.is_newest_partition(target):
        return "it is the newest partition, which alone a completion elsewhere starts"
    for dependent in exact_dependents(propagation.graph, target):
        if propagation.state(dependent) or propagation.record(dependent) or propagation.order(dependent):
            return f"{dependent} depends on it, and is still there"
        if propagation.is_newest_partition(dependent):
            return f"{dependent} depends on it, and is its pipeline's newest partition"
        if (unrest := why_not_at_rest(propagation.decide(dependent), lapsed)) is not None:
            return f"{dependent} depends on it: {unrest}"
    return None


def why_not_at_rest(decision: Decision, lapsed: Lapsed) -> str | None:
    """What goes on, or waits, in a partition; ``None``: it is at rest.

    A target that only waits, for inputs that are missing or that nobody repairs, is given up once all the inputs that
    it has have lapsed; a target that is due, held, blocked or running never is. A release in advance, of a target that
    is not due, is removed with its partition; the age of the partition counts from it too.
    """
    if decision.order and decision.due:
        return "a person's order waits"
    obstacles = sorted(decision.obstacles - {Obstacle.HELD})
    if obstacles:
        return f"it is {obstacles[0]}"
    if decision.due or decision.ready or decision.readiness is Readiness.BUSY:
        held = ", and held" if Obstacle.HELD in decision.obstacles else ""
        return f"it is {'due' if decision.due else 'busy'}{held}"
    if decision.items is not None and decision.items.stuck:
        return f"{decision.items.stuck} of its items cannot go on by themselves"
    if decision.evaluated is None:
        return None if decision.readiness is Readiness.SETTLED else f"it is {decision.readiness}"
    for one in all_inputs(decision.evaluated):
        may_start = one.triggers and (one.new or one.busy or one.repairable)
        if may_start and not (one.readiness is Readiness.SETTLED and lapsed(one.target)):
            return f"it waits, and {one.target} is {_what_changed(one)}"
    return None


def _what_changed(one: EvaluatedInput) -> str:
    if one.readiness is not Readiness.SETTLED:
        return str(one.readiness)
    return "new" if one.met else "not what it needs"


def _unreadable(facts: Facts, target: Target) -> str | None:
    named = (
        ("state", facts.state(target)),
        ("record", facts.record(target)),
        ("order", facts.order(target)),
    )
    for name, seen in named:
        if seen is not None and isinstance(seen.value, Unreadable):
            return f"its {name} cannot be read"
        if seen is not None and isinstance(seen.value, TriggerRecord) and seen.value.status in _UNDER_WAY:
            return f"its record says {seen.value.status}"
    return None


def exact_dependents(graph: Graph, upstream: Target) -> Iterator[Target]:
    """The downstream partitions with this upstream partition as an input, regardless of newest completions."""
    for edge in graph.edges(upstream.pipeline):
        match edge.mapping:
            case Latest() | FixedKey():
                pass
            case Identity() if edge.downstream.task:
                yield from exact_dependents(graph, Target(edge.downstream, upstream.partition))
            case Identity():
                yield Target(edge.downstream, upstream.partition)
            case _:
                for partition in edge.mapping.downstreams(upstream.partition):
                    yield Target(edge.downstream, partition)


def watermark_without(propagation: Propagation, watermark: Watermark, target: Target) -> Watermark:
    """A pipeline's watermark after the removal of a partition at rest.

    For each input of its record, both the consumed completion and the present one count: the present one is not new,
    but may have been put again, with a greater revision than the consumed one. Inputs of ``latest`` do not count: they
    start only the newest partition, which is not removed, and are new for each partition that follows.

    :param watermark: the present one.
    """
    state, recorded = propagation.state(target), propagation.record(target)
    queued, revision = [watermark.queued_at], watermark.revision
    if state is not None and isinstance(state.value, RunState):
        queued.append(state.value.attempt.queued_at)
    if recorded is not None and isinstance(recorded.value, TriggerRecord):
        queued.append(recorded.value.attempt)
        evaluated = propagation.decide(target).evaluated
        present = [one.seen.came_at for one in all_inputs(evaluated) if one.triggers and one.seen] if evaluated else []
        by_latest = _only_by_latest(propagation.graph, target.pipeline)
        consumed = recorded.value.consumed
        revision = max(revision, consumed.newest_revision(consumed.pipelines - by_latest), *present)
    return Watermark(queued_at=max((at for at in queued if at is not None), default=None), revision=revision)


def _only_by_latest(graph: Graph, pipeline: PipelineRef) -> set[PipelineRef]:
    """The upstreams of which a pipeline uses only the newest completion, in each of its partitions."""
    node = graph.node(pipeline)
    found = tuple(leaves(node.downstream.condition)) if node is not None else ()
    exact = {leaf.upstream for leaf in found if not isinstance(leaf.mapping, Latest)}
    return {leaf.upstream for leaf in found} - exact


def waits_without_record(
    propagation: Propagation, pipeline: PipelineRef, partitions: Iterable[str], lapsed: Lapsed
) -> tuple[int, Target] | None:
    """The lowest revision of a completion that is new to a partition without a record, with that partition.

    :param partitions: the partitions to check.
    """
    lowest: tuple[int, Target] | None = None
    for partition in partitions:
        target = Target(pipeline, partition)
        recorded = propagation.record(target)
        if recorded is not None and isinstance(recorded.value, TriggerRecord):
            continue
        decision = propagation.decide(target)
        if decision.evaluated is None or why_not_at_rest(decision, lapsed) is None:
            continue
        for one in all_inputs(decision.evaluated):
            if one.new and one.seen is not None and (lowest is None or one.seen.came_at < lowest[0]):
                lowest = one.seen.came_at, target
    return lowest
