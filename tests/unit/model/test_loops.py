"""Loops of sensors. A chain that goes back in time is none, however long it is, and costs no walk along it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.model import loops
from coordinator.model.graph import Graph, SensorEdge
from coordinator.model.loops import is_loop
from coordinator.model.partitions.instants import format_instant
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.view import SeenState, SeenWait
from coordinator.model.waits import Completion, SensorRerun, Wait, WaitStatus
from tests.unit.model.facts import Facts
from tests.unit.model.test_propagation import Change, apply, graphs, sensor_changes

D = PipelineRef("default", "D")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class CountedFacts(Facts):
    """Counts how often the sensors of each target are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[Target] = Counter()

    def sensors(self, target: Target) -> Sequence[SeenWait]:
        self.asked[target] += 1
        return super().sensors(target)


def chain(facts: Facts, hours: int) -> list[Target]:
    """D has run in so many hours. A sensor of each waits for the hour before."""
    run = RunState(State.SUCCESS, Attempt("r"))
    found: list[Target] = []
    for number in range(hours):
        found.append(Target(D, format_instant(BEGIN + timedelta(hours=number))))
        facts.states[found[-1]] = SeenState(run, number + 1)
        if number:
            completion = Completion.of(run, number)
            wait = Wait(WaitStatus.PASSED, found[-2], completion=completion, rerun=SensorRerun.CLEAR)
            facts.waits.put(WaitRef(found[-1], "r", "sensor", -1), wait, hours + number)
    return found


def test_each_decision_about_a_chain_of_hours_costs_the_same() -> None:
    facts = CountedFacts()
    targets = chain(facts, 200)
    propagation = Propagation(Graph().with_sensors(facts.waits.edges()), facts)
    propagation.replace_graph(propagation.graph, targets)
    facts.asked.clear()
    decision = propagation.decide(targets[-1])
    assert not decision.sensors[0].is_loop
    assert sum(facts.asked.values()) <= 2


def test_a_chain_of_more_targets_than_are_searched_is_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "MAX_TARGETS", 20)
    facts = Facts()
    targets = chain(facts, 30)
    propagation = Propagation(Graph().with_sensors(facts.waits.edges()), facts)
    assert not propagation.decide(targets[-1]).sensors[0].is_loop


def test_a_chain_that_one_sensor_closes_is_a_loop() -> None:
    facts = Facts()
    targets = chain(facts, 5)
    wait = Wait(WaitStatus.PASSED, targets[-1], rerun=SensorRerun.CLEAR)
    facts.waits.put(WaitRef(targets[0], "r", "sensor", -1), wait, 20)
    propagation = Propagation(Graph().with_sensors(facts.waits.edges()), facts)
    assert all(propagation.decide(one).sensors[0].is_loop for one in targets)


class _WalksAlways(Graph):
    """:ivar gave_up: it came to partitions that cannot be named, and went by the names of the pipelines alone."""

    gave_up = False

    def leads_only_back(self, upper: PipelineRef, lower: PipelineRef) -> bool:  # noqa: ARG002
        return False

    def is_above(self, upper: PipelineRef, lower: PipelineRef) -> bool:
        self.gave_up = True
        return super().is_above(upper, lower)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(graphs(), st.lists(sensor_changes(), max_size=25))
def test_what_goes_back_in_time_is_a_loop_only_if_the_walk_says_so(without: Graph, sequence: list[Change]) -> None:
    facts = Facts()
    for number, (kind, target, value) in enumerate(sequence, 1):
        apply(facts, kind, target, value, number)
    edges: dict[SensorEdge, int] = facts.waits.edges()
    graph, walks = without.with_sensors(edges), _WalksAlways(without.nodes(), edges)
    for run in facts.waits.runs_of_sensors():
        for seen in facts.sensors(run):
            assert isinstance(seen.value, Wait)
            walks.gave_up = False
            walked = is_loop(walks, facts, run, seen.value)
            assert is_loop(graph, facts, run, seen.value) is walked or (walked and walks.gave_up)
