"""Commands as pipelines, from end to end: a watcher process, a real etcd, real programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.trigger import Status
from tests.command_line import Cli
from tests.integration.commands.dying_watcher import POINTS
from tests.integration.commands.playground import Commands
from tests.integration.commands.watched import PARTITION, WatchedCommands
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("commands")


@pytest.fixture
def watched(etcd_settings: EtcdSettings, commands: Commands, tmp_path: Path) -> Iterator[WatchedCommands]:
    watched = WatchedCommands(etcd_settings, commands, tmp_path)
    yield watched
    watched.close()


CHAIN = {"jobs/first": "jobs/source", "jobs/second": {"upstream": "jobs/first", "conf": {"tables": ["a"]}}}


@pytest.mark.slow
def test_a_chain_of_commands_runs_once_per_wave(watched: WatchedCommands) -> None:
    watched.dependencies(CHAIN)
    watched.serve()
    for wave in (1, 2):
        watched.complete("source", attempt=wave)
        expected = [f"{name} {PARTITION} {attempt}" for attempt in range(1, wave + 1) for name in ("first", "second")]
        until(lambda: watched.commands.executions() == expected, "both have run")  # noqa: B023 - called in this turn
        until(lambda: watched.is_done("second"), "the wave is done")
    (request,) = (json.loads((one / "request.json").read_text()) for one in watched.commands.attempts()[-1:])
    assert request["pipeline"] == "second"
    assert request["partition"] == PARTITION
    assert request["conf"]["tables"] == ["a"]
    assert request["conf"]["coordinator"]["inputs"][0]["pipeline"] == "jobs/first"


@pytest.mark.slow
def test_a_command_that_fails_holds_back_what_is_below_until_it_has_run_again(
    watched: WatchedCommands, cli: Cli
) -> None:
    watched.dependencies({"jobs/flaky": "jobs/source", "jobs/second": "jobs/flaky"})
    watched.serve()
    watched.complete("source")
    until(lambda: watched.is_in("flaky", "failed"), "it has failed")
    state = watched.state("flaky")
    assert state is not None
    assert state.note is not None
    assert state.note.startswith("it ended with 1; its log: ")
    assert (watched.commands.attempts()[0] / "log").exists()
    told = cli("status", "--config", watched.config, "--json")
    assert "jobs/flaky" in told.stdout
    assert watched.commands.executions() == [f"flaky {PARTITION} 1"]
    watched.mended.touch()
    asked = cli("rerun", "jobs/flaky", PARTITION, "--downstream", "--yes", "--config", watched.config)
    assert asked.exit_code == 0, asked.stdout + asked.stderr
    until(lambda: watched.is_done("second"), "what is below has run")
    executions = watched.commands.executions()
    assert executions == [f"flaky {PARTITION} 1", f"flaky {PARTITION} 2", f"second {PARTITION} 1"]
    logs = [one / "log" for one in watched.commands.attempts() if one.parts[-3] == "flaky"]
    assert len(logs) == 2, "the log of the first attempt is kept"
    assert all(log.exists() for log in logs)


@pytest.mark.slow
@pytest.mark.promise("kill")
@pytest.mark.parametrize("point", POINTS)
def test_a_watcher_that_is_killed_at_any_step_of_a_start_starts_it_once(watched: WatchedCommands, point: str) -> None:
    watched.dependencies(CHAIN)
    file = watched.directory / "point"
    file.write_text(point)
    first = watched.launch("tests.integration.commands.dying_watcher", str(file))
    until(lambda: first.is_ready() and first.leads(), "the watcher leads")
    until(lambda: watched.store.get(watched.keys.dependencies("default")) is not None, "the file is published")
    watched.complete("source")
    until(lambda: not first.is_running(), "it has killed itself")
    assert file.read_text() == ""
    record = watched.record("first")
    assert record is not None
    assert record.status is Status.INTENT
    watched.serve()
    until(lambda: watched.is_done("second"), "the chain has run")
    assert watched.commands.executions() == [f"{name} {PARTITION} 1" for name in ("first", "second")]


@pytest.mark.slow
@pytest.mark.promise("kill")
@pytest.mark.parametrize("point", ["publish: before", "publish: after", "communicate: before", "start: after"])
def test_a_watcher_that_is_killed_at_any_step_of_a_clear_clears_once(watched: WatchedCommands, point: str) -> None:
    watched.dependencies(CHAIN)
    first = watched.serve()
    watched.complete("source")
    until(lambda: watched.is_done("second"), "the first wave is done")
    first.kill()
    file = watched.directory / "point"
    file.write_text(point)
    second = watched.launch("tests.integration.commands.dying_watcher", str(file))
    watched.complete("source", attempt=2)
    until(lambda: not second.is_running(), "it has killed itself")
    assert file.read_text() == ""
    watched.serve()
    expected = [f"{name} {PARTITION} {attempt}" for attempt in (1, 2) for name in ("first", "second")]
    until(lambda: watched.commands.executions() == expected, "each has run once more")
    until(lambda: watched.is_done("second"), "the wave is done")
    assert watched.commands.executions() == expected


@pytest.mark.slow
@pytest.mark.promise("kill")
def test_a_command_outlives_the_watcher_that_has_started_it(watched: WatchedCommands) -> None:
    """The successor takes it up again, by the number and the start time of its processes."""
    gate = watched.hold_back("first")
    watched.dependencies(CHAIN)
    first = watched.serve()
    watched.complete("source")
    until(lambda: watched.is_in("first", "running"), "it runs")
    before = [*watched.commands.processes("process.json")]
    first.kill()
    watched.serve()
    assert [*watched.commands.processes("process.json")] == before
    gate.touch()
    until(lambda: watched.is_done("second"), "the chain has run")
    assert watched.commands.executions() == [f"{name} {PARTITION} 1" for name in ("first", "second")]


@pytest.mark.slow
def test_a_watcher_on_another_host_starts_nothing(
    etcd_settings: EtcdSettings, commands: Commands, tmp_path: Path, cli: Cli
) -> None:
    watched = WatchedCommands(etcd_settings, commands, tmp_path, host="another-host")
    try:
        watched.dependencies(CHAIN)
        service = watched.serve()
        watched.complete("source")
        until(lambda: _unanswered(service) > 1, "it has tried")
        assert [*commands.directory.iterdir()] == []
        told = cli("doctor", "--config", watched.config, "--dependencies", watched.file)
        assert "its commands run on another-host" in told.stdout
        record = watched.record("first")
        assert record is not None
        assert record.status is Status.INTENT
    finally:
        watched.close()


def _unanswered(service: Service) -> float:
    return service.metrics().value("requests_total", environment="jobs", kind="start", outcome="unanswered")
