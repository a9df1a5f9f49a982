"""What the runner of commands promises beyond what every runner does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.model.runstate import State
from coordinator.model.trigger import Action
from coordinator.runners.command.atomic import write_new
from coordinator.runners.command.processes import as_json, is_alive
from coordinator.runners.command.run_files import Request, RunFiles
from coordinator.runners.command.runner import CommandRunner
from coordinator.runners.port import (
    AssetDelivery,
    EnvironmentFault,
    EnvironmentUnavailable,
    Foreign,
    MissingTask,
    NotHappened,
    NotSent,
    ObservedTask,
    Refused,
    RequestRefused,
    RunRef,
    StartRequest,
    TaskRef,
)
from coordinator.runners.testing import clear, create, happened, is_same_attempt, seen, some_date, wait_for
from coordinator.store.process_id import ProcessId
from tests.integration.commands.playground import Commands

pytestmark = pytest.mark.promise("commands")


@pytest.fixture
def runner(commands: Commands) -> Iterator[CommandRunner]:
    runner = CommandRunner("jobs", commands.settings(request_timeout=30))
    yield runner
    runner.close()


def making(commands: Commands, name: str, **command: Any) -> CommandRunner:
    """A runner with one command."""
    return CommandRunner("jobs", commands.settings(commands={name: command}, request_timeout=30))


# -- what a command gets ---------------------------------------------------------------------------------------------


HOSTILE = "$(touch owned) `touch owned`; touch owned\n'\"*"


def test_a_partition_reaches_the_command_as_a_variable_and_in_a_file_and_runs_nothing(
    commands: Commands, tmp_path: Path
) -> None:
    script = f'printf %s "$COORDINATOR_PARTITION" > "{tmp_path}/got"; cp "$COORDINATOR_REQUEST" "{tmp_path}/request"'
    runner = making(commands, "shown", argv=["/bin/sh", "-c", script], working_directory=str(tmp_path))
    conf = {"own": HOSTILE, "coordinator": {"token": "t", "wave": 7, "partition": HOSTILE}}
    request = StartRequest("shown", Action.CREATE, "r", "t", conf=conf, partition=HOSTILE)
    wait_for(runner, happened(runner.start(request)), State.SUCCESS)
    assert (tmp_path / "got").read_text() == HOSTILE
    told = json.loads((tmp_path / "request").read_text())
    assert (told["partition"], told["conf"]) == (HOSTILE, conf)
    assert not (tmp_path / "owned").exists()


def test_the_variables_of_the_watcher_stay_with_it(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_PASSWORD", "secret")
    monkeypatch.setenv("WAREHOUSE_PASSWORD", "for this command")
    monkeypatch.setenv("LANG", "C.UTF-8")
    runner = making(commands, "shown", argv=["env"], env={"REGION": "eu"}, pass_env=["WAREHOUSE_PASSWORD", "UNSET"])
    request = create("shown", date=some_date())
    wait_for(runner, happened(runner.start(request)), State.SUCCESS)
    (attempt,) = commands.attempts()
    found = dict(line.partition("=")[::2] for line in (attempt / "log").read_text().splitlines())
    assert (
        found.items()
        >= {
            "REGION": "eu",
            "WAREHOUSE_PASSWORD": "for this command",
            "LANG": "C.UTF-8",
            "COORDINATOR_ENVIRONMENT": "jobs",
            "COORDINATOR_PIPELINE": "shown",
            "COORDINATOR_PARTITION": request.partition,
            "COORDINATOR_RUN_ID": request.run_id,
            "COORDINATOR_ATTEMPT": "1",
            "COORDINATOR_WAVE": "7",
            "COORDINATOR_REQUEST": str(attempt / "request.json"),
        }.items()
    )
    assert not found.keys() & {"AIRFLOW_PASSWORD", "UNSET", "PYTHONPATH"}
    assert all("secret" not in file.read_text() for file in attempt.iterdir())
    assert "for this command" not in (attempt / "request.json").read_text() + (attempt / "process.json").read_text()


def test_a_command_is_the_leader_of_a_process_group_of_its_own(commands: Commands, runner: CommandRunner) -> None:
    happened(runner.start(create("gated")))
    (supervisor,) = commands.processes("supervisor.json")
    while not (command := [*commands.processes("process.json")]):
        threading.Event().wait(0.01)
    assert os.getpgid(command[0]) == os.getsid(command[0]) == command[0]
    assert os.getsid(supervisor) == supervisor != os.getsid(0)
    commands.open_gate()


def test_output_and_errors_are_kept_and_how_it_ended_is_said(commands: Commands) -> None:
    runner = making(commands, "loud", argv=["/bin/sh", "-c", "echo out; echo err >&2; exit 9"])
    ended = wait_for(runner, happened(runner.start(create("loud"))), State.FAILED)
    (attempt,) = commands.attempts()
    assert sorted((attempt / "log").read_text().split()) == ["err", "out"]
    assert ended.note is not None
    assert ended.note.startswith(f"it ended with 9; its log: {attempt}/log on ")
    assert ended.start_date is not None
    assert ended.end_date is not None
    assert ended.start_date <= ended.end_date
    for file in (attempt / "log", attempt / "request.json", attempt / "exit.json"):
        assert file.stat().st_mode & 0o077 == 0, "what it has written may be nobody else's business"


@pytest.mark.parametrize(
    "command",
    [
        {"argv": ["/nowhere/at/all"]},
        {"argv": ["no-such-program-in-PATH"]},
        {"argv": ["/etc/passwd"]},
        {"argv": ["true"], "working_directory": "/nowhere/at/all"},
    ],
)
def test_a_command_that_cannot_be_run_fails_and_its_log_says_why(commands: Commands, command: dict[str, Any]) -> None:
    runner = making(commands, "broken", **command)
    assert "broken" in runner.check(["broken"]).unusable_dags
    ended = wait_for(runner, happened(runner.start(create("broken"))), State.FAILED)
    assert ended.note is not None
    assert ended.note.startswith("it ended with 127")
    assert "cannot be run" in (commands.attempts()[0] / "log").read_text()


# -- which attempt is alive ------------------------------------------------------------------------------------------


def a_run(commands: Commands, noted: dict[str, Any] | None) -> RunRef:
    """A run whose supervisor has noted itself so, and nothing since."""
    files = RunFiles(commands.directory, "jobs")
    queued_at = datetime(2026, 11, 20, tzinfo=UTC)
    request = Request(pipeline="quick", run_id="r", partition="p", logical_date=None, queued_at=queued_at, conf={})
    assert files.create("quick", "r", request, lambda: None)
    if noted is not None:
        (attempt,) = commands.attempts()
        write_new(attempt / "supervisor.json", {"process": noted, "claimed_at": queued_at.isoformat()})
    return RunRef("quick", "r")


@pytest.mark.parametrize(
    ("differs", "state"),
    [
        ({}, State.RUNNING),
        ({"started": 1}, State.FAILED),
        ({"boot": "another boot"}, State.FAILED),
        ({"namespaces": "those of a container that has gone"}, State.FAILED),
        ({"pid": 2**22 + 1}, State.FAILED),
    ],
)
def test_a_number_that_another_process_has_got_is_not_taken_for_the_supervisor(
    commands: Commands, runner: CommandRunner, differs: dict[str, Any], state: State
) -> None:
    """This test is the process that has the number."""
    this = ProcessId.of_this_process()
    assert this is not None
    noted = {**as_json(this), **differs}
    ref = a_run(commands, noted)
    assert is_alive(noted) is (state is State.RUNNING)
    found = runner.look([ref], timeout=1).runs[ref]
    assert found is not None
    assert found.state is state
    for attempt in commands.attempts():
        (attempt / "supervisor.json").unlink()  # or this test would be ended with the commands


def test_a_run_that_nobody_has_taken_yet_is_queued_and_asking_lets_it_begin(
    commands: Commands, runner: CommandRunner
) -> None:
    ref = a_run(commands, None)
    found = runner.look([ref], timeout=1).runs[ref]
    assert found is not None
    assert found.state is State.QUEUED
    assert commands.executions() == []
    assert isinstance(runner.ask(create("quick", run_id="r")), Foreign), "it has no token of ours"
    wait_for(runner, found, State.SUCCESS)
    assert commands.executions() == ["r 1"]


# -- clears ----------------------------------------------------------------------------------------------------------


def test_the_same_clear_again_is_the_same_attempt(commands: Commands, runner: CommandRunner) -> None:
    run = wait_for(runner, happened(runner.start(create("quick"))), State.SUCCESS)
    request = clear(run)
    first = happened(runner.start(request))
    for outcome in (runner.start(request), runner.ask(request)):
        assert is_same_attempt(happened(outcome), first)
    wait_for(runner, first, State.SUCCESS)
    assert commands.executions() == [f"{run.run_id} 1", f"{run.run_id} 2"]


def test_clears_at_once_make_one_attempt(commands: Commands, runner: CommandRunner) -> None:
    run = wait_for(runner, happened(runner.start(create("quick"))), State.SUCCESS)
    together = threading.Barrier(6)
    outcomes: list[object] = []

    def meet_and_clear() -> None:
        together.wait(10)
        outcomes.append(runner.start(clear(run)))

    threads = [threading.Thread(target=meet_and_clear) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({happened(one).queued_at for one in outcomes}) == 1
    wait_for(runner, happened(outcomes[0]), State.SUCCESS)
    assert commands.executions() == [f"{run.run_id} 1", f"{run.run_id} 2"]


def test_a_run_that_goes_on_is_not_cleared(commands: Commands, runner: CommandRunner) -> None:
    run = happened(runner.start(create("gated")))
    outcome = runner.start(clear(run))
    assert isinstance(outcome, NotHappened)
    assert not outcome.run_missing
    assert len(commands.attempts()) == 1
    commands.open_gate()


def test_a_clock_that_was_set_back_makes_a_newer_attempt_all_the_same(
    commands: Commands, runner: CommandRunner
) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    run = wait_for(runner, happened(runner.start(create("quick"))), State.SUCCESS)
    (attempt,) = commands.attempts()
    request = json.loads((attempt / "request.json").read_text())
    (attempt / "request.json").write_text(json.dumps({**request, "queued_at": later.isoformat()}))
    now = seen(runner, run)
    assert now is not None
    cleared = happened(runner.start(clear(now)))
    assert cleared.queued_at is not None
    assert cleared.queued_at > later


# -- what is refused, and what is unknown ----------------------------------------------------------------------------


def test_what_a_command_cannot_do_is_refused(commands: Commands, runner: CommandRunner) -> None:
    request = create("quick")
    delivery = AssetDelivery("s3://lake", "event", {}, datetime.now(UTC))
    for cannot in (
        replace(request, delivery=delivery),
        replace(request, tasks=("load",)),
        replace(request, partition="a\0b"),
        replace(request, run_id="r" * 256),
        replace(request, partition="\ud800"),
        replace(request, conf={"own": "\udfff"}),
    ):
        for outcome in (runner.start(cannot), runner.ask(cannot)):
            assert isinstance(outcome, Refused), cannot
    assert [*commands.directory.iterdir()] == []


def test_a_document_names_commands_and_no_programs(commands: Commands, runner: CommandRunner) -> None:
    for name in ("/bin/sh", "sh", "../jobs/quick", "quick\0", "", "quick "):
        outcome = runner.start(create(name))
        assert isinstance(outcome, Refused)
        assert outcome.status == 404
    assert [*commands.directory.iterdir()] == []


def test_partitions_with_other_characters_are_not_started(commands: Commands) -> None:
    runner = CommandRunner("jobs", commands.settings(partition_characters="-:"))
    outcome = runner.start(replace(create("quick"), partition="$(id)"))
    assert isinstance(outcome, Refused)
    assert "environments.jobs.partition_characters does not allow" in outcome.answer


def test_tasks_of_commands_are_known_not_to_exist(runner: CommandRunner) -> None:
    run = happened(runner.start(create("quick")))
    task, other = TaskRef("quick", run.run_id, "load"), TaskRef("quick", "gone", "load")
    found = runner.look([task, other], timeout=1).seen
    there = found[task]
    assert isinstance(there, ObservedTask)
    assert there.instances == ()
    assert found[other] is None
    assert runner.check(["quick"], tasks={"quick": ["load"]}).missing_tasks == (MissingTask("quick", "load", ()),)
    wait_for(runner, run, State.SUCCESS)


NAIVE = json.dumps(
    {"pipeline": "quick", "run_id": "r", "partition": "p", "logical_date": None, "queued_at": "2026-11-20T00:00:00"}
    | {"conf": {}}
)


@pytest.mark.parametrize(
    "damage", [NAIVE, "", "[]", '{"pipeline": "quick"}', "{", '{"pipeline": "other", "run_id": "r"}']
)
def test_a_damaged_run_is_refused_and_hides_no_other(commands: Commands, runner: CommandRunner, damage: str) -> None:
    ref = a_run(commands, None)
    (attempt,) = commands.attempts()
    (attempt / "request.json").write_text(damage)
    good = happened(runner.start(create("quick")))
    looked = runner.look([ref, RunRef("quick", good.run_id)], timeout=1)
    assert looked.error is None
    assert set(looked.refused) == {ref}
    assert RunRef("quick", good.run_id) in looked.seen
    for question in (runner.start, runner.ask):
        with pytest.raises(RequestRefused, match="cannot be read"):
            question(create("quick", run_id="r"))
    wait_for(runner, good, State.SUCCESS)


def test_a_run_that_has_begun_is_told_though_its_command_was_taken_out(
    commands: Commands, runner: CommandRunner
) -> None:
    request = create("quick")
    run = wait_for(runner, happened(runner.start(request)), State.SUCCESS)
    without = making(commands, "other", argv=["true"])
    assert is_same_attempt(happened(without.ask(request)), run)
    assert isinstance(without.start(clear(run)), Refused)
    assert isinstance(without.ask(create("quick")), Refused)


# -- the directory, and the host -------------------------------------------------------------------------------------


def test_a_directory_that_others_may_write_to_decides_nothing(commands: Commands, runner: CommandRunner) -> None:
    """They could write there that something has run, or have the log written elsewhere."""
    request = create("quick")
    for mode in (0o770, 0o707, 0o777):
        commands.directory.chmod(mode)
        with pytest.raises(NotSent, match="others may write"):
            runner.start(request)
        with pytest.raises(EnvironmentUnavailable):
            runner.ask(request)
        looked = runner.look([RunRef("quick", request.run_id)], timeout=1)
        assert looked.error is not None
        assert not looked.seen
        report = runner.check(["quick", "missing"])
        assert report.problem is not None
        assert report.fault is EnvironmentFault.SETTINGS
        assert report.missing_dags == ("missing",)
    commands.directory.chmod(0o700)
    happened(runner.start(request))
    wait_for(runner, happened(runner.ask(request)), State.SUCCESS)


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_a_directory_that_is_not_there_is_not_made(commands: Commands, tmp_path: Path, there: str) -> None:
    """It may be a disk that is not mounted; what has run would be forgotten."""
    elsewhere = tmp_path / "elsewhere"
    if there == "a file":
        elsewhere.touch()
    runner = CommandRunner("jobs", commands.settings(directory=elsewhere))
    with pytest.raises(NotSent, match="directory"):
        runner.start(create("quick"))
    assert elsewhere.exists() is (there == "a file")


def test_another_host_starts_nothing_and_takes_nothing_for_deleted(commands: Commands) -> None:
    runner = CommandRunner("jobs", commands.settings(host="another"))
    request = create("quick")
    with pytest.raises(NotSent, match="its commands run on another, and this is"):
        runner.start(request)
    with pytest.raises(EnvironmentUnavailable):
        runner.ask(request)
    ref = RunRef("quick", request.run_id)
    looked = runner.look([ref], timeout=1)
    assert not looked.seen
    assert looked.unanswered == {ref}
    assert [*commands.directory.iterdir()] == []


def test_environments_that_share_a_directory_share_no_runs(commands: Commands, runner: CommandRunner) -> None:
    other = CommandRunner("other", commands.settings(request_timeout=30))
    request = create("quick")
    run = happened(runner.start(request))
    assert isinstance(other.ask(request), NotHappened)
    wait_for(other, happened(other.start(request)), State.SUCCESS)
    wait_for(runner, run, State.SUCCESS)
    assert len(commands.executions()) == 2


def test_an_attempt_has_ended_when_all_that_it_has_started_has(commands: Commands) -> None:
    """A second attempt would run beside what the first one has left behind."""
    gate = commands.notes.with_name("gate")
    waiting = f'while ! [ -e "{gate}" ]; do sleep 0.05; done; echo late >> "{commands.notes}"'
    runner = making(commands, "leaving", argv=["/bin/sh", "-c", f"setsid sh -c '{waiting}' & exit 0"])
    run = happened(runner.start(create("leaving")))
    while not [*commands.processes("supervisor.json")]:
        threading.Event().wait(0.01)
    assert isinstance(runner.start(clear(wait_for(runner, run, State.RUNNING))), NotHappened)
    commands.open_gate()
    wait_for(runner, run, State.SUCCESS)
    assert commands.executions() == ["late"]


def test_a_timeout_ends_what_has_left_the_process_group(commands: Commands) -> None:
    script = f"setsid sh -c \"trap '' TERM; echo $$ > {commands.notes}; exec sleep 60\""
    runner = making(commands, "leaving", argv=["/bin/sh", "-c", script], timeout=timedelta(seconds=1))
    started = time.monotonic()
    run = wait_for(runner, happened(runner.start(create("leaving"))), State.FAILED)
    assert run.note is not None
    assert "timeout" in run.note
    (left,) = commands.executions()
    assert not Path(f"/proc/{left}").exists()
    assert time.monotonic() - started < 40


def test_signals_that_the_watcher_ignores_are_heard_all_the_same(commands: Commands, runner: CommandRunner) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        request = create("quick")
        with suppress(EnvironmentUnavailable):  # what starts the supervisor is not waited for either
            runner.start(request)
    finally:
        signal.signal(signal.SIGCHLD, before)
    wait_for(runner, happened(runner.ask(request)), State.SUCCESS)
    assert len(commands.executions()) == 1


def test_a_machine_that_was_renamed_knows_its_processes(
    commands: Commands, runner: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = wait_for(runner, happened(runner.start(create("slow"))), State.RUNNING)
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    renamed = CommandRunner("jobs", commands.settings(request_timeout=30, host="renamed"))
    assert wait_for(renamed, run, State.RUNNING).state is State.RUNNING
    assert isinstance(renamed.start(clear(run)), NotHappened)
    monkeypatch.undo()


def test_a_program_gets_its_variables_whatever_the_locale(tmp_path: Path) -> None:
    partition = "Straße/日"
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    what = {
        "argv": ["/bin/sh", "-c", f'printf %s "$PARTITION" > "{tmp_path}/got"'],
        "working_directory": "/",
        "env": {"PARTITION": partition, "PATH": os.environ["PATH"]},
        "timeout": None,
    }
    subprocess.run(
        [sys.executable, "-P", "-m", "coordinator.runners.command.supervisor", str(attempt)],
        input=json.dumps(what).encode(),
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        check=True,
        capture_output=True,
        timeout=30,
    )
    while not (attempt / "exit.json").exists():
        threading.Event().wait(0.02)
    assert (tmp_path / "got").read_text(encoding="utf-8") == partition
