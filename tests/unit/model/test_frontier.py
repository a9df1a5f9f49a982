"""What changed is decided about in pieces, upstreams first, and a small graph does not wait behind a large one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.model.conditions import Dependency, all_of
from coordinator.model.decide import Decision, Obstacle, decide
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions import Identity, Mapping, Period, StartOf
from coordinator.model.partitions.offsets import Offset, Unit
from coordinator.model.propagation import propagation as propagation_module
from coordinator.model.propagation.frontier import TURN, Frontier
from coordinator.model.propagation.propagation import SCANNED, Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.view import Readiness, SeenState
from tests.unit.model.facts import Facts
from tests.unit.model.test_propagation import EPOCH, PARTITION, Anew, Change, apply, assert_same, changes, graphs

DAYS = [f"2026-11-{day:02}T00:00:00Z" for day in range(1, 29)]


def ref(name: str) -> PipelineRef:
    return PipelineRef("default", name)


def graph_of(edges: dict[str, Iterable[str]], mapping: Mapping | None = None) -> Graph:
    nodes = []
    for name, upstreams in edges.items():
        leaves = [Dependency(ref(upstream), mapping=mapping or Identity()) for upstream in upstreams]
        condition = all_of(*leaves) if len(leaves) > 1 else leaves[0]
        nodes.append(Node(Downstream(ref(name), condition), dict.fromkeys(leaves, 0)))
    return Graph(nodes)


def below(root: str, count: int) -> dict[str, Iterable[str]]:
    return {f"{root}{number}": [root] for number in range(count)}


def run(facts: Facts, name: str, state: State = State.SUCCESS, partition: str = PARTITION, revision: int = 1) -> Target:
    target = Target(ref(name), partition)
    facts.states[target] = SeenState(RunState(state, Attempt("r", EPOCH)), revision)
    return target


def decide_all(propagation: Propagation) -> list[Target]:
    decided = []
    while not propagation.is_drained:
        if (made := propagation.decide_next()) is not None:
            decided.append(made.decision.target)
    return decided


def test_on_a_cycle_nothing_is_final_before_all_has_been_decided_about() -> None:
    """B of a day is above A of the next one, and A comes before B in the order of the pipelines."""
    day_before = Dependency(ref("B"), mapping=Offset(-1, Unit.DAY))
    nodes = [
        Node(Downstream(ref("A"), all_of(Dependency(ref("U")), day_before)), {Dependency(ref("U")): 0, day_before: 0}),
        Node(Downstream(ref("B"), Dependency(ref("A"))), {Dependency(ref("A")): 0}),
    ]
    graph, facts = Graph(nodes), Facts()
    assert graph.rank(ref("A")) < graph.rank(ref("B"))
    propagation = Propagation(graph, facts)
    propagation.touch([run(facts, "B", partition=DAYS[0])])
    assert not propagation.is_final(Target(ref("A"), DAYS[1]))
    decide_all(propagation)
    assert propagation.is_final(Target(ref("A"), DAYS[1]))


def test_each_target_is_decided_about_once_however_many_changes_touch_it() -> None:
    facts = Facts()
    propagation = Propagation(graph_of({**below("r", 50), "end": [f"r{number}" for number in range(50)]}), facts)
    for revision in range(1, 11):
        propagation.touch([run(facts, "r", State.RUNNING, revision=revision)])
    decided = decide_all(propagation)
    assert len(decided) == len(set(decided)) == 52


def test_nothing_is_final_before_everything_above_it_has_been_decided_about() -> None:
    facts = Facts()
    propagation = Propagation(graph_of({"b": ["a"], "c": ["b"], "y": ["x"]}), facts)
    a = run(facts, "a", State.RUNNING)
    b, c, y = (Target(ref(name), PARTITION) for name in "bcy")
    propagation.touch([a])
    assert not any(map(propagation.is_final, (a, b, c)))
    assert propagation.is_final(y), "another component"
    assert propagation.is_final(Target(ref("c"), DAYS[0])), "another partition"
    propagation.decide_next()
    assert propagation.is_final(a)
    assert not propagation.is_final(b)
    assert not propagation.is_final(c)
    decide_all(propagation)
    assert all(map(propagation.is_final, (a, b, c)))
    assert propagation.readiness(c) is Readiness.BUSY


def test_partitions_that_a_mapping_brings_together_are_final_together() -> None:
    facts = Facts()
    propagation = Propagation(graph_of({"b": ["a"]}, StartOf(Period.MONTH)), facts)
    propagation.touch([run(facts, "a", partition=DAYS[3])])
    assert not propagation.is_final(Target(ref("b"), DAYS[0]))


@pytest.mark.slow
def test_a_small_graph_does_not_wait_behind_a_large_one() -> None:
    facts = Facts()
    propagation = Propagation(graph_of({**below("large", 5000), "small0": ["small"]}), facts)
    propagation.touch([run(facts, "large", State.RUNNING, day) for day in DAYS])
    for _ in range(1000):
        propagation.decide_next()
    small = run(facts, "small")
    propagation.touch([small])
    for _ in range(3 * TURN):
        propagation.decide_next()
    assert propagation.is_final(Target(ref("small0"), PARTITION))
    assert not propagation.is_drained


def test_what_has_just_happened_goes_before_what_is_caught_up_on() -> None:
    facts = Facts()
    propagation = Propagation(graph_of(below("r", 1)), facts)
    propagation.touch([run(facts, "r", partition=day) for day in DAYS * 30], live=False)
    propagation.touch([run(facts, "r")])
    made = [propagation.decide_next() for _ in range(2)]
    assert [one.decision.target.partition for one in made if one is not None and one.live] == [PARTITION, PARTITION]
    assert not propagation.is_caught_up


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(graphs(), st.lists(changes(), max_size=30), st.lists(st.booleans(), min_size=1), st.integers(0, 9))
def test_interrupted_as_often_as_you_like_the_end_is_the_same(
    graph: Graph, sequence: list[Change], live: list[bool], at_once: int
) -> None:
    facts = Facts()
    propagation = Propagation(graph, facts, now=EPOCH)
    heard_of: set[Target] = set()
    for number, (kind, target, value) in enumerate(sequence, 1):
        touched = apply(facts, kind, target, value, number)
        if kind == "hold":
            touched += [one for one in propagation.unsettled() if one.pipeline == target.pipeline]
        is_live = live[number % len(live)]
        propagation.touch(
            () if kind == "record" else touched, recorded=touched if kind == "record" else (), live=is_live
        )
        for _ in range(at_once):
            if (made := propagation.decide_next()) is not None:
                heard_of.add(made.decision.target)
    heard_of |= set(decide_all(propagation))
    assert_same(propagation, Anew(graph, facts, heard_of, propagation.now), graph, heard_of)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(graphs(), graphs(), graphs(), st.lists(changes(), max_size=15), st.integers(0, 5))
def test_a_graph_that_is_exchanged_in_the_middle_of_it_all_is_taken_over_whole(
    first: Graph, second: Graph, third: Graph, sequence: list[Change], at_once: int
) -> None:
    facts = Facts()
    propagation = Propagation(first, facts, now=EPOCH)
    graph = first
    for number, (kind, target, value) in enumerate(sequence, 1):
        touched = apply(facts, kind, target, value, number)
        propagation.touch(touched)
        if number in (5, 6):
            graph = second if number == 5 else third
            propagation.exchange_graph(graph, [*facts.states, *facts.records, *facts.orders])
        for _ in range(at_once):
            propagation.decide_next()
    heard_of = set(decide_all(propagation))
    known = {*facts.states, *facts.records, *facts.orders}
    heard_of |= known | {dependent for target in known for dependent in propagation.dependents(target)}
    heard_of |= set(propagation.unsettled())
    assert_same(propagation, Anew(graph, facts, heard_of, propagation.now), graph, heard_of)


@pytest.mark.parametrize("pieces", range(4))
def test_a_second_publication_before_the_first_is_taken_over_loses_nothing_that_waited(pieces: int) -> None:
    facts = Facts()
    propagation = Propagation(graph_of({"b": ["a"]}), facts)
    days = [f"2026-11-20T00:00:{number % 60:02}.{number:06}Z" for number in range(2 * SCANNED)]
    propagation.touch([run(facts, "a", partition=day) for day in days])
    for other in "yz":
        propagation.exchange_graph(graph_of({"b": ["a"], "x": [other]}), [*facts.states])
        for _ in range(pieces):
            propagation.decide_next()
    assert {one.target.partition for one in propagation.refresh() if one.fires} == set(days)


def test_a_mistake_about_one_target_leaves_it_stuck_and_all_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts()
    propagation = Propagation(graph_of({"b": ["a"], "c": ["b"], "d": ["a"]}), facts)
    b, c, d = (Target(ref(name), PARTITION) for name in "bcd")

    def mistaken(graph: Graph, view: Propagation, target: Target) -> Decision:
        if target == b:
            raise KeyError("a mistake")
        return decide(graph, view, target)

    monkeypatch.setattr(propagation_module, "decide", mistaken)
    decisions = {decision.target: decision for decision in propagation.refresh([run(facts, "a")])}
    assert decisions[b].readiness is Readiness.STUCK
    assert decisions[b].obstacles == {Obstacle.BROKEN}
    assert decisions[b].recheck_at is not None
    assert list(propagation.broken) == [b]
    assert decisions[d].fires
    assert not decisions[c].fires
    monkeypatch.undo()
    assert {one.target: one.fires for one in propagation.refresh([b])}[b]
    assert not propagation.broken


def test_a_frontier_that_is_empty_keeps_nothing() -> None:
    frontier = Frontier(Graph())
    for number in range(1000):
        frontier.add(Target(ref(f"p{number}"), PARTITION), live=True)
    while frontier.pop() is not None:
        pass
    assert not len(frontier)
    assert not list(frontier.entries())
