"""What became due while no watcher led is made up for as each pipeline's ``catchup`` says, whatever dies meanwhile.

Played by the real reconciler on virtual time. An absence lasts two hours; what completes in the last minute before a
watcher leads counts as live.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.controller.leading import catching_up
from coordinator.controller.writes import RETRY_AFTER
from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.partitions.instants import format_instant
from coordinator.store.port import Committed, Put, StoreUnavailable, Transaction
from tests.worlds.simulated import SimulatedWorld, StandStill
from tests.worlds.world import target

DAY = datetime(2026, 11, 20, tzinfo=UTC)
HOURS = [format_instant(DAY + timedelta(hours=hour)) for hour in range(6)]
MISSED, LIVE = HOURS[:4], HOURS[4]
LONG = timedelta(hours=2)


def complete(world: SimulatedWorld, name: str, *partitions: str) -> None:
    for partition in partitions:
        world.trigger(name, partition=partition)
        world.run(name, partition=partition)


def runs(world: SimulatedWorld, name: str, partitions: list[str] = HOURS) -> list[int]:
    return [world.runs(name, partition=partition) for partition in partitions]


def skipped(world: SimulatedWorld, name: str) -> list[str]:
    records = {partition: world.record(name, partition=partition) for partition in HOURS}
    return [partition for partition, record in records.items() if record is not None and record.skipped]


def absent(world: SimulatedWorld, happens: Callable[[], None], *, then: timedelta = LONG) -> None:
    """No watcher is there while this happens, and for so long after it."""
    world.stop_watcher()
    world.live_until(world.clock.now() + LONG)
    happens()
    world.live_until(world.clock.now() + then)
    world.start_watcher()
    world.settle()


def missed(document: dict[str, Any], *partitions: str, then: timedelta = LONG) -> SimulatedWorld:
    """R completes in these partitions while no watcher is there."""
    world = SimulatedWorld()
    world.dependencies(document)
    absent(world, lambda: complete(world, "R", *(partitions or MISSED)), then=then)
    return world


@pytest.mark.parametrize(
    ("catchup", "expected"), [("all", [1, 1, 1, 1]), ("latest", [0, 0, 0, 1]), ("none", [0, 0, 0, 0])]
)
def test_each_policy_makes_up_for_what_it_says(catchup: str, expected: list[int]) -> None:
    world = missed({"D": {"upstream": "R", "catchup": catchup}})
    assert runs(world, "D", MISSED) == expected
    assert [partition not in skipped(world, "D") for partition in MISSED] == [bool(run) for run in expected]
    assert world.watcher is not None
    assert world.watcher.reconciler.counters.snapshot()["skipped_catching_up"] == expected.count(0)
    for partition in skipped(world, "D"):
        record = world.record("D", partition=partition)
        assert record is not None
        assert record.last_error == f"skipped: it was missed while no watcher led, and catchup is {catchup}"
    complete(world, "R", LIVE)
    world.settle()
    assert runs(world, "D", [LIVE]) == [1], "what becomes due live is started"


@pytest.mark.parametrize("catchup", ["latest", "none"])
def test_what_completed_during_a_failover_was_not_missed(catchup: str) -> None:
    world = missed({"D": {"upstream": "R", "catchup": catchup}}, then=timedelta(seconds=50))
    assert runs(world, "D", MISSED) == [1, 1, 1, 1]


@pytest.mark.parametrize("catchup", ["latest", "none"])
def test_one_that_does_not_say_when_it_completed_was_not_missed(catchup: str) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": catchup}})

    def happens() -> None:
        for partition in MISSED:
            world.write(Put(world.keys.state(target("R", partition)), b"success"))

    absent(world, happens)
    assert runs(world, "D", MISSED) == [1, 1, 1, 1]


@pytest.mark.parametrize("catchup", ["latest", "none"])
def test_what_waited_under_a_leader_was_not_missed(catchup: str) -> None:
    """Held, or behind a limit: it became due live, and goes on when a watcher comes back after hours."""
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": catchup}, "E": {"upstream": "R", "max_in_flight": 1}})
    world.hold("D")
    complete(world, "R", *MISSED)
    world.settle()
    absent(world, lambda: None)
    world.release("D")
    world.settle()
    assert runs(world, "D", MISSED) == [1, 1, 1, 1]


def test_what_waits_for_a_limit_is_not_missed_by_a_successor() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": "none", "max_in_flight": 1}})
    world.by_hand("D")
    complete(world, "R", *MISSED)
    world.settle()
    absent(world, lambda: None)
    world.by_itself("D")
    world.settle()
    assert runs(world, "D", MISSED) == [1, 1, 1, 1]


def test_a_missed_one_that_is_held_is_given_up_all_the_same() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": "latest"}})
    world.hold("D")
    absent(world, lambda: complete(world, "R", *MISSED))
    world.release("D")
    world.settle()
    assert runs(world, "D", MISSED) == [0, 0, 0, 1]


@pytest.mark.parametrize("catchup", ["latest", "none"])
def test_reruns_are_none_of_its_business(catchup: str) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": catchup}})
    complete(world, "R", *MISSED)
    world.settle()

    def rerun() -> None:
        for partition in MISSED:
            world.clear("R", partition=partition)
            world.run("R", partition=partition)

    absent(world, rerun)
    assert runs(world, "D", MISSED) == [2, 2, 2, 2]


def test_what_was_started_by_hand_meanwhile_is_a_rerun() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": "none"}})
    world.by_hand("D")

    def happens() -> None:
        complete(world, "D", HOURS[0])
        complete(world, "R", HOURS[0], HOURS[1])

    absent(world, happens)
    world.by_itself("D")
    world.settle()
    assert runs(world, "D", HOURS[:2]) == [2, 0]


def test_an_order_starts_what_was_given_up_and_starts_what_was_missed() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": "none"}})

    def order(partition: str) -> None:
        world.write(Put(world.keys.order(target("D", partition)), dump_order(GivenOrder(Order.RERUN, who="it"))))

    def happens() -> None:
        complete(world, "R", *MISSED)
        order(HOURS[1])

    absent(world, happens)
    assert runs(world, "D", MISSED) == [0, 1, 0, 0]
    order(HOURS[0])
    world.settle()
    assert runs(world, "D", MISSED) == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("a", "d", "of_a", "of_d"),
    [
        ("all", "latest", [1, 1, 1, 1], [0, 0, 0, 1]),
        ("latest", "all", [0, 0, 0, 1], [0, 0, 0, 1]),
        ("latest", "latest", [0, 0, 0, 1], [0, 0, 0, 1]),
        ("none", "all", [0, 0, 0, 0], [0, 0, 0, 0]),
        ("all", "none", [1, 1, 1, 1], [0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("shape", ["diamond", "chain"])
def test_what_is_due_for_what_was_missed_was_missed_itself(
    shape: str, a: str, d: str, of_a: list[int], of_d: list[int]
) -> None:
    """D waits for A, which is due, and in the diamond for R too."""
    upstream = ["A", "R"] if shape == "diamond" else "A"
    world = missed({"A": {"upstream": "R", "catchup": a}, "D": {"upstream": upstream, "catchup": d}})
    assert runs(world, "A", MISSED) == of_a
    assert runs(world, "D", MISSED) == of_d


def test_what_is_no_longer_due_behind_one_given_up_is_not_given_up_itself() -> None:
    """A person who orders A later sees D follow: nobody has passed over D."""
    world = missed({"A": {"upstream": "R", "catchup": "none"}, "D": {"upstream": "A", "catchup": "none"}})
    assert (skipped(world, "A"), skipped(world, "D")) == (MISSED, [])
    world.write(Put(world.keys.order(target("A", HOURS[0])), dump_order(GivenOrder(Order.RERUN, who="it"))))
    world.settle()
    assert (runs(world, "A", MISSED), runs(world, "D", MISSED)) == ([1, 0, 0, 0], [1, 0, 0, 0])


def test_what_is_due_behind_a_running_upstream_was_not_missed() -> None:
    """R completed long ago, and A, which D needs as well, is running when the watcher comes: D becomes due live."""
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": ["R", "A"], "catchup": "none"}})
    world.by_hand("A")

    def happens() -> None:
        complete(world, "R", HOURS[0])
        world.trigger("A", partition=HOURS[0])
        world.start("A", partition=HOURS[0])

    absent(world, happens)
    assert skipped(world, "D") == []
    world.finish("A", partition=HOURS[0])
    world.settle()
    assert runs(world, "D", [HOURS[0]]) == [1]


def test_a_day_whose_last_hour_was_missed_was_missed() -> None:
    """The hours before it were seen by a leader: the newest completion counts."""
    hours = [format_instant(DAY + timedelta(hours=hour)) for hour in range(24)]
    world = SimulatedWorld()
    rollup = {"mapper": "rollup", "window": "day"}
    world.dependencies({"D": {"upstream": {"pipeline": "R", "partition": rollup}, "catchup": "none"}})
    complete(world, "R", *hours[:23])
    world.settle()
    absent(world, lambda: complete(world, "R", hours[23]))
    assert runs(world, "D", [HOURS[0]]) == [0]
    assert skipped(world, "D") == [HOURS[0]]


class Dying:
    """A store whose process is killed at its nth write of a trigger record: before it, or after."""

    def __init__(self, world: SimulatedWorld, *, writes: int, after: bool) -> None:
        assert world.watcher is not None
        store = world.watcher._store
        commit, left = store.commit, itertools.count(1)

        def dying(transaction: Transaction) -> Committed:
            counts = any("/trigger/" in operation.key for operation in transaction.then)
            dies = counts and next(left) == writes
            if dies and not after:
                self._die(world)
            answer = commit(transaction)
            if dies:
                self._die(world)
            return answer

        store.commit = dying  # type: ignore[method-assign]

    def _die(self, world: SimulatedWorld) -> None:
        world.watcher = None
        raise StandStill


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("writes", range(1, 9))
def test_a_successor_comes_to_the_same_result_wherever_it_takes_over(writes: int, after: bool) -> None:
    """R -> A (latest) -> D (latest), R -> D; E = none. One absence, two watchers, and a third completion live."""
    world = SimulatedWorld()
    world.dependencies(
        {
            "A": {"upstream": "R", "catchup": "latest"},
            "D": {"upstream": ["A", "R"], "catchup": "latest"},
            "E": {"upstream": "R", "catchup": "none"},
        }
    )
    world.stop_watcher()
    world.live_until(world.clock.now() + LONG)
    complete(world, "R", *MISSED)
    world.live_until(world.clock.now() + LONG)
    world.start_watcher()
    Dying(world, writes=writes, after=after)
    with contextlib.suppress(StandStill):
        world.settle()
    assert world.watcher is None, "it died in the middle"
    world.live_until(world.clock.now() + LONG)
    world.start_watcher()
    world.settle()
    assert (runs(world, "A", MISSED), runs(world, "D", MISSED)) == ([0, 0, 0, 1], [0, 0, 0, 1])
    assert runs(world, "E", MISSED) == [0, 0, 0, 0]
    assert [world.requests(name, partition=HOURS[3]) for name in "AD"] == [1, 1]
    complete(world, "R", LIVE)
    world.settle()
    assert [world.runs(name, partition=LIVE) for name in "ADE"] == [1, 1, 1]


def test_a_long_list_is_given_up_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces the world goes on: what a person orders meanwhile is not given up."""
    monkeypatch.setattr(catching_up, "PIECE", 1)
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": "latest"}})
    world.stop_watcher()
    world.live_until(world.clock.now() + LONG)
    complete(world, "R", *MISSED)
    world.live_until(world.clock.now() + LONG)
    world.start_watcher()
    while not skipped(world, "D"):
        world.tick_once()
    assert skipped(world, "D") == MISSED[:1]
    assert runs(world, "D", MISSED) == [0, 0, 0, 0]
    world.write(Put(world.keys.order(target("D", HOURS[2])), dump_order(GivenOrder(Order.RERUN, who="it"))))
    world.settle()
    assert runs(world, "D", MISSED) == [0, 0, 1, 1]
    assert skipped(world, "D") == MISSED[:2]


def test_etcd_without_an_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": "latest"}})
    world.stop_watcher()
    world.live_until(world.clock.now() + LONG)
    complete(world, "R", *MISSED)
    world.live_until(world.clock.now() + LONG)
    world.start_watcher()
    assert world.watcher is not None
    commit, failures = world.watcher._store.commit, [3]

    def unsure(transaction: Transaction) -> Committed:
        if any("/trigger/" in operation.key for operation in transaction.then) and failures[0]:
            failures[0] -= 1
            raise StoreUnavailable("no answer")
        return commit(transaction)

    monkeypatch.setattr(world.watcher._store, "commit", unsure)
    while failures == [3]:
        world.watcher.turn()
    pause = (world.watcher.reconciler.wake_at() or 0.0) - world.clock.seconds
    assert pause == RETRY_AFTER, "it does not run hot meanwhile"
    world.settle()
    assert failures == [0]
    assert runs(world, "D", MISSED) == [0, 0, 0, 1]


@pytest.mark.promise("downtime")
def test_what_was_given_up_though_the_answer_was_lost_holds_up_nothing() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "R", "catchup": "latest"}, "E": "R"})
    world.stop_watcher()
    world.live_until(world.clock.now() + LONG)
    complete(world, "R", *MISSED)
    world.live_until(world.clock.now() + LONG)
    world.start_watcher()
    assert world.watcher is not None
    store = world.watcher._store
    commit = store.commit

    def loses_the_answer(transaction: Transaction) -> Committed:
        written = commit(transaction)
        if any("/trigger/" in operation.key for operation in transaction.then):
            store.commit = commit  # type: ignore[method-assign]
            raise StoreUnavailable("no answer")
        return written

    store.commit = loses_the_answer  # type: ignore[method-assign]
    world.settle()
    assert store.commit == commit, "an answer was lost"
    assert runs(world, "D", MISSED) == [0, 0, 0, 1]
    assert runs(world, "E", MISSED) == [1, 1, 1, 1]


def test_what_came_between_two_absences_and_was_started_does_not_count_as_the_latest() -> None:
    """Two absences, one after the other: each leaves its newest."""
    world = missed({"D": {"upstream": "R", "catchup": "latest"}}, *HOURS[:2])
    absent(world, lambda: complete(world, "R", *HOURS[2:4]))
    assert runs(world, "D", MISSED) == [0, 1, 0, 1]


def test_no_mark_is_left_where_nobody_asks_for_it() -> None:
    world = missed({"D": "R"})
    assert world.store.get(world.keys.heartbeat) is None
    world.dependencies({"D": {"upstream": "R", "catchup": "none"}})
    assert world.store.get(world.keys.heartbeat) is not None
