"""What is decided at once is what the rule would have decided."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.model.conditions import Dependency, all_of
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.propagation.at_rest import AtRest
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import SeenRecord, SeenState
from tests.unit.model.facts import Facts
from tests.unit.model.test_propagation import EPOCH, PARTITION, Change, apply, changes, graphs, refresh


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(graphs(), st.lists(changes(), max_size=40))
def test_what_is_decided_at_once_is_what_the_rule_says(graph: Graph, sequence: list[Change]) -> None:
    facts = Facts()
    propagation = Propagation(graph, facts, now=EPOCH)
    for number, (kind, target, value) in enumerate(sequence, 1):
        changed = apply(facts, kind, target, value, number)
        refresh(propagation, kind, changed)
        at_rest = AtRest(graph, facts, set(propagation.unsettled()))
        for pipeline in graph:
            for partition in {target.partition, PARTITION}:
                one = Target(pipeline, partition)
                if (decision := at_rest.decide(one)) is not None:
                    assert decision == replace(propagation.decide(one), evaluated=None)


UPSTREAM, BOTTOM = PipelineRef("default", "upstream"), PipelineRef("default", "bottom")
INPUT, TARGET = Target(UPSTREAM, PARTITION), Target(BOTTOM, PARTITION)
ATTEMPT = Attempt("run", EPOCH)


def _has_run() -> tuple[Graph, Facts]:
    """A pipeline that has run on its one input."""
    dependency = Dependency(UPSTREAM)
    facts = Facts()
    facts.states[INPUT] = SeenState(RunState(State.SUCCESS, ATTEMPT), 5)
    facts.states[TARGET] = SeenState(RunState(State.SUCCESS, Attempt("own", EPOCH)), 7)
    consumed = Consumption.of({INPUT: Consumed(5, ATTEMPT, State.SUCCESS)})
    record = TriggerRecord(Status.DONE, 1, Action.CREATE, "own", "token", 5, consumed=consumed)
    facts.records[TARGET] = SeenRecord(record, 8)
    return Graph([Node(Downstream(BOTTOM, all_of(dependency)), {dependency: 1})]), facts


def test_what_has_run_on_the_present_inputs_is_decided_at_once() -> None:
    graph, facts = _has_run()
    assert AtRest(graph, facts, ()).decide(TARGET) == replace(Propagation(graph, facts).decide(TARGET), evaluated=None)


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILED])
def test_an_input_that_has_completed_anew_is_left_to_the_rule(state: State) -> None:
    graph, facts = _has_run()
    facts.states[INPUT] = SeenState(RunState(state, Attempt("run, cleared", EPOCH)), 9)
    assert AtRest(graph, facts, ()).decide(TARGET) is None


def test_an_input_that_is_not_settled_is_left_to_the_rule() -> None:
    graph, facts = _has_run()
    assert AtRest(graph, facts, {INPUT}).decide(TARGET) is None


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DONE])
def test_a_record_that_waits_for_something_is_left_to_the_rule(status: Status) -> None:
    graph, facts = _has_run()
    record = facts.records[TARGET].value
    assert isinstance(record, TriggerRecord)
    facts.records[TARGET] = SeenRecord(replace(record, status=status), 8)
    assert AtRest(graph, facts, ()).decide(TARGET) is None
