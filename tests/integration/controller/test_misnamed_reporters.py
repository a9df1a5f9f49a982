"""A reporter under the name of another environment: the Airflow that has that name does not know its runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from coordinator.model.reporters import ReportedRun, ReporterStatus
from tests.command_line import Cli
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld

PLACE = "reported runs of default"


def with_plugin(world: FaultyWorld) -> None:
    """Its environment should be heard from, from the next watcher on."""
    default = world.settings.environments["default"].model_copy(update={"plugin": True})
    world.settings = world.settings.model_copy(update={"environments": {"default": default}})


def announce(world: FaultyWorld, *runs: tuple[str, str, float]) -> None:
    """A reporter is there that has reported these runs, each so many seconds ago."""
    now = datetime.now(UTC)
    recent = tuple(
        ReportedRun(dag_id=dag_id, run_id=run_id, state="success", at=now - timedelta(seconds=ago))
        for dag_id, run_id, ago in runs
    )
    status = ReporterStatus(host="airflow-7", pid=1, since=now, written_at=now, version="1", recent=recent)
    world.put(world.keys.reporter("default", "reporter-1"), status.to_value())


def test_status_says_what_the_leader_has_found_out_about_reporters(world: FaultyWorld, cli: Cli) -> None:
    world.dependencies({"A": "R"})
    world.stop_watcher()
    with_plugin(world)
    announce(world, ("daily_revenue", "run_0", 90.0), ("daily_revenue", "run_1", 80.0))
    world.start_watcher()
    watcher = world.watcher
    assert watcher is not None
    until(lambda: PLACE in watcher.health().problems, "the leader has asked, and says so")
    told = watcher.health().problems[PLACE]
    assert "does not know what airflow-7 reports: daily_revenue run_0, daily_revenue run_1" in told
    assert "correct its COORDINATOR_REPORTER__ENVIRONMENT" in told

    def shown() -> dict[str, str]:
        problems: dict[str, str] = json.loads(cli("status", "--config", world.config(), "--json").stdout)["problems"]
        return problems

    place = f"watchers/{watcher.watcher_id}: {PLACE}"
    until(lambda: place in shown(), "status reads it in the watcher's presence")
    assert shown()[place] == told
    assert cli("status", "--config", world.config()).exit_code == 1


def test_runs_that_are_known_or_too_young_are_no_problem(world: FaultyWorld) -> None:
    world.dependencies({"A": "R"})
    world.complete("R")
    world.until_done("A", runs=1)
    run_id = world.identities("R")["R"][0][0]
    world.stop_watcher()
    with_plugin(world)
    announce(world, ("R", run_id, 90.0), ("R", "deleted since", 80.0), ("R", "not committed yet", 1.0))
    world.start_watcher()
    world.clear("R")
    world.run("R")
    world.until_done("A", runs=2)
    watcher = world.watcher
    assert watcher is not None
    until(
        lambda: not watcher._misnamed_reporters._asking and bool(watcher._misnamed_reporters._ask_at),
        "it has been asked",
    )
    assert PLACE not in watcher.health().problems
