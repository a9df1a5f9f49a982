"""What is counted about a wide condition is what deciding about all of its inputs says."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.model.conditions import AtLeast, Dependency, On, all_of
from coordinator.model.deadline import TimeOfDay
from coordinator.model.decide import Decision, Obstacle, decide
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.propagation import propagation as propagation_module
from coordinator.model.propagation import tally
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.view import Readiness, SeenState
from tests.unit.model.facts import Facts
from tests.unit.model.test_propagation import EPOCH, PARTITION, Change, apply, changes, graphs, refresh

EVERY_WIDTH = 0


def essence(decision: Decision) -> tuple[object, ...]:
    """What follows from a decision, but which completions it would use."""
    return (
        decision.readiness,
        decision.due,
        decision.ready,
        decision.ignored,
        # A hold matters only to what is due: of what is settled nobody looks again when it comes.
        decision.obstacles if decision.readiness is not Readiness.SETTLED else decision.obstacles - {Obstacle.HELD},
        decision.has_pending_change,
        decision.order,
        decision.due_by,
        decision.late,
        decision.skips,
        decision.recheck_at,
    )


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(graphs(), st.lists(changes(), max_size=40))
def test_a_decision_that_was_not_made_again_is_what_it_would_have_been(graph: Graph, sequence: list[Change]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "WIDE", EVERY_WIDTH)
        facts = Facts()
        propagation = Propagation(graph, facts, now=EPOCH)
        last: dict[Target, Decision] = {}
        for number, (kind, target, value) in enumerate(sequence, 1):
            if number % 7 == 0:
                propagation.recount()
            decisions = refresh(propagation, kind, apply(facts, kind, target, value, number))
            last.update((decision.target, decision) for decision in decisions)
            assert not propagation.miscounted
            for counted in propagation._tallies.targets():
                assert essence(propagation.decide(counted)) == essence(last[counted])


UPSTREAMS = [PipelineRef("default", f"u{number}") for number in range(100)]
BOTTOM = PipelineRef("default", "bottom")


class Fan:
    """One pipeline below a hundred, with the decisions about it counted."""

    def __init__(self, patch: pytest.MonkeyPatch, n: int = len(UPSTREAMS), on: On = On.SUCCESS) -> None:
        leaves = tuple(Dependency(upstream, on) for upstream in UPSTREAMS)
        self.facts = Facts()
        node = Node(Downstream(BOTTOM, AtLeast(n, leaves)), dict.fromkeys(leaves, 0))
        self.propagation = Propagation(Graph([node]), self.facts)
        self.decided = 0
        self.last: Decision | None = None
        self._revision = 0
        patch.setattr(propagation_module, "decide", self._decide)

    def report(self, number: int, state: State) -> None:
        self._revision += 1
        target = Target(UPSTREAMS[number], PARTITION)
        self.facts.states[target] = SeenState(RunState(state, Attempt(f"r{number}", EPOCH)), self._revision)
        for decision in self.propagation.refresh([target]):
            if decision.target.pipeline == BOTTOM:
                self.last = decision

    def _decide(self, graph: Graph, view: Propagation, target: Target) -> Decision:
        self.decided += target.pipeline == BOTTOM
        return decide(graph, view, target)


def test_most_inputs_of_a_wide_condition_come_in_without_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    fan = Fan(monkeypatch)
    for number in range(100):
        fan.report(number, State.RUNNING)
        fan.report(number, State.SUCCESS)
    assert fan.last is not None
    assert fan.last.fires
    assert len(fan.last.inputs) == 100
    assert fan.decided < 12
    assert not fan.propagation.miscounted


def test_each_input_that_fails_anew_is_shown_by_one_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is followed, for somebody may clear it where nothing reports."""
    fan = Fan(monkeypatch)
    for number in range(100):
        fan.report(number, State.FAILED)
    before = fan.decided
    fan.report(7, State.RUNNING)
    fan.report(7, State.FAILED)
    assert fan.last is not None
    assert fan.last.readiness is Readiness.STUCK
    assert fan.decided > before


def test_a_wrong_count_is_found_by_the_next_recount(monkeypatch: pytest.MonkeyPatch) -> None:
    fan = Fan(monkeypatch)
    for number in range(99):
        fan.report(number, State.SUCCESS)
    with monkeypatch.context() as patch:
        patch.setattr(tally.Tally, "is_same", lambda counted, *_: not counted.moved.clear())
        fan.report(99, State.SUCCESS)
    target = Target(BOTTOM, PARTITION)
    assert fan.propagation.readiness(target) is Readiness.SETTLED, "it was counted wrongly"
    fan.propagation.recount()
    decisions = fan.propagation.refresh()
    assert [decision.fires for decision in decisions if decision.target == target] == [True]
    assert fan.propagation.miscounted == [target]


def test_tallies_that_were_used_least_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "WIDE", EVERY_WIDTH)
    leaves = tuple(Dependency(upstream) for upstream in UPSTREAMS[:10])
    node = Node(Downstream(BOTTOM, AtLeast(10, leaves)), dict.fromkeys(leaves, 0))
    facts = Facts()
    propagation = Propagation(Graph([node]), facts)
    tallies = tally.Tallies(propagation.graph, room=25)
    for partition in ("1", "2", "3"):
        tallies.keep(propagation, propagation.decide(Target(BOTTOM, partition)))
    assert [one.partition for one in tallies.targets()] == ["2", "3"]


def test_the_deadline_of_a_wide_backfill_is_known_once_its_first_input_begins() -> None:
    old, began = "2026-10-01T00:00:00Z", datetime(2026, 11, 21, tzinfo=UTC)
    root, wide = PipelineRef("default", "root"), PipelineRef("default", "wide")
    inputs = [Dependency(PipelineRef("default", f"input{number}")) for number in range(tally.WIDE + 1)]
    above = Dependency(root)
    nodes = [Node(Downstream(one.upstream, above), {above: 0}) for one in inputs]
    nodes.append(Node(Downstream(wide, all_of(*inputs), deadline=TimeOfDay(time(6))), dict.fromkeys(inputs, 0)))
    facts = Facts()
    propagation = Propagation(Graph(nodes), facts, now=began)
    due_by = []
    for pipeline in (root, inputs[0].upstream):
        begun = Target(pipeline, old)
        facts.states[begun] = SeenState(RunState(State.RUNNING, Attempt("r", began)), 1)
        due_by += [one.due_by for one in propagation.refresh([begun]) if one.target == Target(wide, old)]
    assert due_by == [None, began + timedelta(hours=6)]


@pytest.mark.parametrize("turns", range(4))
def test_a_completion_of_what_waits_to_be_counted_again_is_told_to_those_below_it(turns: int) -> None:
    """Whichever of the two is taken off the frontier first."""
    below, other = PipelineRef("default", "below"), PipelineRef("default", "other")
    leaves = tuple(Dependency(upstream) for upstream in UPSTREAMS)
    node = Node(Downstream(BOTTOM, all_of(*leaves)), dict.fromkeys(leaves, 0))
    graph = Graph([node, Node(Downstream(below, Dependency(BOTTOM)), {Dependency(BOTTOM): 0})])
    facts = Facts()
    propagation = Propagation(graph, facts)
    target = Target(BOTTOM, PARTITION)
    propagation.refresh([target])
    assert [*propagation._tallies.targets()] == [target]
    for number in range(turns):
        propagation.refresh([Target(other, f"{number}")])
    propagation.recount()
    facts.states[target] = SeenState(RunState(State.SUCCESS, Attempt("by hand", EPOCH)), 1)
    decided = [decision.target for decision in propagation.refresh([target]) if decision.ready]
    assert decided == [Target(below, PARTITION)]


@pytest.mark.parametrize("turns", range(4))
def test_an_input_that_has_not_been_decided_about_yet_is_not_taken_for_a_mistake(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all is counted again an input completes: the recount may come first, and sees it already."""
    fan = Fan(monkeypatch)
    for number in range(99):
        fan.report(number, State.SUCCESS)
    for number in range(turns):
        fan.propagation.refresh([Target(PipelineRef("default", "other"), f"{number}")])
    fan.propagation.recount()
    fan.report(99, State.SUCCESS)
    assert fan.last is not None
    assert fan.last.fires
    assert not fan.propagation.miscounted
