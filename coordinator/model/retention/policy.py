"""What retention may remove, and what it must leave behind (design section 5, point 7).

A partition of a pipeline may go when it is at rest, and when nothing that is left needs it: it is a leaf of what
remains. Removed are its state, its record and its order; what stays is the pipeline's floor, for which there are
two rules, because it knows a pipeline as a whole and not its partitions:

* it rises to or above the queued_at of no state that is kept: that state would expire
* it rises to or above the revision of no completion that is new to a partition without a record: that partition
  would lose it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from coordinator.model.conditions import leaves
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.evaluation import JudgedInput, all_inputs
from coordinator.model.graph import Graph
from coordinator.model.partitions import FixedKey, Identity, Latest
from coordinator.model.propagation.readiness import Standings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Floor
from coordinator.model.runstate import RunState, Unreadable
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Facts, Standing

Lapsed = Callable[[Target], bool]
"""Whether nothing has happened in a partition for so long that who waits with it is given up."""

_UNDER_WAY = (Status.INTENT, Status.SENT, Status.BLOCKED)


def what_keeps(standings: Standings, target: Target, lapsed: Lapsed) -> str | None:
    """Why a partition cannot be removed now; ``None``: it can.

    What looks at a pipeline's newest completion (``latest``, ``fixed_key``) needs that one and no other. Everything
    else that depends on the partition must have gone before: a downstream with a record may be started again by
    another of its inputs, and would then miss this one.
    """
    if (unreadable := _unreadable(standings, target)) is not None:
        return unreadable
    if (unrest := why_not_at_rest(standings.decide(target), lapsed)) is not None:
        return unrest
    if standings.newest(target.pipeline) == target:
        return "it is the newest completion, which others look at"
    if standings.is_newest_partition(target):
        return "it is the newest partition, which alone a completion elsewhere starts"
    for dependent in exact_dependents(standings.graph, target):
        if standings.state(dependent) or standings.record(dependent) or standings.order(dependent):
            return f"{dependent} depends on it, and is still there"
        if standings.is_newest_partition(dependent):
            return f"{dependent} depends on it, and is its pipeline's newest partition"
        if (unrest := why_not_at_rest(standings.decide(dependent), lapsed)) is not None:
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
    if decision.due or decision.ready or decision.standing is Standing.BUSY:
        held = ", and held" if Obstacle.HELD in decision.obstacles else ""
        return f"it is {'due' if decision.due else 'busy'}{held}"
    if decision.judged is None:
        return None if decision.standing is Standing.SETTLED else f"it is {decision.standing}"
    for one in all_inputs(decision.judged):
        stirs = one.triggers and (one.new or one.busy or one.mendable)
        if stirs and not (one.standing is Standing.SETTLED and lapsed(one.target)):
            return f"it waits, and {one.target} is {_stirring(one)}"
    return None


def _stirring(one: JudgedInput) -> str:
    if one.standing is not Standing.SETTLED:
        return str(one.standing)
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


def floor_without(standings: Standings, floor: Floor, target: Target) -> Floor:
    """A pipeline's floor once a partition of it has been removed that is at rest.

    Of the inputs of its record, what was consumed counts, and what is there now: it is not new, though it may have
    been put again since, and then has a greater revision than the one consumed. What ``latest`` looks at does not
    count: it starts the newest partition alone, which is not removed, and is new for each that follows.

    :param floor: as it is before.
    """
    state, recorded = standings.state(target), standings.record(target)
    queued, revision = [floor.queued_at], floor.revision
    if state is not None and isinstance(state.value, RunState):
        queued.append(state.value.attempt.queued_at)
    if recorded is not None and isinstance(recorded.value, TriggerRecord):
        queued.append(recorded.value.attempt)
        judged = standings.decide(target).judged
        present = [one.seen.revision for one in all_inputs(judged) if one.triggers and one.seen] if judged else []
        by_latest = _only_by_latest(standings.graph, target.pipeline)
        consumed = recorded.value.consumed
        revision = max(revision, consumed.newest_revision(consumed.pipelines - by_latest), *present)
    return Floor(queued_at=max((at for at in queued if at is not None), default=None), revision=revision)


def _only_by_latest(graph: Graph, pipeline: PipelineRef) -> set[PipelineRef]:
    """The upstreams of which a pipeline only ever looks at the newest completion, in each of its partitions."""
    node = graph.node(pipeline)
    found = tuple(leaves(node.downstream.condition)) if node is not None else ()
    exact = {leaf.upstream for leaf in found if not isinstance(leaf.mapping, Latest)}
    return {leaf.upstream for leaf in found} - exact


def waits_without_record(
    standings: Standings, pipeline: PipelineRef, partitions: Iterable[str], lapsed: Lapsed
) -> tuple[int, Target] | None:
    """The lowest revision of a completion that is new to a partition which has no record, with that partition.

    :param partitions: those to look at.
    """
    lowest: tuple[int, Target] | None = None
    for partition in partitions:
        target = Target(pipeline, partition)
        recorded = standings.record(target)
        if recorded is not None and isinstance(recorded.value, TriggerRecord):
            continue
        decision = standings.decide(target)
        if decision.judged is None or why_not_at_rest(decision, lapsed) is None:
            continue
        for one in all_inputs(decision.judged):
            if one.new and one.seen is not None and (lowest is None or one.seen.revision < lowest[0]):
                lowest = one.seen.revision, target
    return lowest
