"""What an environment refuses, or what has no environment, is blocked: shown, tried again slowly, never dropped."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from coordinator.model.conditions import Dependency
from coordinator.model.dependencies import Downstream
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef
from coordinator.model.trigger import Status
from tests.command_line import Cli
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld
from tests.standin.airflow import Recorded, StandInAirflow
from tests.standin.faults import Fault
from tests.worlds.world import PARTITION

OTHER = "2026-11-21T00:00:00Z"


def _until_blocked(world: FaultyWorld, name: str) -> str:
    def blocked() -> bool:
        record = world.record(name)
        return record is not None and record.status is Status.BLOCKED

    until(blocked, f"{name} is blocked")
    record = world.record(name)
    assert record is not None
    assert record.last_error is not None
    return record.last_error


def _status_of(cli: Cli, world: FaultyWorld, name: str) -> dict[str, Any]:
    result = cli("status", "--config", world.config(), "--json")
    assert result.exit_code == 1, "a refused request is something wrong"
    rows: list[dict[str, Any]] = json.loads(result.stdout)["pipelines"]
    (row,) = [row for row in rows if row["pipeline"] == name]
    return row


@pytest.mark.promise("answers")
@pytest.mark.parametrize("wave", [1, 2])
def test_an_unknown_dag_is_blocked_and_started_once_when_it_appears(world: FaultyWorld, cli: Cli, wave: int) -> None:
    """In the second wave its run is to be cleared, and has gone with its DAG."""
    airflow = world.airflows["default"]
    world.dependencies({"D": "R", "E": "D", "A": "R", "B": "A"})
    if wave == 2:
        world.complete("R")
        world.settle()
    airflow.remove_dag("D")
    world.complete("R", wave=wave)
    assert "404" in _until_blocked(world, "D")
    world.until_done("A", "B", runs=wave)
    row = _status_of(cli, world, "D")
    assert (row["record"], row["readiness"]) == ("blocked", "stuck")
    assert "404" in row["last_error"]
    refused = len(_requests(airflow, status=404))
    until(lambda: len(_requests(airflow, status=404)) > refused, "it is tried again")
    assert world.counts("D", "E") == {"D": wave - 1, "E": wave - 1}
    accepted = len(_requests(airflow, status=200))
    world.by_itself("D")  # the DAG appears
    world.until_done("D", "E", runs=wave)
    world.settle()
    names = ("D", "E", "A", "B")
    assert world.counts(*names) == dict.fromkeys(names, wave)
    assert len(_requests(airflow, status=200)) == accepted + 1
    assert cli("status", "--config", world.config()).exit_code == 0


@pytest.mark.promise("answers")
@pytest.mark.parametrize("wave", [1, 2])
def test_a_refusal_blocks_a_pipeline_in_its_own_partition_only(world: FaultyWorld, cli: Cli, wave: int) -> None:
    """As when the conf of one run, or its logical date, is not to Airflow's liking."""
    airflow = world.airflows["default"]
    patient = world.settings.watcher.model_copy(update={"blocked_retry": 600.0})  # not again while this test runs
    world.settings = world.settings.model_copy(update={"watcher": patient})
    world.dependencies({"D": "R", "E": "D"})
    for one in (PARTITION, OTHER) if wave == 2 else ():
        world.complete("R", partition=one)
    world.settle()
    refusal = Fault.answer(422, {"detail": "not with this date"})
    airflow.faults.always("trigger" if wave == 1 else "clear", refusal)
    world.complete("R", wave=wave)
    assert "not with this date" in _until_blocked(world, "D")
    airflow.faults.clear()
    world.complete("R", partition=OTHER, wave=wave)
    world.until_done("D", "E", partition=OTHER, runs=wave)
    assert world.counts("D", "E", partition=OTHER) == {"D": wave, "E": wave}
    assert world.counts("D", "E") == {"D": wave - 1, "E": wave - 1}
    row = _status_of(cli, world, "D")
    assert (row["partition"], row["record"], row["readiness"]) == (PARTITION, "blocked", "stuck")
    world.stop_watcher()
    world.start_watcher()  # one that starts tries what is blocked at once
    world.until_done("D", "E", runs=wave)
    world.settle()
    for one in (PARTITION, OTHER):
        assert world.counts("D", "E", partition=one) == {"D": wave, "E": wave}, one
    assert cli("status", "--config", world.config()).exit_code == 0


def _requests(airflow: StandInAirflow, *, status: int) -> list[Recorded]:
    """The requests to start D that were answered so."""
    return [
        request
        for request in airflow.requests
        if request.dag_id == "D" and request.kind in ("trigger", "clear") and request.status == status
    ]


@pytest.mark.promise("answers")
@pytest.mark.parametrize("of", ["everything", "this DAG alone"])
def test_a_run_that_nobody_may_look_at_is_blocked_and_cleared_once_when_that_is_repaired(
    world: FaultyWorld, cli: Cli, of: str
) -> None:
    """Before it is cleared it must be looked at: credentials that have run out show there first."""
    airflow = world.airflows["default"]
    world.dependencies({"D": "R", "E": "D", "team_b/A": "R", "team_b/B": "team_b/A"})
    world.complete("R")
    world.settle()
    world.pass_time()
    if of == "everything":
        for kind in ("get", "list"):
            airflow.faults.always(kind, Fault.answer(403, {"detail": "Forbidden"}))
    else:
        airflow.api.hidden.add("D")
    world.complete("R", wave=2)
    assert "403" in _until_blocked(world, "D") or of != "everything"
    world.until_done("team_b/A", "team_b/B", runs=2)
    row = _status_of(cli, world, "D")
    assert (row["record"], row["readiness"], row["run_id"]) == ("blocked", "stuck", f"coordinator__{PARTITION}__1")
    looks = _looks(airflow)
    until(lambda: _looks(airflow) >= looks + 2, "it is looked at again")
    assert world.counts("D", "E") == {"D": 1, "E": 1}
    airflow.faults.clear()
    airflow.api.hidden.clear()
    world.until_done("D", "E", runs=2)
    world.settle()
    assert world.counts("D", "E", "team_b/A", "team_b/B") == dict.fromkeys(("D", "E", "team_b/A", "team_b/B"), 2)
    assert len(world.identities("D")["D"]) == 1, "the run that was there is cleared"
    assert cli("status", "--config", world.config()).exit_code == 0


def _looks(airflow: StandInAirflow) -> int:
    return len(airflow.requests_of("get")) + len(airflow.requests_of("list"))


@pytest.mark.promise("answers")
def test_a_pipeline_whose_environment_is_not_configured_is_blocked_until_it_is(world: FaultyWorld, cli: Cli) -> None:
    """As when another watcher, which knows more environments, has published the dependency."""
    world.dependencies({"A": "R", "B": "A"})
    elsewhere = Downstream(PipelineRef("team_c", "X"), Dependency(PipelineRef.parse("R")))
    publication = Publication({elsewhere.pipeline: elsewhere}, {})
    world.put(world.keys.dependencies("team_c"), dump_publication(publication))
    world.settle()
    for wave in (1, 2):
        world.complete("R", wave=wave)
        assert "team_c" in _until_blocked(world, "team_c/X")
        world.until_done("A", "B", runs=wave)
    row = _status_of(cli, world, "team_c/X")
    assert (row["record"], row["readiness"]) == ("blocked", "stuck")
    world.stop_watcher()
    world.add_environment("team_c").dag("X", auto=0)
    world.start_watcher()
    world.until_done("team_c/X", runs=1)
    world.settle()
    assert world.counts("team_c/X", "A", "B") == {"team_c/X": 1, "A": 2, "B": 2}


@pytest.mark.promise("answers")
@pytest.mark.parametrize("wave", [1, 2])
@pytest.mark.parametrize("acts", [False, True])
def test_a_request_in_doubt_stays_so_while_nobody_may_ask_and_is_made_once(
    world: FaultyWorld, wave: int, acts: bool
) -> None:
    """Blocked and tried again it would be made a second time, if it had been carried out."""
    airflow = world.airflows["default"]
    world.dependencies({"D": "R", "E": "D"})
    if wave == 2:
        world.complete("R")
        world.settle()
    kind = "trigger" if wave == 1 else "clear"
    over = threading.Event()
    unanswered = Fault.withhold(over) if acts else Fault.lose(over)
    airflow.faults.next(kind, unanswered)
    world.complete("R", wave=wave)
    assert unanswered.met.wait(10)
    airflow.faults.always("get", Fault.answer(403, {"detail": "Forbidden"}))
    until(lambda: len([one for one in airflow.requests_of("get") if one.status == 403]) >= 3, "it is asked about")
    record = world.record("D")
    assert record is not None
    assert record.status is Status.INTENT
    assert world.watcher is not None
    assert "Forbidden" in world.watcher.health().problems["environment default"]
    over.set()
    airflow.faults.clear()
    world.until_done("D", "E", runs=wave)
    world.settle()
    assert world.counts("D", "E") == {"D": wave, "E": wave}
