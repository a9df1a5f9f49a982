"""Admission: never more in flight than allowed, nobody forgotten, and whose turn it is.

The core by itself, and in the world on virtual time, where the limit is checked at every step against the records.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.controller.dispatch.admission import Admission, pipeline_limits
from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.controller.dispatch.slots import Line, StartRate
from coordinator.controller.queue.work_queue import Priority
from coordinator.model.conditions import Dependency
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness
from coordinator.runners.port import NotSent, Outcome, Permit, StartRequest
from coordinator.store.port import Put
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.simulated_airflow import DirectRunner
from tests.worlds.world import PARTITION, target

pytestmark = pytest.mark.promise("slow")

DAY = datetime(2026, 11, 19, tzinfo=UTC)
HOURS = [format_instant(DAY + timedelta(hours=hour)) for hour in range(50)]
D, E = PipelineRef("default", "D"), PipelineRef("default", "E")


def line_of(*partitions: str, fresh: tuple[str, ...] = ()) -> Iterator[str]:
    line = Line()
    for partition in (*partitions, *fresh):
        line.add(Target(D, partition), Priority.LIVE if partition in fresh else Priority.CATCHUP)
    while line:
        yield line.pop()[0].partition


def test_a_backlog_goes_the_oldest_first() -> None:
    assert list(line_of("c", "a", "d", "b")) == ["a", "b", "c", "d"]


def test_what_has_just_become_due_is_not_starved_by_the_backlog() -> None:
    assert list(line_of(*HOURS[:4], fresh=(HOURS[8], HOURS[9]))) == [
        *(HOURS[9], HOURS[0]),
        *(HOURS[8], HOURS[1]),
        *HOURS[2:4],
    ]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=40))
def test_a_line_gives_back_each_once_and_starves_nobody(steps: list[tuple[int, bool, bool]]) -> None:
    """However many newer ones come, the oldest waits for one other at most."""
    line, waiting = Line(), set[Target]()
    passed_over = 0
    for number, fresh, take in steps:
        one = Target(D, HOURS[number])
        if one in waiting:
            line.remove(one)
            waiting.discard(one)
        else:
            line.add(one, Priority.LIVE if fresh else Priority.CATCHUP)
            waiting.add(one)
        if take and waiting:
            taken, _ = line.pop()
            passed_over = 0 if taken == min(waiting) else passed_over + 1
            assert passed_over <= 1
            waiting.discard(taken)
        assert len(line) == len(waiting)


def test_a_rate_lets_a_sixth_of_a_minute_go_at_once_and_then_one_by_one() -> None:
    rate = StartRate(12)
    starts, now = [], 100.0
    for _ in range(5):
        now = max(now, rate.next_at())
        rate.take(now)
        starts.append(now - 100.0)
    assert starts == [0.0, 0.0, 5.0, 10.0, 15.0]


def test_a_rate_below_one_in_ten_seconds_lets_one_go() -> None:
    rate = StartRate(1)
    rate.take(0.0)
    assert not rate.may_start(59.9)
    assert rate.may_start(60.0)


def test_a_rate_goes_on_from_what_a_predecessor_has_started() -> None:
    rate = StartRate(12)
    rate.recall([1.0, 2.0, 70.0, -5.0], now=100.0)  # one is long past, one has a clock that is ahead
    assert rate.next_at() == pytest.approx(100.0 + 5.0 - 2.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["want", "begin", "begin unseen", "answered", "end", "give up"])),
        max_size=80,
    ),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([2, 100]),
)
def test_gates_never_hold_too_many_and_forget_nobody(
    steps: list[tuple[int, str]], of_pipeline: int | None, of_environment: int | None, slots: int
) -> None:
    limits = Admission(slots=slots, max_runs_in_flight=of_environment)
    leaf = Dependency(PipelineRef("default", "u"))
    graph = Graph([Node(Downstream(one, leaf, max_in_flight=of_pipeline), {leaf: 0}) for one in (D, E)])
    limits.set_limits(pipeline_limits(graph, "default"))
    targets = [Target(pipeline, partition) for pipeline in (D, E) for partition in HOURS[:3]]
    waiting, let_in, in_flight, with_slot = set[Target](), set[Target](), set[Target](), set[Target]()

    def note(one: Target) -> None:
        obstacles = frozenset([Obstacle.IN_FLIGHT] if one in in_flight else [])
        limits.note(Decision(one, Readiness.BUSY, obstacles=obstacles))

    for number, what in steps:
        one = targets[number]
        if what == "want" and one not in in_flight:
            entered = limits.enter(one, (Priority.LIVE, Priority.CATCHUP)[number % 2], now=0.0)
            assert entered or one not in let_in
            (let_in if entered else waiting).add(one)
        elif what.startswith("begin") and one in let_in:
            let_in.discard(one)
            in_flight.add(one)
            with_slot.add(one)
            if what == "begin":  # else etcd gave no answer, and the watch brings the record
                limits.began(one)
        elif what == "answered" and one in in_flight:
            limits.release(one)
            with_slot.discard(one)
        elif what == "end" and one in in_flight:
            in_flight.discard(one)
            limits.release(one)
            with_slot.discard(one)
        elif what == "give up":
            limits.leave(one)
            waiting.discard(one)
            let_in.discard(one)
        if what != "give up":  # nothing need happen to it after that
            note(one)
        for admitted, _ in limits.admit(0.0):
            waiting.remove(admitted)
            let_in.add(admitted)
        inside = let_in | in_flight
        of_each = [sum(one.pipeline == pipeline for one in inside) for pipeline in (D, E)]
        assert all(of_pipeline is None or count <= of_pipeline for count in of_each)
        assert of_environment is None or len(inside) <= of_environment
        assert len(let_in | with_slot) <= slots
        assert waiting == {one for one in targets if limits.knows(one) and one not in let_in}
        for one in waiting:
            assert not limits._waiting[one].has_room(0.0), "whoever waits, waits at a gate that is full"


def test_a_publication_forgets_nobody_who_waits() -> None:
    """Whoever waits at a limit that stays keeps the place; at one that is new or gone, it has to enter again."""
    limits = Admission(slots=10, max_runs_in_flight=1)
    limits.set_limits({D: 1})
    waiting = [Target(D, partition) for partition in HOURS[:3]] + [Target(E, HOURS[0])]
    assert [limits.enter(one, Priority.CATCHUP, now=0.0) for one in waiting] == [True, False, False, False]
    assert limits.set_limits({D: 2}) == []
    assert all(map(limits.knows, waiting))
    again = limits.set_limits({D: 2, E: 1})
    assert again == [Target(E, HOURS[0])]
    again = limits.set_limits({E: 1})
    assert sorted(again) == sorted(waiting[:3])
    assert not any(map(limits.knows, again))


# -- in the world ------------------------------------------------------------------------------------------------


def in_flight(world: SimulatedWorld, *pipelines: str) -> int:
    """As the records and states in etcd say."""
    in_flight = 0
    for name in pipelines:
        for partition in HOURS:
            record, state = world.record(name, partition=partition), world.state(name, partition=partition)
            if record is None or record.status not in (Status.INTENT, Status.SENT):
                continue
            ended = isinstance(state, RunState) and state.state.is_terminal
            in_flight += not (ended and record.status is Status.SENT)
    return in_flight


def fifty_due(entry: dict[str, Any], **limits: Any) -> SimulatedWorld:
    """A has completed in fifty partitions while no watcher ran, and D waits for it."""
    world = SimulatedWorld(**limits)
    world.dependencies({"D": {"upstream": "A", **entry}})
    world.stop_watcher()
    for partition in HOURS:
        world.trigger("A", partition=partition)
        world.run("A", partition=partition)
    return world


def check_at_most(world: SimulatedWorld, limit: int) -> list[int]:
    seen: list[int] = []

    def check() -> None:
        seen.append(in_flight(world, "D"))
        assert seen[-1] <= limit

    world.checks.append(check)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("of", ["pipeline", "environment"])
def test_fifty_due_partitions_go_three_at_a_time_also_across_crashes(of: str) -> None:
    entry = {"max_in_flight": 3} if of == "pipeline" else {}
    environments = {"default": EnvironmentLimits(max_runs_in_flight=3)} if of == "environment" else {}
    world = fifty_due(entry, environment_limits=environments)
    seen = check_at_most(world, 3)
    assert PARTITION in HOURS
    world.kill_before_request("D")  # in that partition, between intent and request
    world.start_watcher()
    world.settle()
    assert world.watcher is None
    for ticks in (7, 31, 60):
        world.start_watcher()
        for _ in range(ticks):
            world.tick_once()
    world.start_watcher()
    world.settle()
    assert [world.runs("D", partition=partition) for partition in HOURS] == [1] * 50
    assert max(seen) == 3, "all places were used"


def test_the_oldest_goes_first() -> None:
    world = fifty_due({"max_in_flight": 1})
    world.start_watcher()
    world.settle()
    assert [partition for dag_id, partition in world.airflows["default"].effects if dag_id == "D"] == HOURS


def test_a_fresh_partition_does_not_wait_behind_the_backlog() -> None:
    world = fifty_due({"max_in_flight": 1})
    world.by_hand("D")
    world.start_watcher()
    world.settle()
    fresh = format_instant(DAY + timedelta(days=9))
    world.trigger("A", partition=fresh)
    world.run("A", partition=fresh)
    world.settle()
    order = [HOURS[0], fresh, HOURS[1]]
    for partition in order:
        assert world.runs("D", partition=partition) == 0
        world.run("D", partition=partition)
        world.settle()
    assert [partition for dag_id, partition in world.airflows["default"].effects if dag_id == "D"][:3] == order


def test_no_more_start_in_a_minute_than_allowed_also_across_a_crash() -> None:
    world = fifty_due({}, environment_limits={"default": EnvironmentLimits(max_starts_per_minute=12)})
    world.start_watcher()
    world.live_until(world.clock.now() + timedelta(seconds=61))
    world.stop_watcher()
    world.start_watcher()
    for _ in range(10):
        world.settle()
    assert [world.runs("D", partition=partition) for partition in HOURS] == [1] * 50
    starts = sorted(
        run.queued_at
        for partition in HOURS
        for run in world.all_runs("D", partition=partition)
        if run.queued_at is not None
    )
    for number, start in enumerate(starts):
        within = [one for one in starts[number:] if one - start < timedelta(seconds=59)]
        assert len(within) <= 12 + 2
    assert starts[-1] - starts[0] < timedelta(seconds=50 * 5 + 30), "and not much slower, though a lease had to end"


def test_what_a_person_orders_counts_and_waits_too() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "A", "max_in_flight": 1}})
    for partition in HOURS[:2]:
        world.trigger("A", partition=partition)
        world.run("A", partition=partition)
        world.settle()
    world.by_hand("D")
    for partition in HOURS[:2]:
        order = dump_order(GivenOrder(Order.RERUN, who="it"))
        world.write(Put(world.keys.order(target("D", partition)), order))
        world.settle()
    assert [world.requests("D", partition=partition) for partition in HOURS[:2]] == [2, 1]
    world.run("D", partition=HOURS[0])
    world.settle()
    assert [world.requests("D", partition=partition) for partition in HOURS[:2]] == [2, 2]


def test_a_run_by_hand_in_one_partition_keeps_no_place_from_others() -> None:
    """D was started by hand where it is due: it waits for that run, and others of the pipeline go on."""
    world = fifty_due({"max_in_flight": 1})
    world.by_hand("D")
    world.trigger("D", partition=HOURS[0], run_id="manual")
    world.start("D", partition=HOURS[0], run_id="manual")
    world.start_watcher()
    world.settle()
    assert world.requests("D", partition=HOURS[0]) == 0
    assert world.requests("D", partition=HOURS[1]) == 1


def test_a_limit_that_changes_holds_at_once_and_lets_go_at_once() -> None:
    world = fifty_due({"max_in_flight": 1})
    world.by_hand("D")
    world.start_watcher()
    world.settle()
    assert in_flight(world, "D") == 1
    world.dependencies({"D": {"upstream": "A", "max_in_flight": 4}})
    assert in_flight(world, "D") == 4
    world.dependencies({"D": {"upstream": "A", "max_in_flight": 2}})
    for partition in HOURS[:3]:
        world.run("D", partition=partition)
        world.settle()
    assert in_flight(world, "D") == 2
    world.dependencies({"D": "A"})
    assert in_flight(world, "D") == 47


def test_publishing_something_else_keeps_everybody_who_waits_at_a_limit() -> None:
    world = fifty_due({"max_in_flight": 3})
    world.by_hand("D")
    world.start_watcher()
    world.settle()
    assert in_flight(world, "D") == 3
    world.dependencies({"D": {"upstream": "A", "max_in_flight": 3}, "Z": "Y"})
    before = world.clock.seconds
    for number in range(47):
        world.run(
            "D", partition=next(one for one in HOURS if world.all_runs("D", partition=one) and is_waiting(world, one))
        )
        while in_flight(world, "D") < min(3, 49 - number):
            world.tick_once()
    assert world.clock.seconds - before < 60, "each starts as soon as there is a place, not with the next review"


def is_waiting(world: SimulatedWorld, partition: str) -> bool:
    runs = world.all_runs("D", partition=partition)
    return bool(runs) and not runs[0].state.is_terminal


def test_one_limited_pipeline_holds_back_no_other() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "A", "max_in_flight": 1}, "E": "A"})
    world.by_hand("D", "E")
    for partition in HOURS[:5]:
        world.trigger("A", partition=partition)
        world.run("A", partition=partition)
    world.settle()
    assert (in_flight(world, "D"), in_flight(world, "E")) == (1, 5)


def test_who_waits_at_a_full_gate_keeps_nobody_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has failed last: E's request was never sent, and E is not due any more. D's second partition
    waits until its first has ended, which no passing of time brings about."""
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "A", "max_in_flight": 1}, "E": "X"})
    world.by_hand("D", "A", "X", "E")
    for name, hour in (("A", HOURS[0]), ("A", HOURS[1]), ("X", HOURS[0])):
        world.trigger(name, partition=hour)
        world.start(name, partition=hour)
    world.finish("A", partition=HOURS[0])
    world.settle()
    world.start("D", partition=HOURS[0])
    start = DirectRunner.start

    def does_not_leave(self: DirectRunner, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        if request.dag_id == "E":
            raise NotSent("connection refused")
        return start(self, request, permit=permit)

    with monkeypatch.context() as patched:
        patched.setattr(DirectRunner, "start", does_not_leave)
        world.finish("X", partition=HOURS[0])
        assert world.watcher is not None
        dispatcher = world.watcher.dispatchers.get("default")
        assert dispatcher is not None
        world.settle_until(lambda: dispatcher.failures > 0, "E's request has failed")
    world.clear("X", partition=HOURS[0])
    world.start("X", partition=HOURS[0])
    world.settle()
    assert dispatcher.failures > 0
    world.finish("A", partition=HOURS[1])
    world.settle()  # fails where it never comes to rest
    assert dispatcher.admission.waiting == 1
    world.finish("D", partition=HOURS[0])
    world.settle()
    assert [world.requests("D", partition=hour) for hour in HOURS[:2]] == [1, 1]
