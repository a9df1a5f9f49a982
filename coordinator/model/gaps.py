"""Gaps: partitions in which a pipeline could run on the present completions, has not run, and will not run by itself.

The condition would hold, but the completions are older than the dependency's activation, were given up, or were
ignored. The condition is evaluated by the rule, with every completion counted regardless of activations.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from coordinator.model.decide import Decision, Obstacle, decide
from coordinator.model.dependencies import Rerun
from coordinator.model.evaluation import HOLDS, WOULD_HOLD, Evaluated, EvaluatedInput, evaluate, inputs_at
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions.instants import partition_order
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import View, readable_record, readable_state

_UNDER_WAY = frozenset({Obstacle.IN_FLIGHT, Obstacle.RUNNING, Obstacle.UNREADABLE_RECORD})
"""Obstacles of a target that runs, or of which it is unknown what it has run on."""


class Cause(enum.StrEnum):
    """Why it did not run.

    ``past``     the upstreams completed before the dependency counted: it was added, or put right, later
    ``skipped``  the partition was given up: its deadline had passed, or nobody led (``on_late``, ``catchup``)
    ``ignored``  it had run before, and its rerun policy is ``ignore``
    """

    PAST = "past"
    SKIPPED = "skipped"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Gap:
    """A partition in which a pipeline has not run, or not on the present completions.

    :ivar has_run: it has run there, on older completions.
    :ivar inputs: the completions that it has not run on.
    :ivar note: the note in the record.
    """

    target: Target
    cause: Cause
    has_run: bool
    inputs: tuple[Target, ...]
    note: str = ""


def find_gaps(graph: Graph, view: View, targets: Iterable[Target]) -> list[Gap]:
    """The gaps among some partitions, the oldest partitions first, upstreams before their downstreams."""
    gaps = (gap for target in targets if (gap := find_gap(graph, view, target)) is not None)
    return sorted(gaps, key=lambda gap: _place(graph, gap.target))


def find_gap(graph: Graph, view: View, target: Target) -> Gap | None:
    """The gap of a pipeline in a partition; ``None``: there is none, or it is about to run there by itself.

    A run that ended after a completion counts as a run on it, whoever started it; so does a mark.
    """
    node = graph.node(target.pipeline)
    if node is None:
        return None
    own = view.state(target)
    if own is not None and not isinstance(own.value, RunState):
        return None  # nobody can tell whether it has run
    ended_at = own.revision if own is not None else 0
    node = _always_active(node)
    evaluated, _ = evaluate(view, node, target, None)
    if next(_newer(view, _used(view, evaluated), ended_at), None) is None:
        return None  # as nearly everywhere: the rest is the dearer part
    decision = decide(graph, view, target)
    if decision.due or not _UNDER_WAY.isdisjoint(decision.obstacles):
        return None
    record = readable_record(view.record(target))
    skipped = decision.skips or (record is not None and record.skipped)
    if record is not None and not skipped:
        evaluated, _ = evaluate(view, node, target, record)
    ignores = node.downstream.rerun is Rerun.IGNORE and ended_at > 0
    missed = [
        one.target
        for one in _newer(view, _used(view, evaluated), ended_at)
        if one.new or (ignores and one.triggers) or (one.unasked and one.dependency.trigger)
    ]
    if not missed:
        return None
    has_run = ended_at > 0 or (record is not None and record.run_id is not None)
    cause = Cause.SKIPPED if skipped else Cause.IGNORED if _is_ignored(decision, node, record) else Cause.PAST
    note = record.last_error if skipped and record is not None else None
    return Gap(target, cause, has_run, tuple(missed), note or "")


def _used(view: View, evaluated: Evaluated) -> Sequence[EvaluatedInput]:
    """What the pipeline would run on; empty: its condition does not hold.

    A task about which nobody has asked, because it ended before anybody waited for it, most likely ended as its run
    did. It is asked about before anything starts.
    """
    if held := tuple(inputs_at(evaluated, HOLDS)):
        return held
    supposed = tuple(inputs_at(evaluated, WOULD_HOLD))
    return supposed if all(one.holds or _ended_with_its_run(view, one) for one in supposed) else ()


def _ended_with_its_run(view: View, one: EvaluatedInput) -> bool:
    run = readable_state(view.state(one.target.whole))
    return one.unasked and run is not None and run.state.is_terminal and one.dependency.on.satisfied_by(run.state)


def _newer(view: View, used: Iterable[EvaluatedInput], ended_at: int) -> Iterator[EvaluatedInput]:
    """The completions that came after a pipeline's own run had ended."""
    for one in used:
        seen = view.state(one.target.whole) if one.unasked else one.seen
        if seen is not None and seen.came_at > ended_at:
            yield one


def _is_ignored(decision: Decision, node: Node, record: TriggerRecord | None) -> bool:
    return decision.ignored or (node.downstream.rerun is Rerun.IGNORE and record is not None)


def _always_active(node: Node) -> Node:
    """The same pipeline, as if its dependencies had counted from the beginning."""
    return replace(node, active_since=dict.fromkeys(node.active_since, 0))


def _place(graph: Graph, target: Target) -> tuple[object, ...]:
    return partition_order(target.partition), graph.rank(target.pipeline), target
