"""What retention may remove, and what it must leave behind (docs/architecture.md#retention).

A partition of a pipeline may go when it is at rest, and when nothing that is left needs it: it is a leaf of what
remains. Removed are its state, its record and its order; what stays is the pipeline's watermark, for which there are
two rules, because it knows a pipeline as a whole and not its partitions:

* it rises to or above the queued_at of no state that is kept: that state would expire
* it rises to or above the revision of no completion that is new to a partition without a record: that partition
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
"""Whether nothing has happened in a partition for so long that who waits with it is given up."""

_UNDER_WAY = (Status.INTENT, Status.SENT, Status.BLOCKED)


def what_keeps(propagation: Propagation, target: Target, lapsed: Lapsed) -> str | None:
    """Why a partition cannot be removed now; ``None``: it can.

    What looks at a pipeline's newest completion (``latest``, ``fixed_key``) needs that one and no other. Everything
    else that depends on the partition must have gone before: a downstream with a record may be started again by
    another of its inputs, and would then miss this one.
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

    What only waits, for inputs that have not come or that nobody fixes, is given up once everything that it waits with
    has lapsed; what is due, held, blocked or running never is. A release in advance, of what is not due, waits for
    nothing: it goes with its partition, whose age counts from it too.
    """
    if decision.order and decision.due:
        return "a person's order waits"
    obstacles = sorted(decision.obstacles - {Obstacle.HELD})
    if obstacles:
        return f"it is {obstacles[0]}"
    if decision.due or decision.ready or decision.readiness is Readiness.BUSY:
        held = ", and held" if Obstacle.HELD in decision.obstacles else ""
        return f"it is {'due' if decision.due else 'busy'}{held}"
    if decision.evaluated is None:
        return None if decision.readiness is Readiness.SETTLED else f"it is {decision.readiness}"
    for one in all_inputs(decision.evaluated):
        stirs = one.triggers and (one.new or one.busy or one.repairable)
        if stirs and not (one.readiness is Readiness.SETTLED and lapsed(one.target)):
            return f"it waits, and {one.target} is {_stirring(one)}"
    return None


def _stirring(one: EvaluatedInput) -> str:
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
    """The downstream partitions that have an upstream partition itself as an input, newest completion or not."""
    for edge in graph.edges(upstream.pipeline):
        match edge.mapping:
            case Latest() | FixedKey():
                pass
            case Identity():
                yield Target(edge.downstream, upstream.partition)
            case _:
                for partition in edge.mapping.downstreams(upstream.partition):
                    yield Target(edge.downstream, partition)


def watermark_without(propagation: Propagation, watermark: Watermark, target: Target) -> Watermark:
    """A pipeline's watermark once a partition of it has been removed that is at rest.

    Of the inputs of its record, what was consumed counts, and what is there now: it is not new, though it may have
    been put again since, and then has a greater revision than the one consumed. What ``latest`` looks at does not
    count: it starts the newest partition alone, which is not removed, and is new for each that follows.

    :param watermark: as it is before.
    """
    state, recorded = propagation.state(target), propagation.record(target)
    queued, revision = [watermark.queued_at], watermark.revision
    if state is not None and isinstance(state.value, RunState):
        queued.append(state.value.attempt.queued_at)
    if recorded is not None and isinstance(recorded.value, TriggerRecord):
        queued.append(recorded.value.attempt)
        evaluated = propagation.decide(target).evaluated
        present = [one.seen.revision for one in all_inputs(evaluated) if one.triggers and one.seen] if evaluated else []
        by_latest = _only_by_latest(propagation.graph, target.pipeline)
        consumed = recorded.value.consumed
        revision = max(revision, consumed.newest_revision(consumed.pipelines - by_latest), *present)
    return Watermark(queued_at=max((at for at in queued if at is not None), default=None), revision=revision)


def _only_by_latest(graph: Graph, pipeline: PipelineRef) -> set[PipelineRef]:
    """The upstreams of which a pipeline only ever looks at the newest completion, in each of its partitions."""
    node = graph.node(pipeline)
    found = tuple(leaves(node.downstream.condition)) if node is not None else ()
    exact = {leaf.upstream for leaf in found if not isinstance(leaf.mapping, Latest)}
    return {leaf.upstream for leaf in found} - exact


def waits_without_record(
    propagation: Propagation, pipeline: PipelineRef, partitions: Iterable[str], lapsed: Lapsed
) -> tuple[int, Target] | None:
    """The lowest revision of a completion that is new to a partition which has no record, with that partition.

    :param partitions: those to look at.
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
            if one.new and one.seen is not None and (lowest is None or one.seen.revision < lowest[0]):
                lowest = one.seen.revision, target
    return lowest
