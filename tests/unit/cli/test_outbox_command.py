"""``coordinator outbox``: what is parked is seen with its reason, and replayed or discarded by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.airflow_plugin.clients import Clients
from coordinator.airflow_plugin.delivery import Delivery
from coordinator.airflow_plugin.outbox import AnyEvent, Event, Outbox
from coordinator.airflow_plugin.wakeup_pipe import WakeupPipe
from coordinator.cli.failures import ExitCode
from coordinator.model.runstate import RunStateDocument, State, Verdict
from coordinator.store.port import AccessDenied
from tests.command_line import Cli
from tests.command_line import cli as cli

POISON = "00000000000000000001-1-1.json"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """One with two events that were denied, and a file that is none."""
    outbox = Outbox(tmp_path / "coordinator-outbox")
    for number in range(2):
        document = RunStateDocument(state=State.SUCCESS, run_id=f"run_{number}")
        outbox.put(Event(environment="old", dag_id="load", partition=f"k{number}", document=document))
    (outbox.directory / POISON).write_bytes(b"rubbish")

    def denied(_: AnyEvent) -> Verdict:
        raise AccessDenied("no rights")

    Delivery(outbox, denied, clients=Clients(), wakeup_pipe=None).run()
    return outbox


def listed(cli: Cli, outbox: Outbox) -> dict[str, Any]:
    result = cli("outbox", "list", "--path", outbox.directory, "--json")
    said: dict[str, Any] = json.loads(result.stdout)
    assert (result.exit_code == ExitCode.PROBLEM) is bool(said["parked"])
    return said


def test_parked_events_are_listed_with_their_reasons(cli: Cli, outbox: Outbox) -> None:
    said = listed(cli, outbox)
    assert (said["waiting"], said["oldest"]) == (0, None)
    poison, first, second = said["parked"]
    assert (poison["name"], poison["tried_again"], poison["dag_id"]) == (POISON, False, None)
    assert "Invalid JSON" in poison["reason"]
    assert (first["environment"], first["dag_id"], first["partition"], first["run_id"], first["state"]) == (
        *("old", "load", "k0", "run_0", "success"),
    )
    assert (second["reason"], second["tried_again"]) == ("no rights", True)
    table = cli("outbox", "list", "--path", outbox.directory).stdout
    assert "0 events wait; 3 are parked" in table
    assert "old/load@k1" in table


def test_a_directory_that_no_plugin_has_used_does_not_look_like_a_healthy_outbox(
    cli: Cli, outbox: Outbox, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "package.json").write_text("{}")
    result = cli("outbox", "list", "--path", elsewhere)
    assert f"{elsewhere}: 0 events wait; 0 are parked" in result.stdout
    assert "JSON files there that are no events of the plugin: package.json" in result.stderr
    assert f"no plugin has left anything in {elsewhere}" in result.stderr
    said = json.loads(cli("outbox", "list", "--path", elsewhere, "--json").stdout)
    assert (said["path"], said["used"], said["waiting"], said["others"]) == (str(elsewhere), False, 0, ["package.json"])
    assert listed(cli, outbox)["used"]
    assert "no plugin" not in cli("outbox", "list", "--path", outbox.directory).stderr


def test_the_outbox_is_found_where_airflow_keeps_it(
    cli: Cli, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert json.loads(cli("outbox", "list", "--json").stdout)["path"] == str(outbox.directory)
    monkeypatch.setenv("COORDINATOR_REPORTER__OUTBOX", str(tmp_path / "elsewhere"))
    result = cli("outbox", "list")
    assert result.exit_code == ExitCode.PROBLEM
    assert f"{tmp_path / 'elsewhere'}: No such file or directory; expected the outbox" in result.stderr


def test_one_event_or_all_are_replayed(cli: Cli, outbox: Outbox) -> None:
    _, first, second = outbox.parked.names()
    result = cli("outbox", "replay", second, "--path", outbox.directory, "--json")
    assert (result.exit_code, json.loads(result.stdout)["replayed"]) == (ExitCode.OK, [second])
    assert outbox.pending() == [second]
    result = cli("outbox", "replay", "--all", "--path", outbox.directory)
    assert "2 events replayed" in result.stdout
    assert "python -m coordinator.airflow_plugin.sender" in result.stdout, "nobody delivers just now"
    assert outbox.pending() == [POISON, first, second]


def test_a_sender_that_runs_is_woken(cli: Cli, outbox: Outbox) -> None:
    with WakeupPipe(outbox.directory) as wakeup_pipe:
        result = cli("outbox", "replay", "--all", "--path", outbox.directory, "--json")
        assert json.loads(result.stdout)["sender"]
        assert wakeup_pipe.wait(0).clients == frozenset(), "it is not asked to stay for a command"


def test_events_are_replayed_under_a_new_name_and_what_is_none_stays(cli: Cli, outbox: Outbox) -> None:
    result = cli("outbox", "replay", "--all", "--environment", "new", "--path", outbox.directory)
    assert result.exit_code == ExitCode.PROBLEM
    assert POISON in result.stderr
    assert [outbox.read(name).environment for name in outbox.pending()] == ["new", "new"]
    assert outbox.parked.names() == [POISON]


def test_events_are_discarded_only_when_it_is_meant(cli: Cli, outbox: Outbox) -> None:
    asked = cli("outbox", "discard", POISON, "--path", outbox.directory)
    assert asked.exit_code == ExitCode.INTERRUPTED
    assert len(outbox.parked.names()) == 3
    done = cli("outbox", "discard", POISON, "--yes", "--path", outbox.directory)
    assert (done.exit_code, len(outbox.parked.names())) == (ExitCode.OK, 2)
    assert json.loads(cli("outbox", "discard", "--all", "--yes", "--path", outbox.directory, "--json").stdout)[
        "discarded"
    ]
    assert listed(cli, outbox)["parked"] == []


@pytest.mark.parametrize("command", ["replay", "discard"])
@pytest.mark.parametrize("chosen", [[], ["--all", POISON], ["../../secret.json"], ["unknown.json"]])
def test_nothing_is_done_with_what_was_not_clearly_chosen(
    cli: Cli, outbox: Outbox, command: str, chosen: list[str]
) -> None:
    result = cli("outbox", command, *chosen, "--path", outbox.directory)
    assert result.exit_code == ExitCode.USAGE
    assert len(outbox.parked.names()) == 3


def test_an_outbox_of_another_user_is_left_alone(cli: Cli, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.cli.outbox.os.geteuid", lambda: 4711)
    result = cli("outbox", "replay", "--all", "--path", outbox.directory)
    assert result.exit_code == ExitCode.PROBLEM
    assert "run it as that user" in result.stderr
    assert len(outbox.parked.names()) == 3
