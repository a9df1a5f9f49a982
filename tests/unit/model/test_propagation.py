"""Propagation kept incrementally are those that deciding about everything anew would give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.model.assets.completions import AssetCompletion, Emission, completion_of
from coordinator.model.assets.names import asset_of
from coordinator.model.conditions import AtLeast, Condition, Dependency, On, leaves
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.deadline import AfterFirstInput
from coordinator.model.decide import Decision, decide
from coordinator.model.dependencies import Downstream, OnLate, Rerun, Settle
from coordinator.model.evaluation import all_inputs
from coordinator.model.graph import Graph, Node, SensorEdge
from coordinator.model.hold import Hold
from coordinator.model.items.whole import ItemTally, Standing, rows_of
from coordinator.model.loops import comes_of
from coordinator.model.order import GivenOrder, Order
from coordinator.model.partitions import (
    FanOut,
    FixedKey,
    Identity,
    Latest,
    Mapping,
    Offset,
    Period,
    Rollup,
    StartOf,
    Unit,
)
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import Attempt, RunState, State, Unreadable
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import Readiness, SeenOrder, SeenRecord, SeenState
from coordinator.model.waits import Completion, SensorRerun, Wait, WaitStatus
from tests.unit.model.facts import Facts

PIPELINES = [PipelineRef("default", f"p{number}") for number in range(8)]
ASSET = asset_of("default", "s3://lake/x")
PARTITION = "2026-11-20T00:00:00Z"
PARTITIONS = (PARTITION, "2026-11-20T01:00:00Z", "2026-11-21T00:00:00Z", "all")
EPOCH = datetime(2026, 11, 20, tzinfo=UTC)
MAPPINGS: tuple[Mapping, ...] = (
    Identity(),
    Identity(),
    StartOf(Period.DAY),
    Rollup(Period.DAY, Period.HOUR, wait=2),
    FanOut(Period.DAY, Period.HOUR),
    Offset(-1, Unit.DAY),
    FixedKey("all"),
    Latest(),
)


class Anew:
    """A view that works out by recursion what :class:`Propagation` keeps, as the design words it.

    :param heard_of: every target that has been decided about; what the newest partition is depends on it.
    """

    def __init__(self, graph: Graph, facts: Facts, heard_of: set[Target], now: datetime) -> None:
        self._graph = graph
        self._facts = facts
        self._heard_of = heard_of
        self._readiness: dict[Target, Readiness] = {}
        self.comes_of = partial(comes_of, graph, facts)
        self.now = now
        self.state, self.record, self.hold = facts.state, facts.record, facts.hold
        self.order, self.watermark = facts.order, facts.watermark
        self.sensors, self.runs_behind = facts.sensors, facts.runs_behind

    def readiness(self, target: Target) -> Readiness:
        if target not in self._readiness:
            self._readiness[target] = decide(self._graph, self, target).readiness
        return self._readiness[target]

    def items(self, whole: Target) -> Standing | None:
        rows = rows_of(self._facts, whole)
        return ItemTally(whole, rows, self._facts, self.readiness).standing() if rows is not None else None

    def gathered(self, dependency: Dependency, downstream: Target) -> list[Target]:
        assert isinstance(dependency.mapping, StartOf)
        return [
            target
            for target in self._known(dependency.upstream)
            if downstream.partition in dependency.mapping.downstreams(target.partition)
            and (self.state(target) or self.record(target) or self.readiness(target) is not Readiness.SETTLED)
        ]

    def newest(self, upstream: PipelineRef, *, without: Callable[[Target], bool] = lambda _: False) -> Target | None:
        completed = {
            target: seen.came_at
            for target, seen in self._facts.states.items()
            if target.pipeline == upstream and isinstance(seen.value, RunState) and seen.value.state.is_terminal
            if not without(target)
        }
        return min(completed, key=lambda target: (-completed[target], target.partition), default=None)

    def is_newest_partition(self, downstream: Target) -> bool:
        return downstream.partition == max(self._partitions(downstream.pipeline), key=order_of, default="")

    def is_coming_partition(self, downstream: Target) -> bool:
        newest = max(self._partitions(downstream.pipeline), key=order_of, default=None)
        coming = downstream.partition in self._coming(downstream.pipeline)
        return coming and (newest is None or order_of(newest) < order_of(downstream.partition))

    def _partitions(self, downstream: PipelineRef) -> set[str]:
        own = {target.partition for target in self._known(downstream) if self._has_key(target)}
        node = self._graph.node(downstream)
        assert node is not None
        known = set()
        for upstream in {leaf.upstream for leaf in node.leaves()}:
            for target in self._known(upstream):
                seen = self.state(target)
                ended = seen is not None and isinstance(seen.value, RunState) and seen.value.state.is_terminal
                if self._by_latest_alone(downstream):
                    known |= {target.partition} if ended else set()
                elif self._has_key(target) or self.readiness(target) is not Readiness.SETTLED:
                    known |= {one.partition for one in self._graph.dependents(target) if one.pipeline == downstream}
        return own | (known - self._coming(downstream))

    def _coming(self, downstream: PipelineRef) -> set[str]:
        node = self._graph.node(downstream)
        if node is None or not self._by_latest_alone(downstream):
            return set()
        upstreams = (target for leaf in node.leaves() for target in self._known(leaf.upstream))
        return {target.partition for target in upstreams if self.readiness(target) is Readiness.BUSY}

    def _by_latest_alone(self, downstream: PipelineRef) -> bool:
        node = self._graph.node(downstream)
        return node is not None and all(isinstance(leaf.mapping, Latest) for leaf in node.leaves())

    def _has_key(self, target: Target) -> bool:
        return any((self.state(target), self.record(target), self.order(target)))

    def _known(self, pipeline: PipelineRef) -> list[Target]:
        return [target for target in self._heard_of if target.pipeline == pipeline]


def order_of(partition: str) -> tuple[bool, str]:
    return partition != "all", partition


def conditions(upstreams: list[PipelineRef]) -> st.SearchStrategy[Condition]:
    leaf = st.builds(
        Dependency,
        st.sampled_from([*upstreams, *(one._replace(task="t") for one in upstreams if one != ASSET)]),
        st.sampled_from(On),
        st.sampled_from(MAPPINGS),
        st.sampled_from((True, True, False)),
        st.sampled_from((None, None, timedelta(hours=1))),
    ).filter(lambda one: one.upstream != ASSET or one.mapping != Latest())  # :class:`Anew` would ask itself for ever
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
            lambda of: st.integers(1, len(of)).map(lambda n: AtLeast(n, tuple(of)))
        ),
        max_leaves=5,
    )


@st.composite
def graphs(draw: st.DrawFn, *, asset: bool = False) -> Graph:
    """:param asset: whether pipelines may wait for :data:`ASSET`, too."""
    nodes = []
    for number, pipeline in enumerate(PIPELINES):
        if number and draw(st.booleans()):
            condition = draw(conditions([*PIPELINES[:number], *([ASSET] if asset else [])]))
            downstream = Downstream(
                pipeline,
                condition,
                rerun=draw(st.sampled_from(Rerun)),
                settle=draw(st.sampled_from(Settle)),
                deadline=draw(st.sampled_from((None, AfterFirstInput(timedelta(minutes=30))))),
                on_late=draw(st.sampled_from(OnLate)),
            )
            active_since = {leaf: draw(st.integers(0, 3)) for leaf in leaves(condition)}
            nodes.append(Node(downstream, active_since, dict.fromkeys(active_since, EPOCH + timedelta(minutes=30))))
    return Graph(nodes)


def attempts() -> st.SearchStrategy[Attempt]:
    return st.builds(
        Attempt,
        run_id=st.just("r"),
        queued_at=st.none() | st.integers(0, 3).map(lambda minutes: EPOCH + timedelta(minutes=minutes)),
    )


def targets() -> st.SearchStrategy[Target]:
    return st.builds(Target, st.sampled_from(PIPELINES), st.sampled_from(PARTITIONS))


def _task_of(target: Target) -> Target:
    return Target(target.pipeline._replace(task="t"), target.partition)


Change = tuple[str, Target, object]


def changes() -> st.SearchStrategy[Change]:
    observed = st.none() | st.integers(0, 100).map(lambda minutes: EPOCH + timedelta(minutes=minutes))
    states = (
        st.none() | st.builds(RunState, st.sampled_from(State), attempts(), observed) | st.just(Unreadable("rubbish"))
    )
    consumed = st.dictionaries(
        targets(),
        st.builds(Consumed, st.integers(0, 40), attempts(), st.sampled_from((State.SUCCESS, State.FAILED))),
        max_size=3,
    ).map(Consumption.of)
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
        order=st.sampled_from((0, 0, 30)),
        skipped=st.sampled_from((False, False, True)),
    )
    tasks = st.none() | st.builds(
        TaskState,
        st.sampled_from(State),
        st.builds(Attempt, st.just("r"), st.none(), st.integers(0, 3)),
        observed,
        run=attempts(),
        ended_at=observed,
    )
    orders = st.none() | st.builds(GivenOrder, st.sampled_from(Order))
    return (
        st.tuples(st.just("state"), targets(), states)
        | st.tuples(st.just("state"), targets().map(_task_of), tasks)
        | st.tuples(st.just("record"), targets(), records)
        | st.tuples(st.just("order"), targets(), orders)
        | st.tuples(st.just("hold"), targets(), st.booleans())
    )


def sensor_changes() -> st.SearchStrategy[Change]:
    """Waits that have passed, in the run ``r`` of any target, for any other one: downstream, upstream, or in a loop."""
    upstreams = targets() | targets().map(_task_of)
    completions = st.builds(Completion, st.integers(0, 20), st.just(State.SUCCESS), st.just("r"))
    waits = st.builds(
        Wait,
        st.just(WaitStatus.PASSED),
        upstreams,
        st.sampled_from(On),
        completion=completions,
        rerun=st.just(SensorRerun.CLEAR),
        below=st.none() | st.just(()) | st.just(("t",)),
    )
    return st.tuples(st.sampled_from(("sensor 1", "sensor 2")), targets(), st.none() | waits | waits)


def asset_changes() -> st.SearchStrategy[Change]:
    """Completions of the asset, emitted by runs of up to two targets, or by nobody; before or after these began."""
    moments = st.integers(0, 4).map(lambda minutes: EPOCH + timedelta(minutes=minutes))
    emissions = st.builds(
        lambda producer, since, lasted, told, silent: Emission(
            producer.pipeline, producer.partition, "r", since, since + lasted, told, told + 1, silent
        ),
        targets(),
        moments,
        st.sampled_from((timedelta(0), timedelta(minutes=1))),
        st.integers(0, 40),
        st.none() | moments,
    )
    completions = st.lists(emissions, min_size=1, max_size=2, unique_by=lambda one: one.producer).map(
        lambda found: completion_of("e", found)
    )
    of_asset = st.sampled_from(PARTITIONS).map(lambda partition: Target(ASSET, partition))
    return st.tuples(st.just("asset"), of_asset, st.none() | completions | completions)


def apply(facts: Facts, kind: str, target: Target, value: object, revision: int) -> list[Target]:
    """:returns: what is to be decided anew."""
    match kind, value:
        case "asset", _:
            seen = SeenState(value, revision) if isinstance(value, AssetCompletion) else None
            facts.produced.exchange(target, facts.states.pop(target, None), seen)
            if seen is not None:
                facts.states[target] = seen
        case "state", RunState() | Unreadable():
            facts.states[target] = SeenState(value, revision)
        case "state", _:
            facts.states.pop(target, None)
        case "record", TriggerRecord():
            facts.records[target] = SeenRecord(value, revision)
        case "record", _:
            facts.records.pop(target, None)
        case "sensor 1" | "sensor 2", Wait():
            facts.waits.put(WaitRef(target, "r", kind, -1), value, revision)
        case "sensor 1" | "sensor 2", _:
            facts.waits.delete(WaitRef(target, "r", kind, -1))
        case "order", GivenOrder():
            facts.orders[target] = SeenOrder(value, revision)
        case "order", _:
            facts.orders.pop(target, None)
        case _, True:
            facts.holds[target.pipeline] = Hold(why="a test")
            return [Target(target.pipeline, partition) for partition in PARTITIONS]
        case _:
            facts.holds.pop(target.pipeline, None)
            return [Target(target.pipeline, partition) for partition in PARTITIONS]
    return [target]


def refresh(propagation: Propagation, kind: str, touched: list[Target]) -> list[Decision]:
    """As the reconciler does."""
    if kind == "hold":  # matters to whatever is due
        touched += [target for target in propagation.unsettled() if target.pipeline == touched[0].pipeline]
    return (
        propagation.refresh((), recorded=touched)
        if kind in ("record", "sensor 1", "sensor 2")
        else propagation.refresh(touched)
    )


def assert_same(propagation: Propagation, anew: Anew, graph: Graph, heard_of: set[Target]) -> None:
    for target in heard_of:
        conditions = [f"{node.downstream.pipeline}: {node.downstream.condition}" for node in graph.nodes()]
        kept, worked_out = propagation.decide(target), decide(graph, anew, target)
        assert propagation.readiness(target) is anew.readiness(target), (target, conditions)
        if kept.evaluated is not None and worked_out.evaluated is not None:
            for one, other in zip(all_inputs(kept.evaluated), all_inputs(worked_out.evaluated), strict=True):
                assert one == other, (target, conditions)
        assert kept == worked_out, (target, conditions)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(graphs(), st.lists(changes(), max_size=30))
def test_incremental_decisions_are_those_of_deciding_anew(graph: Graph, sequence: list[Change]) -> None:
    facts = Facts()
    propagation = Propagation(graph, facts, now=EPOCH + timedelta(minutes=60))
    heard_of: set[Target] = set()
    for number, (kind, target, value) in enumerate(sequence, 1):
        decisions = refresh(propagation, kind, apply(facts, kind, target, value, number))
        heard_of |= {decision.target for decision in decisions}
        assert_same(propagation, Anew(graph, facts, heard_of, propagation.now), graph, heard_of)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(graphs(), st.lists(changes() | sensor_changes(), max_size=40))
def test_sensors_count_as_deciding_anew_says(without: Graph, sequence: list[Change]) -> None:
    """Sensors may wait in any direction. What they wait for in a circle is found, and does not count."""
    edges = [(one, other) for one in PIPELINES for other in (*PIPELINES, *(up._replace(task="t") for up in PIPELINES))]
    graph = without.with_sensors({SensorEdge(one, other, same_partition=False): 1 for one, other in edges})
    facts = Facts()
    propagation = Propagation(graph, facts, now=EPOCH + timedelta(minutes=60))
    heard_of: set[Target] = set()
    for number, (kind, target, value) in enumerate(sequence, 1):
        decisions = refresh(propagation, kind, apply(facts, kind, target, value, number))
        heard_of |= {decision.target for decision in decisions}
        assert_same(propagation, Anew(graph, facts, heard_of, propagation.now), graph, heard_of)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(graphs(asset=True), st.lists(changes() | asset_changes(), max_size=40), st.booleans())
def test_assets_count_as_deciding_anew_says(without: Graph, sequence: list[Change], is_known: bool) -> None:
    """Any pipeline may emit an asset that any waits for, itself too. :param is_known: before its first event."""
    everything = {SensorEdge(ASSET, one, same_partition=False): 1 for one in PIPELINES}
    graph = without.with_sensors(everything if is_known else {})
    facts = Facts()
    propagation = Propagation(graph, facts, now=EPOCH + timedelta(minutes=60))
    heard_of: set[Target] = set()
    for number, (kind, target, value) in enumerate(sequence, 1):
        touched = apply(facts, kind, target, value, number)
        if kind == "asset" and not is_known:
            graph = without.with_sensors(facts.produced.edges())
            propagation.exchange_graph(graph, {*facts.states, *facts.records, *facts.orders})
        decisions = refresh(propagation, kind, touched)
        heard_of |= {decision.target for decision in decisions}
        assert_same(propagation, Anew(graph, facts, heard_of, propagation.now), graph, heard_of)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(graphs(), graphs(), st.lists(changes(), max_size=15))
def test_another_graph_is_taken_over_whole(before: Graph, after: Graph, sequence: list[Change]) -> None:
    facts = Facts()
    propagation = Propagation(before, facts, now=EPOCH + timedelta(minutes=60))
    for number, (kind, target, value) in enumerate(sequence, 1):
        propagation.refresh(apply(facts, kind, target, value, number))
    decisions = propagation.replace_graph(after, set(facts.states) | set(facts.records) | set(facts.orders))
    heard_of = {decision.target for decision in decisions}
    assert_same(propagation, Anew(after, facts, heard_of, propagation.now), after, heard_of)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(graphs(), graphs(), st.lists(changes(), max_size=15))
def test_another_graph_is_exchanged_for_by_what_is_different_in_it(
    before: Graph, after: Graph, sequence: list[Change]
) -> None:
    facts = Facts()
    propagation = Propagation(before, facts, now=EPOCH + timedelta(minutes=60))
    for number, (kind, target, value) in enumerate(sequence, 1):
        refresh(propagation, kind, apply(facts, kind, target, value, number))
    known = set(facts.states) | set(facts.records) | set(facts.orders)
    propagation.exchange_graph(after, known)
    heard_of = {decision.target for decision in propagation.refresh()}
    heard_of |= known | {dependent for target in known for dependent in propagation.dependents(target)}
    assert_same(propagation, Anew(after, facts, heard_of, propagation.now), after, heard_of)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(graphs(), graphs(), *[st.lists(changes(), max_size=most) for most in (15, 15, 5)], st.integers(0, 20))
def test_a_listing_ends_as_if_everything_in_it_had_been_decided_about(
    before: Graph, after: Graph, seen: list[Change], missed: list[Change], meanwhile: list[Change], pieces: int
) -> None:
    """What is plainly settled is left undecided, whatever came in the gap, and while the listing is gone through."""
    facts, now = Facts(), EPOCH + timedelta(minutes=60)
    propagation = Propagation(before, facts, now=now)
    for number, (kind, target, value) in enumerate(seen, 1):
        refresh(propagation, kind, apply(facts, kind, target, value, number))
    known = set(facts.states) | set(facts.records) | set(facts.orders)
    for number, (kind, target, value) in enumerate(missed, 20):
        apply(facts, kind, target, value, number)
    present = set(facts.states) | set(facts.records) | set(facts.orders)
    propagation.exchange_graph(after, [*(known - present), *present], everything=True)
    for _ in range(pieces):
        propagation.decide_next()
    for number, (kind, target, value) in enumerate(meanwhile, 40):
        touched = apply(facts, kind, target, value, number)
        held = [*touched, *propagation.unsettled()] if kind == "hold" else []
        propagation.touch(held or (touched if kind != "record" else ()), recorded=touched)
    propagation.refresh()
    anew = Propagation(after, facts, now=now)
    present = known | set(facts.states) | set(facts.records) | set(facts.orders)
    anew.refresh(present | {dependent for target in present for dependent in after.dependents(target)})
    assert {*propagation.unsettled()} == {*anew.unsettled()}
    for target in [Target(pipeline, partition) for pipeline in PIPELINES for partition in PARTITIONS]:
        assert propagation.decide(target) == anew.decide(target)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(graphs(), st.lists(changes(), max_size=20))
def test_time_changes_a_decision_only_when_it_said_so(graph: Graph, sequence: list[Change]) -> None:
    facts = Facts()
    propagation = Propagation(graph, facts, now=EPOCH)
    decisions = []
    for number, (kind, target, value) in enumerate(sequence, 1):
        decisions += refresh(propagation, kind, apply(facts, kind, target, value, number))
    heard_of = {decision.target for decision in decisions}
    before = {target: propagation.decide(target) for target in heard_of}
    for minutes in range(0, 200, 15):
        propagation.now = EPOCH + timedelta(minutes=minutes)
        due = [t for t, decision in before.items() if decision.recheck_at and decision.recheck_at <= propagation.now]
        heard_of |= {decision.target for decision in propagation.refresh(due)}
        before = {target: propagation.decide(target) for target in heard_of}
        assert_same(propagation, Anew(graph, facts, heard_of, propagation.now), graph, heard_of)


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
        propagation = Propagation(graph(chains), facts)
        target = Target(PipelineRef("default", "u0"), PARTITION)
        facts.states[target] = SeenState(RunState(State.SUCCESS, Attempt("r", EPOCH)), 1)
        decided.append([decision.target for decision in propagation.refresh([target])])
    assert decided[0] == decided[1]
    assert len(decided[0]) == 2
