"""A partition whose deadline passes is late: said once, and fired or given up where the entry says so.

Played by the real reconciler on virtual time. The world's clock begins at 00:16:40 on 2026-11-21, and everything is
about the partition of the day before.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.trigger import Status
from coordinator.store.port import Put
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import target

AT_ONE = datetime(2026, 11, 21, 1, tzinfo=UTC)
BY_ONE = {"at": "01:00", "days": 1}
MOMENT = timedelta(seconds=1)

Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def logs() -> Iterator[Logs]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def said(logs: Logs) -> Logs:
    return [line for line in logs if line["event"] == "pipeline.late"]


def waiting_for_b(on_late: str, deadline: Any = BY_ONE) -> SimulatedWorld:
    """D waits for A and B; A has succeeded."""
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": ["A", "B"], "deadline": deadline, "on_late": on_late}})
    world.first_run("A")
    return world


def succeed(world: SimulatedWorld, name: str) -> None:
    world.trigger(name)
    world.run(name)


def counted(world: SimulatedWorld) -> dict[str, int]:
    assert world.watcher is not None
    return world.watcher.reconciler.counters.snapshot()


def test_a_late_partition_is_said_and_counted_once_and_goes_on_waiting(logs: Logs) -> None:
    world = waiting_for_b("show")
    world.live_until(AT_ONE - MOMENT)
    assert (said(logs), world.runs("D")) == ([], 0)
    world.live_until(AT_ONE + timedelta(minutes=10))  # examined again and again meanwhile
    (line,) = said(logs)
    assert (line["log_level"], line["pipeline"], line["due_by"]) == ("warning", "D", "2026-11-21T01:00:00Z")
    assert line["missing"] == ["B 2026-11-20T00:00:00Z"]
    assert counted(world)["late"] == 1
    assert world.runs("D") == 0
    succeed(world, "B")
    world.settle()
    assert (world.runs("D"), len(said(logs))) == (1, 1)


def test_what_was_started_in_time_is_not_late(logs: Logs) -> None:
    world = waiting_for_b("show")
    succeed(world, "B")
    world.live_until(AT_ONE + MOMENT)
    assert (world.runs("D"), said(logs)) == (1, [])


@pytest.mark.slow
def test_a_standby_that_saw_it_under_another_leader_does_not_say_it_again(logs: Logs) -> None:
    world = waiting_for_b("show")
    world.start_standby()
    world.live_until(AT_ONE + timedelta(minutes=5))
    assert len(said(logs)) == 1
    world.watcher = world.standbys.pop()  # the leader is killed
    world.settle()
    assert world.watcher.reconciler.leads
    assert len(said(logs)) == 1


@pytest.mark.slow
def test_a_standby_says_what_became_late_while_its_leader_was_dead(logs: Logs) -> None:
    world = waiting_for_b("show")
    world.start_standby()
    world.live_until(AT_ONE - 3 * MOMENT)
    world.watcher = world.standbys.pop()  # killed: its lease lasts longer than the deadline
    world.live_until(AT_ONE + MOMENT)
    assert (world.watcher.reconciler.leads, said(logs)) == (False, [])
    world.settle()
    assert len(said(logs)) == 1


@pytest.mark.parametrize(("on_late", "runs"), [("show", 0), ("fire", 1), ("skip", 0)])
def test_a_deadline_that_passed_while_no_watcher_ran_counts_when_one_does(logs: Logs, on_late: str, runs: int) -> None:
    world = waiting_for_b(on_late)
    world.stop_watcher()
    world.live_until(AT_ONE + timedelta(hours=2))
    world.start_watcher()
    world.settle()
    assert len(said(logs)) == 1
    assert world.runs("D") == runs
    record = world.record("D")
    assert (record is not None and record.skipped) == (on_late == "skip")


def test_who_fires_late_uses_what_is_there_and_late_data_runs_it_once_more() -> None:
    world = waiting_for_b("fire")
    world.live_until(AT_ONE - MOMENT)
    assert world.runs("D") == 0
    world.live_until(AT_ONE)
    world.settle()
    assert world.runs("D") == 1
    record = world.record("D")
    assert record is not None
    assert set(record.consumed.targets()) == {target("A")}
    succeed(world, "B")
    world.settle()
    assert world.runs("D") == 2
    world.settle()
    assert world.runs("D") == 2


def test_who_fires_late_does_so_once_when_killed_in_between() -> None:
    world = waiting_for_b("fire")
    world.kill_before_request("D")
    world.live_until(AT_ONE + MOMENT)
    assert world.watcher is None
    assert world.runs("D") == 0
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 1
    assert world.requests("D") == 1


def test_a_skipped_partition_stays_so_until_a_person_orders_it() -> None:
    world = waiting_for_b("skip")
    world.live_until(AT_ONE + MOMENT)
    assert counted(world)["skipped_late"] == 1
    record = world.record("D")
    assert record is not None
    assert (record.status, record.skipped, record.last_error) == (
        Status.DONE,
        True,
        "skipped: it is late: it was due by 2026-11-21T01:00:00Z",
    )
    succeed(world, "B")
    world.settle()
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 0
    world.write(Put(world.keys.order(target("D")), dump_order(GivenOrder(Order.RERUN, who="it"))))
    world.settle()
    assert world.runs("D") == 1
    world.rerun("A")  # it has been started by a person: from now on it is one like any other
    world.settle()
    assert world.runs("D") == 2


def test_what_is_below_a_skipped_partition_does_not_wait_for_it() -> None:
    """E = all(D, X): D given up settles without a completion; E is not stuck behind it, and does not run."""
    world = SimulatedWorld()
    world.dependencies(
        {"D": {"upstream": ["A", "B"], "deadline": BY_ONE, "on_late": "skip"}, "E": {"upstream": {"any": ["D", "X"]}}}
    )
    world.first_run("A")
    world.live_until(AT_ONE + MOMENT)
    succeed(world, "X")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (0, 1)


@pytest.mark.parametrize(
    ("on_late", "early", "runs"), [("fire", False, 1), ("skip", False, 0), ("fire", True, 1), ("skip", True, 1)]
)
def test_a_completion_exactly_at_the_deadline_is_late(on_late: str, early: bool, runs: int) -> None:
    """Firing stands on all inputs then, and skipping has given up by then; a thousandth earlier it is in time."""
    world = waiting_for_b(on_late)
    world.by_hand("B")
    world.trigger("B")
    world.start("B")
    world.live_until(AT_ONE - MOMENT)
    ticks = timedelta(milliseconds=2 + early)  # the end and its report take a thousandth each
    world.clock.seconds += (AT_ONE - ticks - world.clock.now()).total_seconds()
    world.finish("B")
    assert world.clock.now() == AT_ONE - timedelta(milliseconds=early)
    world.settle()
    assert world.runs("D") == runs
    record = world.record("D")
    assert record is not None
    assert set(record.consumed.targets()) == {target("A"), target("B")}


def test_a_deadline_is_a_time_of_day_in_its_own_place(logs: Logs) -> None:
    """Two in the morning in Berlin is one in UTC, in November."""
    world = waiting_for_b("show", {"at": "02:00", "days": 1, "timezone": "Europe/Berlin"})
    world.live_until(AT_ONE - MOMENT)
    assert said(logs) == []
    world.live_until(AT_ONE)
    assert len(said(logs)) == 1


def test_a_duration_counts_from_the_first_input(logs: Logs) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": ["A", "B"], "deadline": "10 minutes", "on_late": "skip"}})
    succeed(world, "A")
    state = world.state("A")
    assert state is not None
    arrived = state.observed_at  # type: ignore[union-attr]
    assert arrived is not None
    world.live_until(arrived + timedelta(minutes=10) - timedelta(milliseconds=5))
    assert said(logs) == []
    world.live_until(arrived + timedelta(minutes=10))
    assert len(said(logs)) == 1
    assert world.record("D") is not None


def test_who_has_left_the_graph_is_late_no_more(logs: Logs) -> None:
    world = waiting_for_b("show")
    world.live_until(AT_ONE + MOMENT)
    world.resume_within("0 seconds")
    world.dependencies({"E": "A"})
    before = len(said(logs))
    world.dependencies({"D": {"upstream": ["A", "B"], "deadline": BY_ONE}})
    world.settle()
    assert len(said(logs)) == before, "its dependencies are new: what was there before is the past"


def test_a_record_that_cannot_be_read_is_not_written_over_by_giving_up(logs: Logs) -> None:
    """Nobody knows what was started; people must look, and would find nothing any more."""
    world = waiting_for_b("skip")
    world.write(Put(world.keys.trigger(target("D")), b"rubbish"))
    world.live_until(AT_ONE + MOMENT)
    world.settle()
    assert len(said(logs)) == 1
    assert world.watcher is not None
    assert world.keys.trigger(target("D")) in world.watcher.reconciler.cache.problems
    assert counted(world)["skipped_late"] == 0


# -- backfills: inputs that began a day or more after the deadline -----------------------------------------------------

LONG_AGO = "2026-11-10T00:00:00Z"


def backfilled(on_late: str, document: dict[str, Any] | None = None) -> SimulatedWorld:
    """D waits for A and B in a partition of eleven days ago; A has just run there."""
    world = SimulatedWorld()
    entry = {"upstream": ["A", "B"], "deadline": BY_ONE, "on_late": on_late}
    world.dependencies({"D": entry, **(document or {})})
    world.comes("A", LONG_AGO)
    world.settle()
    return world


@pytest.mark.parametrize("on_late", ["show", "fire", "skip"])
def test_a_partition_that_is_backfilled_is_not_late_for_having_been_due_long_ago(logs: Logs, on_late: str) -> None:
    world = backfilled(on_late)
    assert (said(logs), world.runs("D", partition=LONG_AGO)) == ([], 0)
    world.comes("B", LONG_AGO)
    world.settle()
    assert (said(logs), world.runs("D", partition=LONG_AGO)) == ([], 1)


@pytest.mark.parametrize(("on_late", "runs"), [("show", 0), ("fire", 1), ("skip", 0)])
def test_a_backfill_has_time_until_the_next_such_hour(logs: Logs, on_late: str, runs: int) -> None:
    world = backfilled(on_late)
    world.live_until(AT_ONE - MOMENT)
    assert said(logs) == []
    world.live_until(AT_ONE)
    world.settle()
    (line,) = said(logs)
    assert (line["partition"], line["due_by"]) == (LONG_AGO, "2026-11-21T01:00:00Z")
    assert world.runs("D", partition=LONG_AGO) == runs
    record = world.record("D", partition=LONG_AGO)
    assert (record is not None and record.skipped) == (on_late == "skip")


@pytest.mark.slow
def test_a_backfill_whose_upstream_waits_for_its_turn_has_no_deadline_yet(logs: Logs) -> None:
    """R -> C -> D: R has just run long ago's partition, and C is not started yet."""
    world = SimulatedWorld()
    world.dependencies({"C": "R", "D": {"upstream": ["C"], "deadline": BY_ONE, "on_late": "skip"}})
    world.hold("C")
    world.by_hand("C")
    world.comes("R", LONG_AGO)
    world.live_until(AT_ONE + timedelta(days=2), step=3)
    world.release("C")
    world.settle()
    assert (said(logs), world.record("D", partition=LONG_AGO)) == ([], None)
    world.run("C", partition=LONG_AGO)
    world.settle()
    assert (said(logs), world.runs("D", partition=LONG_AGO)) == ([], 1)


def test_a_backfill_that_a_person_orders_has_no_deadline_before_it_begins(logs: Logs) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": ["C"], "deadline": BY_ONE, "on_late": "skip"}})
    world.hold("C")
    order = GivenOrder(Order.RERUN, "ann", world.clock.now())
    world.write(Put(world.keys.order(target("C", LONG_AGO)), dump_order(order)))
    world.settle()
    assert (said(logs), world.record("D", partition=LONG_AGO)) == ([], None)
    world.release("C")
    world.settle()
    assert (said(logs), world.runs("D", partition=LONG_AGO)) == ([], 1)


def test_an_outage_of_some_hours_is_no_backfill(logs: Logs) -> None:
    """A began only after the deadline of the day before, but less than a day after it."""
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": ["A", "B"], "deadline": "06:00"}})
    world.comes("A", "2026-11-20T00:00:00Z")
    world.settle()
    (line,) = said(logs)
    assert line["due_by"] == "2026-11-20T06:00:00Z"


@pytest.mark.slow
def test_what_was_late_stays_so_however_long_nobody_repairs_it(logs: Logs) -> None:
    world = waiting_for_b("show")
    world.live_until(AT_ONE + timedelta(days=3), step=3)
    assert len(said(logs)) == 1
    assert world.watcher is not None
    assert world.watcher.reconciler.propagation.decide(target("D")).late


def test_who_says_no_time_is_measured_by_the_partition_alone(logs: Logs) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": ["A", "B"], "deadline": BY_ONE}})
    world.write(Put(world.keys.state(target("A", LONG_AGO)), b"success"))
    world.settle()
    (line,) = said(logs)
    assert line["due_by"] == "2026-11-11T01:00:00Z"
