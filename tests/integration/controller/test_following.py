"""Environments that do not report are followed through their REST API."""

from __future__ import annotations

from itertools import pairwise

import pytest

from coordinator.model.lifecycle import OWN_RUN_RETRY
from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Status
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld


@pytest.mark.promise("following")
def test_a_chain_over_an_environment_that_never_reports_runs_once_per_wave(world: FaultyWorld) -> None:
    world.silence("team_b")
    world.dependencies({"team_b/A": "R", "team_b/B": "team_b/A", "C": "team_b/B", "D": ["R", "team_b/A", "C"]})
    below = ("team_b/A", "team_b/B", "C", "D")
    for wave in (1, 2):
        world.complete("R", wave=wave)
        world.until_done(*below, runs=wave)
        world.settle()
        assert world.counts(*below) == dict.fromkeys(below, wave)


@pytest.mark.promise("following")
def test_a_run_that_goes_on_for_long_is_followed_to_its_end(world: FaultyWorld) -> None:
    world.silence("team_b")
    world.dependencies({"team_b/A": "R", "C": "team_b/A"})
    world.by_hand("team_b/A")
    world.complete("R")
    _until_status(world, "team_b/A", Status.SENT)
    world.start("team_b/A")
    until(lambda: _state(world, "team_b/A") is State.RUNNING, "it is seen to run")
    asked = len(world.airflows["team_b"].requests_of("get"))
    until(lambda: len(world.airflows["team_b"].requests_of("get")) > asked + 1, "it is asked about again")
    assert world.runs("C") == 0
    world.finish("team_b/A", "failed")
    until(lambda: _state(world, "team_b/A") is State.FAILED, "its end is seen")
    world.settle()
    assert world.runs("C") == 0


@pytest.mark.promise("following")
@pytest.mark.parametrize(("reports", "begun"), [(True, True), (False, False)])
def test_a_run_deleted_while_in_flight_ends_the_flight(world: FaultyWorld, reports: bool, begun: bool) -> None:
    if not reports:
        world.silence("default")
    world.dependencies({"A": "R", "C": "A", "B": "R"})
    world.by_hand("A", "R")
    world.report_by("R", lambda run: super(FaultyWorld, world)._report("default", run))
    world.complete("R")
    _until_status(world, "A", Status.SENT)
    if begun:
        world.start("A")
    record = world.record("A")
    assert record is not None
    assert record.run_id is not None
    world.airflows["default"].delete("A", record.run_id)
    _until_status(world, "A", Status.DONE)
    until(lambda: _state(world, "A") is None, "a run that was deleted is not yet")
    world.until_done("B", runs=1)
    assert world.runs("C") == 0
    world.by_itself("A")
    world.complete("R", wave=2)
    world.until_done("A", "B", "C", runs=1)
    world.settle()
    assert world.counts("B", "C") == {"B": 2, "C": 1}
    assert len(world._runs_of("A")) == 1, "the next wave makes a new run"


@pytest.mark.promise("following")
def test_a_failed_run_cleared_by_hand_where_nobody_reports_is_found_and_the_wave_goes_on(world: FaultyWorld) -> None:
    world.silence("team_b")
    world.dependencies({"team_b/D": "R", "E": "team_b/D", "F": ["E", "R"]})
    below = ("team_b/D", "E", "F")
    world.complete("R")
    world.until_done(*below, runs=1)
    world.by_hand("team_b/D")
    world.complete("R", wave=2)
    _until_status(world, "team_b/D", Status.SENT)
    world.run("team_b/D", "failed")
    until(lambda: _state(world, "team_b/D") is State.FAILED, "its failure is seen")
    world.settle()
    assert world.counts("E", "F") == {"E": 1, "F": 1}, "others are stuck behind it"
    world.rerun("team_b/D")
    world.until_done("E", "F", runs=2)
    world.settle()
    assert world.counts(*below) == {"team_b/D": 3, "E": 2, "F": 2}
    assert world.requests("team_b/D") == 2, "the third was a person's"


@pytest.mark.promise("not-early")
def test_a_clear_that_nobody_has_reported_yet_is_seen_before_the_downstream_fires(world: FaultyWorld) -> None:
    """The look: A has been cleared by hand and waits in the queue, of which Airflow tells nobody."""
    world.dependencies({"D": ["A", "B"]})
    world.first_run("A", "B")
    assert world.runs("D") == 1
    world.pass_time()
    world.clear("A")
    world.rerun("B")
    until(lambda: _state(world, "A") is State.QUEUED, "the watcher has looked at A")
    assert world.runs("D") == 1
    world.run("A")
    world.until_done("D", runs=2)
    world.settle()
    assert world.runs("D") == 2


def _state(world: FaultyWorld, name: str) -> State | None:
    present = world.state(name)
    return present.state if isinstance(present, RunState) else None


def _until_status(world: FaultyWorld, name: str, status: Status) -> None:
    def reached() -> bool:
        record = world.record(name)
        return record is not None and record.status is status

    until(reached, f"the record of {name} says {status}")


def test_a_run_that_must_end_before_it_can_be_cleared_is_looked_at_calmly(world: FaultyWorld) -> None:
    """Its end has been reported, and its environment shows that it goes on: each look finds nothing that is news."""
    world.dependencies({"D": "R"})
    world.by_hand("D")
    world.complete("R")
    _until_status(world, "D", Status.SENT)
    world.start("D")
    world.report_end_early("D")
    _until_status(world, "D", Status.DONE)
    world.pass_time()
    world.complete("R", wave=2)
    airflow = world.airflows["default"]
    before = len(airflow.requests)
    until(lambda: len(airflow.requests) >= before + 8, "it is looked at eight times")
    between = [later.arrived - earlier.arrived for earlier, later in pairwise(airflow.requests[before:])]
    assert min(between) > 0.5 * OWN_RUN_RETRY, f"seconds between two looks: {between}"
    assert world.runs("D") == 1
    world.finish("D")
    _until_runs(world, "D", 2)
    world.finish("D")
    world.settle()
    assert world.runs("D") == 2


def _until_runs(world: FaultyWorld, name: str, runs: int) -> None:
    def started() -> bool:
        record = world.record(name)
        if record is None or record.status is not Status.SENT:
            return False
        world.start(name)
        return True

    until(started, f"{name} is cleared")
    assert world.runs(name) == runs
