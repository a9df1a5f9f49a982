"""Standings kept incrementally are those that deciding about everything anew would give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.model.conditions import AtLeast, Condition, Dependency, On, leaves
from coordinator.model.decide import decide
from coordinator.model.dependencies import Downstream, Rerun, Settle
from coordinator.model.graph import Graph, Node
from coordinator.model.hold import Hold
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State, Unreadable
from coordinator.model.standings import Standings
from coordinator.model.trigger import Action, Consumed, Status, TriggerRecord
from coordinator.model.view import SeenRecord, SeenState, Standing
from tests.unit.model.facts import Facts

PIPELINES = [PipelineRef("default", f"p{number}") for number in range(8)]
PARTITION = "2026-11-20T00:00:00Z"
EPOCH = datetime(2026, 11, 20, tzinfo=UTC)


class Anew:
    """A view that works out every standing by recursion, as the design words it."""

    def __init__(self, graph: Graph, facts: Facts) -> None:
        self._graph = graph
        self.state, self.record, self.hold = facts.state, facts.record, facts.hold

    def standing(self, target: Target) -> Standing:
        return decide(self._graph, self, target).standing


def conditions(upstreams: list[PipelineRef]) -> st.SearchStrategy[Condition]:
    leaf = st.builds(Dependency, st.sampled_from(upstreams), st.sampled_from(On))
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
            lambda of: st.integers(1, len(of)).map(lambda n: AtLeast(n, tuple(of)))
        ),
        max_leaves=5,
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    nodes = []
    for number, pipeline in enumerate(PIPELINES):
        if number and draw(st.booleans()):
            condition = draw(conditions(PIPELINES[:number]))
            downstream = Downstream(
                pipeline, condition, rerun=draw(st.sampled_from(Rerun)), settle=draw(st.sampled_from(Settle))
            )
            nodes.append(Node(downstream, {leaf: draw(st.integers(0, 3)) for leaf in leaves(condition)}))
    return Graph(nodes)


def attempts() -> st.SearchStrategy[Attempt]:
    return st.builds(
        Attempt,
        run_id=st.just("r"),
        queued_at=st.none() | st.integers(0, 3).map(lambda minutes: EPOCH + timedelta(minutes=minutes)),
    )


def changes() -> st.SearchStrategy[tuple[str, PipelineRef, object]]:
    states = st.none() | st.builds(RunState, st.sampled_from(State), attempts()) | st.just(Unreadable("rubbish"))
    consumed = st.dictionaries(
        st.sampled_from(PIPELINES).map(lambda pipeline: Target(pipeline, PARTITION)),
        st.builds(Consumed, st.integers(0, 40), attempts(), st.sampled_from((State.SUCCESS, State.FAILED))),
        max_size=3,
    )
    records = st.none() | st.builds(
        TriggerRecord,
        status=st.sampled_from(Status),
        sequence=st.just(1),
        action=st.just(Action.CREATE),
        run_id=st.just("r"),
        token=st.just("t"),
        wave=st.just(1),
        attempt=attempts().map(lambda attempt: attempt.queued_at),
        consumed=consumed,
    )
    pipelines = st.sampled_from(PIPELINES)
    return (
        st.tuples(st.just("state"), pipelines, states)
        | st.tuples(st.just("record"), pipelines, records)
        | st.tuples(st.just("hold"), pipelines, st.booleans())
    )


def apply(facts: Facts, kind: str, pipeline: PipelineRef, value: object, revision: int) -> Target:
    target = Target(pipeline, PARTITION)
    match kind, value:
        case "state", RunState() | Unreadable():
            facts.states[target] = SeenState(value, revision)
        case "state", _:
            facts.states.pop(target, None)
        case "record", TriggerRecord():
            facts.records[target] = SeenRecord(value, revision)
        case "record", _:
            facts.records.pop(target, None)
        case _, True:
            facts.holds[pipeline] = Hold(why="a test")
        case _:
            facts.holds.pop(pipeline, None)
    return target


@settings(max_examples=300, deadline=None)
@given(graphs(), st.lists(changes(), max_size=30))
def test_incremental_standings_are_those_of_deciding_anew(
    graph: Graph, sequence: list[tuple[str, PipelineRef, object]]
) -> None:
    facts = Facts()
    standings = Standings(graph, facts)
    for number, (kind, pipeline, value) in enumerate(sequence, 1):
        standings.refresh([apply(facts, kind, pipeline, value, number)])
        anew = Anew(graph, facts)
        for other in PIPELINES:
            target = Target(other, PARTITION)
            assert standings.standing(target) is anew.standing(target), target
            assert standings.decide(target).fires == decide(graph, anew, target).fires


@settings(max_examples=100, deadline=None)
@given(graphs(), graphs(), st.lists(changes(), max_size=15))
def test_another_graph_is_taken_over_whole(
    before: Graph, after: Graph, sequence: list[tuple[str, PipelineRef, object]]
) -> None:
    facts = Facts()
    standings = Standings(before, facts)
    for number, (kind, pipeline, value) in enumerate(sequence, 1):
        standings.refresh([apply(facts, kind, pipeline, value, number)])
    standings.replace_graph(after, set(facts.states) | set(facts.records))
    anew = Anew(after, facts)
    for pipeline in PIPELINES:
        target = Target(pipeline, PARTITION)
        assert standings.standing(target) is anew.standing(target), target


def test_a_completion_costs_only_what_it_touches() -> None:
    """A thousand chains: a completion in one of them is decided about in that one alone."""

    def graph(chains: int) -> Graph:
        return Graph(
            Node(Downstream(PipelineRef("default", f"d{number}"), leaf), {leaf: 0})
            for number in range(chains)
            for leaf in [Dependency(PipelineRef("default", f"u{number}"))]
        )

    decided = []
    for chains in (1, 1000):
        facts = Facts()
        standings = Standings(graph(chains), facts)
        target = Target(PipelineRef("default", "u0"), PARTITION)
        facts.states[target] = SeenState(RunState(State.SUCCESS, Attempt("r", EPOCH)), 1)
        decided.append([decision.target for decision in standings.refresh([target])])
    assert decided[0] == decided[1]
    assert len(decided[0]) == 2
