"""kill -9 of a supervisor, of what starts it, or of the command, at any step: never two copies, and never unclear."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.model.runstate import State
from coordinator.runners.command.runner import CommandRunner
from coordinator.runners.port import EnvironmentUnavailable, Happened, NotHappened, ObservedRun, StartRequest
from coordinator.runners.testing import clear, create, happened, is_same_attempt, seen, some_date, wait_for
from tests.integration.commands.dying import Dying
from tests.integration.commands.playground import Commands
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("commands")


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dying:
    directory = tmp_path / "dying"
    directory.mkdir()
    return Dying(directory, monkeypatch)


@pytest.fixture
def runner(commands: Commands) -> Iterator[CommandRunner]:
    runner = CommandRunner("jobs", commands.settings(request_timeout=30))
    yield runner
    runner.close()


def started(runner: CommandRunner, request: StartRequest) -> ObservedRun:
    """The run of a request, which the watcher asks about until it is known what became of it."""
    try:
        return happened(runner.start(request))
    except EnvironmentUnavailable:
        until(lambda: isinstance(_asked(runner, request), Happened), "it is known what became of it")
        return happened(runner.ask(request))


def _asked(runner: CommandRunner, request: StartRequest) -> object:
    try:
        return runner.ask(request)
    except EnvironmentUnavailable as unavailable:
        return unavailable


BEFORE_THE_CLAIM = [
    "fork 1",
    "fork 1 done in the child",
    "setsid",
    "setsid done",
    "link supervisor.json",
]
"""The attempt still belongs to nobody: another supervisor takes it."""

WITHOUT_THE_LAUNCHER = ["fork 1 done"]
"""What starts the supervisor dies; the supervisor itself goes on."""


@pytest.mark.parametrize("step", [*BEFORE_THE_CLAIM, *WITHOUT_THE_LAUNCHER])
def test_a_supervisor_that_dies_before_it_has_the_attempt_is_replaced(
    runner: CommandRunner, commands: Commands, dying: Dying, step: str
) -> None:
    dying.at(step)
    run = started(runner, create("quick", date=some_date()))
    wait_for(runner, run, State.SUCCESS)
    assert dying.is_past()
    assert commands.executions() == [f"{run.run_id} 1"]


BEFORE_THE_PROGRAM = ["link supervisor.json done", "fork 2", "fork 2 done in the child", "link process.json", "exec"]
WHILE_IT_RUNS = ["fork 2 done"]
AFTER_ITS_END = ["waitpid", "waitpid done", "link exit.json"]


@pytest.mark.parametrize("step", [*BEFORE_THE_PROGRAM, *WHILE_IT_RUNS, *AFTER_ITS_END, "link exit.json done"])
def test_whatever_dies_of_an_attempt_it_ends_and_is_no_more_than_one_execution(
    runner: CommandRunner, commands: Commands, dying: Dying, step: str
) -> None:
    dying.at(step)
    run = started(runner, create("quick", date=some_date()))
    until(lambda: _has_ended(runner, run), "the attempt has ended")
    assert dying.is_past()
    until(lambda: not [*commands.processes("process.json")], "no process is left")
    ended = seen(runner, run)
    assert ended is not None
    executions = commands.executions()
    assert executions in ([], [f"{run.run_id} 1"])
    if step == "link exit.json done":
        assert ended.state is State.SUCCESS
    else:
        assert ended.state is State.FAILED
        assert ended.note is not None, "it says why"
    if step in BEFORE_THE_PROGRAM:
        assert executions == []
    # What failed stays failed, whatever else comes; a clear runs it once more.
    assert is_same_attempt(happened(runner.ask(create_again(run))), run)
    cleared = happened(runner.start(clear(ended)))
    wait_for(runner, cleared, State.SUCCESS)
    assert commands.executions() == [*executions, f"{run.run_id} 2"]


def create_again(run: ObservedRun) -> StartRequest:
    """The request that has created a run."""
    assert run.token is not None
    return create(run.dag_id, run_id=run.run_id, token=run.token)


def _has_ended(runner: CommandRunner, run: ObservedRun) -> bool:
    now = seen(runner, run)
    return now is not None and now.state.is_terminal


def test_a_command_that_comes_late_after_its_supervisor_was_killed_starts_nothing(
    runner: CommandRunner, commands: Commands, dying: Dying
) -> None:
    """It is about to note itself, and stands still there while its run is found to have failed, and runs again."""
    dying.at("link process.json", signal.SIGSTOP)
    run = happened(runner.start(create("quick", date=some_date())))
    (supervisor,) = commands.processes("supervisor.json")
    until(dying.is_past, "the command is about to note itself")
    (late,) = _children(supervisor)
    until(lambda: _state(late) == "T", "it stands still")
    os.kill(supervisor, signal.SIGKILL)
    ended = wait_for(runner, run, State.FAILED)
    wait_for(runner, happened(runner.start(clear(ended))), State.SUCCESS)
    os.kill(late, signal.SIGCONT)
    until(lambda: not _exists(late), "it has ended")
    assert commands.executions() == [f"{run.run_id} 2"]


def test_a_command_outlives_its_supervisor_and_nothing_is_started_beside_it(
    runner: CommandRunner, commands: Commands
) -> None:
    run = happened(runner.start(create("gated", date=some_date())))
    until(lambda: bool(commands.executions()), "it runs")
    (supervisor,) = commands.processes("supervisor.json")
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not [*commands.processes("supervisor.json")], "the supervisor is gone")
    now = seen(runner, run)
    assert now is not None
    assert now.state is State.RUNNING, "its exit status is lost, and it goes on"
    assert isinstance(runner.start(clear(now)), NotHappened)
    assert len(commands.attempts()) == 1
    commands.open_gate()
    ended = wait_for(runner, run, State.FAILED)
    assert ended.note is not None
    assert "exit status is not known" in ended.note
    assert commands.executions() == [f"{run.run_id} 1"]


def test_an_exit_status_that_a_full_disk_does_not_take_is_kept_once_there_is_room(
    runner: CommandRunner, commands: Commands, dying: Dying
) -> None:
    dying.fails_at("link exit.json")
    run = happened(runner.start(create("quick", date=some_date())))
    until(dying.is_past, "the disk is full")
    now = seen(runner, run)
    assert now is not None
    assert now.state is State.RUNNING
    wait_for(runner, run, State.SUCCESS)
    assert commands.executions() == [f"{run.run_id} 1"]


@pytest.mark.parametrize("step", ["link supervisor.json", "link process.json"])
def test_a_full_disk_lets_an_attempt_begin_later_or_fail_and_never_twice(
    runner: CommandRunner, commands: Commands, dying: Dying, step: str
) -> None:
    dying.fails_at(step)
    run = started(runner, create("quick", date=some_date()))
    until(lambda: _has_ended(runner, run), "the attempt has ended")
    assert dying.is_past()
    ended = seen(runner, run)
    assert ended is not None
    begun = step == "link supervisor.json"
    assert ended.state is (State.SUCCESS if begun else State.FAILED)
    assert commands.executions() == [f"{run.run_id} 1"] * begun


def test_a_supervisor_that_stands_still_while_others_come_loses_nothing(
    runner: CommandRunner, commands: Commands
) -> None:
    request = create("gated", date=some_date())
    run = happened(runner.start(request))
    (supervisor,) = commands.processes("supervisor.json")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        assert is_same_attempt(happened(runner.start(request)), run)
        until(lambda: bool(commands.executions()), "it runs")
        commands.open_gate()
        until(lambda: not [*commands.processes("process.json")], "the command has ended")
        now = seen(runner, run)
        assert now is not None
        assert now.state is State.RUNNING
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_for(runner, run, State.SUCCESS)
    assert commands.executions() == [f"{run.run_id} 1"]


def test_sigterm_to_the_supervisor_ends_the_command_and_what_it_has_started(commands: Commands, tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f'sleep 60 & echo $! > "{child}.new"; mv "{child}.new" "{child}"; wait'
    parent = {"parent": {"argv": ["/bin/sh", "-c", script]}}
    stopped = CommandRunner("jobs", commands.settings(commands=parent, request_timeout=30))
    run = happened(stopped.start(create("parent")))
    until(child.exists, "it has a child")
    (supervisor,) = commands.processes("supervisor.json")
    os.kill(supervisor, signal.SIGTERM)
    ended = wait_for(stopped, run, State.FAILED)
    assert ended.note is not None
    assert ended.note.startswith("somebody stopped it: it was ended by signal 15")
    until(lambda: not _exists(int(child.read_text())), "its child has ended, too")


def _exists(pid: int) -> bool:
    return _state(pid) not in (None, "Z")


def _state(pid: int) -> str | None:
    """The letter that proc(5) gives it; ``None``: there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_command_that_takes_longer_than_its_timeout_is_ended(commands: Commands) -> None:
    stubborn = {"stubborn": {"argv": ["sleep", "60"], "timeout": "1 second"}}
    runner = CommandRunner("jobs", commands.settings(commands=stubborn, request_timeout=30))
    begun = time.monotonic()
    run = happened(runner.start(create("stubborn")))
    ended = wait_for(runner, run, State.FAILED)
    assert time.monotonic() - begun >= 1
    assert ended.note is not None
    assert ended.note.startswith("it took longer than its timeout")
