"""Lateness: when a partition that has not been started should have been."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from coordinator.model.deadline import AfterFirstInput, Deadline, TimeOfDay
from coordinator.model.evaluation import EvaluatedInput, evaluate
from coordinator.model.graph import Graph
from coordinator.model.order import GivenOrder
from coordinator.model.references import Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import View, readable_record

BACKFILL_AFTER: Final = timedelta(days=1)
"""If the inputs begin so long after a partition's deadline, it is a backfill, and was not expected by then. A time of
day comes once a day, so an outage of less than that still makes a partition late."""


def due_by(
    deadline: Deadline | None, graph: Graph, view: View, target: Target, inputs: Iterable[EvaluatedInput]
) -> datetime | None:
    """The moment from which on the partition is late; ``None``: never, as far as is known.

    A time of day is on the partition's own date. In a backfill it is the next one after the first input began, and
    there is none before that. A duration counts from the first new input whose report has the time of its observation.
    """
    match deadline:
        case TimeOfDay():
            moment = deadline.for_partition(target.partition)
            return None if moment is None else _unless_backfilled(deadline, moment, graph, view, inputs)
        case AfterFirstInput():
            arrived = [
                one.seen.value.observed_at
                for one in inputs
                if one.new
                and one.seen is not None
                and isinstance(one.seen.value, RunState)
                and one.seen.value.observed_at is not None
            ]
            return deadline.since(min(arrived)) if arrived else None
        case None:
            return None


def _unless_backfilled(
    deadline: TimeOfDay, moment: datetime, graph: Graph, view: View, inputs: Iterable[EvaluatedInput]
) -> datetime | None:
    moving = _that_move(inputs)
    begun = [began for target in moving if (began := _began(view, target)) is not None]
    if begun:
        first = min(begun)
        return deadline.first_after(first) if first - moment >= BACKFILL_AFTER else moment
    above = _began_above(graph, view, moving)
    return None if above is not None and above - moment >= BACKFILL_AFTER else moment


def _that_move(inputs: Iterable[EvaluatedInput]) -> list[Target]:
    """The inputs because of which the partition waits: those that are new or coming."""
    return [one.target for one in inputs if one.triggers and (one.new or one.busy or one.repairable)]


def _began(view: View, target: Target) -> datetime | None:
    """When a run began, by its state or its record; ``None``: it has not begun, or the time is unknown."""
    seen, recorded = view.state(target), view.record(target)
    if seen is not None and isinstance(seen.value, RunState):
        return seen.value.attempt.queued_at or seen.value.observed_at
    if recorded is not None and isinstance(recorded.value, TriggerRecord):
        record = recorded.value
        return record.when if record.status in (Status.INTENT, Status.SENT) else None
    return None


def _began_above(graph: Graph, view: View, targets: Iterable[Target]) -> datetime | None:
    """When the first of the runs above these targets began, or when a person ordered one of them; the targets
    themselves have not begun."""
    begun: list[datetime] = []
    looked_at: set[Target] = set()
    waiting = list(targets)
    while waiting:
        target = waiting.pop()
        if target in looked_at:
            continue
        looked_at.add(target)
        order = view.order(target)
        if order is not None and isinstance(order.value, GivenOrder) and order.value.when is not None:
            begun.append(order.value.when)
        node = graph.node(target.pipeline)
        if node is None:
            continue
        record = readable_record(view.record(target))
        for above in _that_move(evaluate(view, node, target, record)[1]):
            began = _began(view, above)
            if began is not None:
                begun.append(began)
            else:
                waiting.append(above)
    return min(begun, default=None)
