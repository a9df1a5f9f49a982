"""Retries and time limits, on facts set by hand: when a run is started again, and when it is stopped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from coordinator.controller.reconcile import records
from coordinator.model.cascade import cascade, course
from coordinator.model.conditions import Dependency, On, leaves
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.dependencies import Downstream, Rerun
from coordinator.model.explanation import explain
from coordinator.model.graph import Graph, Node
from coordinator.model.hold import Hold
from coordinator.model.order import Order
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retries import Retry, are_used_up, attempt_to_stop, retry_of, time_limit_of
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record, read_record
from coordinator.model.view import Readiness, SeenRecord, SeenState
from tests.unit.model.facts import Facts

pytestmark = pytest.mark.promise("retries")

K = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
A, D, F = (PipelineRef("default", name) for name in "ADF")
ENTRY = Downstream(D, Dependency(A), retries=2, retry_delay=5 * MINUTE, timeout=120 * MINUTE)
SENT = TriggerRecord(Status.SENT, 1, Action.CREATE, "r", "t", 7, attempt=NOON, when=NOON)
DONE = replace(SENT, status=Status.DONE)
WITHDRAWN = replace(DONE, status=Status.WITHDRAWN, attempt=None, previous_attempt=NOON)


def ended(
    state: State = State.FAILED, *, run_id: str = "r", queued_at: datetime | None = NOON, marked: bool = False
) -> RunState:
    end = NOON + 10 * MINUTE
    return RunState(state, Attempt(run_id, queued_at), observed_at=end, marked=marked, ended_at=end)


@pytest.mark.parametrize(
    ("record", "state", "number"),
    [
        (DONE, ended(), 1),
        (SENT, ended(), 1),
        (replace(DONE, retried=1), ended(), 2),
        (replace(DONE, retried=2), ended(), None),
        (replace(DONE, retried=3), ended(), None),
        (WITHDRAWN, ended(), 1),
        (replace(WITHDRAWN, status=Status.INTENT, retrying=True), ended(), 1),
        (replace(WITHDRAWN, status=Status.BLOCKED, retrying=True), ended(), 1),
        # A later attempt of our run is a person's clear; an older one has nothing to say any more.
        (DONE, ended(queued_at=NOON + MINUTE), 1),
        (DONE, ended(queued_at=NOON - MINUTE), None),
        (SENT, ended(queued_at=NOON - MINUTE), None),
        (DONE, ended(run_id="of a person"), None),
        (DONE, ended(queued_at=None), None),
        (replace(DONE, attempt=None), ended(), None),
        (replace(DONE, run_id=None), ended(), None),
        (DONE, ended(State.SUCCESS), None),
        (DONE, ended(State.RUNNING), None),
        (DONE, ended(marked=True), None),
        (DONE, None, None),
        (None, ended(), None),
    ],
)
def test_what_is_started_again(record: TriggerRecord | None, state: RunState | None, number: int | None) -> None:
    expected = None if number is None else Retry(NOON + 15 * MINUTE, number, 2)
    assert retry_of(record, state, ENTRY) == expected


def test_retries_that_are_used_up() -> None:
    assert not are_used_up(replace(DONE, retried=1), ended(), ENTRY)
    assert are_used_up(replace(DONE, retried=2), ended(), ENTRY)
    assert not are_used_up(replace(DONE, retried=2), ended(State.SUCCESS), ENTRY)
    assert not are_used_up(DONE, ended(), Downstream(D, Dependency(A)))


@pytest.mark.parametrize(
    ("record", "state", "attempt"),
    [
        (SENT, None, NOON),
        (SENT, ended(queued_at=NOON - MINUTE), NOON),
        (SENT, ended(State.RUNNING), NOON),
        (SENT, ended(State.QUEUED, queued_at=NOON + MINUTE), NOON + MINUTE),
        (DONE, ended(State.RUNNING, queued_at=NOON + MINUTE), NOON + MINUTE),
        (SENT, ended(State.RUNNING, run_id="of a person"), NOON),
        (DONE, ended(State.RUNNING, run_id="of a person"), None),
        (SENT, ended(), None),
        (SENT, ended(State.SUCCESS), None),
        (DONE, None, None),
        (replace(SENT, attempt=None), None, None),
        (replace(SENT, status=Status.INTENT, attempt=None), None, None),
        (None, ended(State.RUNNING), None),
    ],
)
def test_what_is_stopped(record: TriggerRecord | None, state: RunState | None, attempt: datetime | None) -> None:
    assert attempt_to_stop(record, state) == (None if attempt is None else Attempt("r", attempt))
    limit = None if attempt is None else attempt + 120 * MINUTE
    assert time_limit_of(record, state, ENTRY) == limit
    assert time_limit_of(record, state, Downstream(D, Dependency(A))) is None


def test_a_limit_counts_from_the_intent_where_an_earlier_moment_stands_for_queued_at() -> None:
    record = replace(SENT, attempt=NOON - timedelta(days=3))
    assert time_limit_of(record, None, ENTRY) == NOON + 120 * MINUTE


class Situation:
    """A has succeeded, D has run on that and failed, and F waits for its failure."""

    def __init__(self, entry: Downstream = ENTRY, *, record: TriggerRecord = DONE) -> None:
        below = Downstream(F, Dependency(D, On.FAILURE))
        self.facts = Facts()
        self.facts.states[Target(A, K)] = SeenState(RunState(State.SUCCESS, Attempt("a", NOON)), 10)
        used = {Target(A, K): Consumed(10, Attempt("a", NOON), State.SUCCESS)}
        self.facts.records[Target(D, K)] = SeenRecord(replace(record, consumed=Consumption.of(used)), 13)
        self.facts.states[Target(D, K)] = SeenState(ended(), 12)
        self._graph = Graph([Node(one, dict.fromkeys(leaves(one.condition), 1)) for one in (entry, below)])

    def at(self, now: datetime) -> Propagation:
        propagation = Propagation(self._graph, self.facts, now=now)
        propagation.refresh([*self.facts.states, *self.facts.records])
        return propagation

    def decide(self, now: datetime, pipeline: PipelineRef = D) -> Decision:
        return self.at(now).decide(Target(pipeline, K))


def test_a_retry_waits_for_its_delay() -> None:
    situation = Situation()
    waiting = situation.decide(NOON + 12 * MINUTE)
    assert (waiting.readiness, waiting.fires, waiting.due) == (Readiness.BUSY, False, True)
    assert waiting.recheck_at == NOON + 15 * MINUTE
    ready = situation.decide(NOON + 15 * MINUTE)
    assert (ready.readiness, ready.fires, ready.retries) == (Readiness.BUSY, True, True)
    assert (ready.inputs, ready.wave, ready.recheck_at) == ({}, 7, None)


def test_nothing_below_sees_a_failure_while_a_retry_is_to_come() -> None:
    below = Situation().decide(NOON + 12 * MINUTE, F)
    assert (below.fires, below.readiness) == (False, Readiness.BUSY)
    below = Situation(record=replace(DONE, retried=2)).decide(NOON + 12 * MINUTE, F)
    assert below.fires


def test_a_held_one_waits_and_shows_no_failure() -> None:
    situation = Situation()
    situation.facts.holds[D] = Hold(why="a test", who="it")
    held = situation.decide(NOON + 20 * MINUTE)
    assert (held.readiness, held.fires, held.obstacles) == (Readiness.STUCK, False, frozenset({Obstacle.HELD}))
    assert not situation.decide(NOON + 20 * MINUTE, F).fires


@pytest.mark.parametrize("rerun", Rerun)
def test_what_is_new_comes_first_and_is_treated_by_the_rerun_policy(rerun: Rerun) -> None:
    situation = Situation(Downstream(D, Dependency(A), rerun=rerun, retries=1))
    situation.facts.states[Target(A, K)] = SeenState(RunState(State.SUCCESS, Attempt("a", NOON + 11 * MINUTE)), 14)
    decision = situation.decide(NOON + 12 * MINUTE)
    match rerun:
        case Rerun.CLEAR | Rerun.NEW_RUN:
            assert (decision.fires, decision.retries, len(decision.inputs)) == (True, False, 1)
        case Rerun.IGNORE:  # it is consumed first
            assert (decision.ignored, decision.fires, decision.readiness) == (True, False, Readiness.BUSY)
        case Rerun.HOLD:
            assert (decision.fires, decision.retries, decision.inputs) == (True, True, {})


def test_an_intent_of_a_retry_uses_nothing_new_and_is_counted_once_it_has_succeeded() -> None:
    situation = Situation(record=replace(DONE, retried=1, order=3))
    decision = situation.decide(NOON + 15 * MINUTE)
    before = situation.facts.records[Target(D, K)].value
    assert isinstance(before, TriggerRecord)
    existing = records.ExistingRun("r", NOON)
    intent = records.intend(decision, before, existing, who="it", when=NOON + 15 * MINUTE)
    assert (intent.retrying, intent.retried, intent.previous_attempt, intent.before) == (True, 1, NOON, NOON)
    assert (intent.action, intent.wave, len(intent.inputs)) == (Action.CLEAR, 7, 0)
    sent = records.cleared(intent, NOON + 16 * MINUTE)
    assert (sent.retried, sent.previous_attempt, sent.consumed, sent.order) == (2, None, before.consumed, 3)
    assert records.withdrawn(intent, "a test").retried == 1
    assert read_record(dump_record(intent)) == intent
    fired = records.cleared(replace(intent, retrying=False), NOON + 16 * MINUTE)
    assert fired.retried == 0


def test_explain_says_what_becomes_of_it() -> None:
    situation = Situation()
    said = explain(situation.at(NOON + 12 * MINUTE), Target(D, K))
    assert "failed, and is started again at 2026-11-20T12:15:00Z (retry 1 of 2)" in said.headline
    below = explain(situation.at(NOON + 12 * MINUTE), Target(F, K))
    assert any("is started again at 2026-11-20T12:15:00Z (retry 1 of 2)" in cause.says for cause in below.causes)
    used_up = Situation(record=replace(DONE, retried=2))
    success = Graph(
        [Node(one, dict.fromkeys(leaves(one.condition), 1)) for one in (ENTRY, Downstream(F, Dependency(D)))]
    )
    propagation = Propagation(success, used_up.facts, now=NOON + 20 * MINUTE)
    propagation.refresh([*used_up.facts.states, *used_up.facts.records])
    causes = explain(propagation, Target(F, K)).causes
    assert any("no retry is left of 2" in cause.says for cause in causes), causes


def test_explain_says_when_a_run_is_stopped() -> None:
    situation = Situation(record=SENT)
    del situation.facts.states[Target(D, K)]
    said = explain(situation.at(NOON + 12 * MINUTE), Target(D, K))
    assert "it is stopped at 2026-11-20T14:00:00Z if it still runs" in said.headline
    assert situation.decide(NOON + 12 * MINUTE).recheck_at == NOON + 120 * MINUTE


def test_a_rehearsal_lets_a_retry_happen_and_tells_only_what_is_added() -> None:
    situation, now = Situation(), NOON + 12 * MINUTE
    known, graph = [Target(one, K) for one in (A, D, F)], situation.at(now).graph

    def told(**change: State | Order) -> list[tuple[str, str]]:
        acts = {Target(PipelineRef("default", name), K): what for name, what in change.items()}
        steps = cascade(graph, situation.facts, acts, known=known, revision=20, now=now)
        return [(step.target.pipeline.dag_id, str(step.how)) for step in steps]

    assert told() == []
    assert told(D=State.FAILED) == [("F", "create")]
    assert told(A=Order.RERUN) == [("A", "clear"), ("D", "clear")]
    found = course(graph, situation.facts, known=known, revision=20, now=now, environments=["default"])
    assert (found.started, found.held_up) == ((Target(D, K),), frozenset())
