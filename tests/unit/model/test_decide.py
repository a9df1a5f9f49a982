"""The rule, where a case in a world would not see the difference."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from coordinator.controller.reconcile.records import skipped
from coordinator.model.conditions import Dependency
from coordinator.model.consumption import NOTHING, Consumed, Consumption
from coordinator.model.deadline import TimeOfDay
from coordinator.model.decide import Decision
from coordinator.model.dependencies import Downstream, OnLate, Rerun
from coordinator.model.graph import Graph, Node
from coordinator.model.order import GivenOrder, Order
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import Readiness, SeenOrder, SeenRecord, SeenState
from tests.unit.model.facts import Facts

UPSTREAM, DOWNSTREAM = (Target(PipelineRef("default", name), "p") for name in ("u", "d"))


@pytest.mark.parametrize(("rerun", "readiness"), [(Rerun.CLEAR, Readiness.BUSY), (Rerun.IGNORE, Readiness.SETTLED)])
def test_one_that_ignores_is_settled_from_the_first_moment(rerun: Rerun, readiness: Readiness) -> None:
    """Not only once what it ignores has been consumed: nothing below it waits, even while no watcher leads."""
    leaf = Dependency(UPSTREAM.pipeline)
    propagation = Propagation(
        Graph([Node(Downstream(DOWNSTREAM.pipeline, leaf, rerun=rerun), {leaf: 0})]), facts := Facts()
    )
    attempts = [Attempt("r", datetime(2026, 11, day, tzinfo=UTC)) for day in (20, 21)]
    facts.states[UPSTREAM] = SeenState(RunState(State.SUCCESS, attempts[1]), 9)
    facts.records[DOWNSTREAM] = SeenRecord(
        TriggerRecord(
            status=Status.DONE,
            sequence=1,
            action=Action.CREATE,
            run_id="r",
            token="t",
            wave=1,
            consumed=Consumption.of({UPSTREAM: Consumed(1, attempts[0], State.SUCCESS)}),
        ),
        2,
    )
    propagation.refresh([UPSTREAM, DOWNSTREAM])
    assert propagation.readiness(DOWNSTREAM) is readiness
    decision = propagation.decide(DOWNSTREAM)
    assert (decision.fires, decision.ignored) == (rerun is Rerun.CLEAR, rerun is Rerun.IGNORE)


LATE = datetime(2026, 11, 21, tzinfo=UTC)


def _skipping(*, order: Order | None = None, record: TriggerRecord | None = None) -> Decision:
    """Of a downstream that is given up after a deadline, which has passed; its upstream is running."""
    leaf = Dependency(UPSTREAM.pipeline)
    target = Target(DOWNSTREAM.pipeline, "2026-11-20")
    deadline = TimeOfDay(at=time(6))
    downstream = Downstream(DOWNSTREAM.pipeline, leaf, deadline=deadline, on_late=OnLate.SKIP)
    propagation = Propagation(Graph([Node(downstream, {leaf: 0})]), facts := Facts(), now=LATE)
    upstream = Target(UPSTREAM.pipeline, "2026-11-20")
    facts.states[upstream] = SeenState(RunState(State.RUNNING, Attempt("r", LATE)), 9)
    if order is not None:
        facts.orders[target] = SeenOrder(GivenOrder(order), 10)
    if record is not None:
        facts.records[target] = SeenRecord(record, 11)
    propagation.refresh([upstream, target])
    return propagation.decide(target)


def test_what_was_given_up_before_anything_had_completed_is_not_given_up_again() -> None:
    """Nothing was there to consume, so nothing but the record's word says that it has been given up."""
    decision = _skipping()
    assert decision.skips
    record = skipped(decision, None, "late", who="w", when=LATE)
    assert record.consumed == NOTHING
    again = _skipping(record=record)
    assert (again.late, again.skips, again.readiness) == (False, False, Readiness.SETTLED)


def test_what_a_person_has_ordered_is_not_given_up_for_being_late() -> None:
    decision = _skipping(order=Order.RERUN)
    assert decision.late
    assert (decision.skips, decision.due) == (False, True)


@pytest.mark.parametrize("rerun", [Rerun.CLEAR, Rerun.HOLD])
def test_what_was_skipped_before_any_input_came_is_not_skipped_again(rerun: Rerun) -> None:
    """Nothing was there to be consumed: the record alone says that it has been given up."""
    upstream, downstream = (Target(target.pipeline, "2026-11-20T00:00:00Z") for target in (UPSTREAM, DOWNSTREAM))
    leaf = Dependency(upstream.pipeline)
    late = Downstream(downstream.pipeline, leaf, rerun=rerun, deadline=TimeOfDay(time(1)), on_late=OnLate.SKIP)
    facts = Facts()
    propagation = Propagation(Graph([Node(late, {leaf: 0})]), facts, now=datetime(2026, 11, 20, 2, tzinfo=UTC))
    facts.states[upstream] = SeenState(RunState(State.RUNNING, Attempt("r", propagation.now)), 1)
    propagation.refresh([upstream])
    assert propagation.decide(downstream).skips
    given_up = TriggerRecord(Status.DONE, 0, Action.CREATE, None, "t", 0, skipped=True)
    facts.records[downstream] = SeenRecord(given_up, 2)
    propagation.refresh([downstream])
    decision = propagation.decide(downstream)
    assert (decision.skips, decision.obstacles, decision.readiness) == (False, frozenset(), Readiness.SETTLED)
