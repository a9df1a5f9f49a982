"""A command that takes too long is stopped: that attempt of it, whatever has been killed of it before."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from coordinator.model.runstate import State
from coordinator.runners.command import runner as command_runner
from coordinator.runners.command.atomic import write_new
from coordinator.runners.command.runner import CommandRunner
from coordinator.runners.port import EnvironmentUnavailable, Happened, ObservedRun, RunRef
from coordinator.runners.testing import clear, create, happened, seen, some_date, wait_for
from tests.integration.commands.playground import Commands
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("timeouts")

TRAPS = 'trap "" TERM; echo "$COORDINATOR_RUN_ID" >> "$NOTES"; while true; do sleep 0.1; done'


@pytest.fixture
def runner(commands: Commands) -> Iterator[CommandRunner]:
    runner = CommandRunner("jobs", commands.settings(request_timeout=30))
    yield runner
    runner.close()


def stop(runner: CommandRunner, run: ObservedRun) -> object:
    return runner.stop(RunRef(run.dag_id, run.run_id), before=run.queued_at)


def _running(runner: CommandRunner, commands: Commands, name: str = "slow") -> ObservedRun:
    run = happened(runner.start(create(name, date=some_date())))
    until(lambda: commands.executions() != [], "the program runs")
    return run


def test_its_processes_end_and_the_note_says_why(runner: CommandRunner, commands: Commands) -> None:
    run = _running(runner, commands)
    assert isinstance(stop(runner, run), Happened)
    ended = wait_for(runner, run, State.FAILED)
    assert ended.note is not None
    assert ended.note.startswith("the coordinator stopped it: it was ended by signal 15")
    until(lambda: not [*commands.processes("process.json")], "no process is left")
    cleared = happened(runner.start(clear(ended)))
    until(lambda: len(commands.executions()) == 2, "it runs again")
    assert cleared.queued_at != run.queued_at


def test_an_attempt_that_was_cleared_since_goes_on(runner: CommandRunner, commands: Commands) -> None:
    run = _running(runner, commands)
    stop(runner, run)
    cleared = happened(runner.start(clear(wait_for(runner, run, State.FAILED))))
    until(lambda: len(commands.executions()) == 2, "it runs again")
    assert not isinstance(stop(runner, run), Happened)
    now = seen(runner, cleared)
    assert now is not None
    assert now.state is State.RUNNING


def test_told_again_it_keeps_its_time_to_end_well(commands: Commands) -> None:
    """The supervisor takes a second signal for SIGKILL. Somebody who asks again and again must not send it."""
    settings = commands.settings(
        request_timeout=30,
        commands={"stubborn": {"argv": ["/bin/sh", "-c", TRAPS], "env": {"NOTES": str(commands.notes)}}},
    )
    runner = CommandRunner("jobs", settings)
    run = _running(runner, commands, "stubborn")
    for _ in range(3):
        assert isinstance(stop(runner, run), Happened)
        time.sleep(0.2)  # a SIGKILL would arrive meanwhile; that none comes has no event
    now = seen(runner, run)
    assert now is not None
    assert now.state is State.RUNNING


def test_what_nobody_has_begun_never_begins(
    runner: CommandRunner, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise OSError("the watcher was killed here")

    with monkeypatch.context() as patched:
        patched.setattr(command_runner, "spawn", killed)
        request = create("quick", date=some_date())
        with pytest.raises(EnvironmentUnavailable):
            runner.start(request)
    (attempt,) = commands.attempts()
    run = ObservedRun("quick", request.run_id, State.QUEUED, None)
    queued = seen(runner, run)
    assert queued is not None
    assert queued.state is State.QUEUED
    assert happened(stop(runner, queued)).state is State.FAILED
    ended = happened(runner.ask(request))
    assert (ended.state, ended.note and ended.note.partition(";")[0]) == (
        State.FAILED,
        "the coordinator stopped it: it never began",
    )
    assert commands.executions() == []
    assert (attempt / "exit.json").exists()


def test_a_stop_that_was_killed_halfway_ends_it_all_the_same(
    runner: CommandRunner, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had taken the attempt, and was killed before it wrote that it has ended."""
    with monkeypatch.context() as patched:
        patched.setattr(command_runner, "spawn", lambda *_, **__: None)
        run = happened(runner.start(create("quick", date=some_date())))
    (attempt,) = commands.attempts()
    write_new(attempt / "stop.json", {"stopped_at": "2026-11-20T00:00:00+00:00"})
    write_new(attempt / "supervisor.json", {"process": {}, "claimed_at": "2026-11-20T00:00:00+00:00"})
    assert happened(stop(runner, run)).state is State.FAILED
    assert happened(runner.ask(create("quick", run_id=run.run_id, token=str(run.token)))).state is State.FAILED
    assert commands.executions() == []


def test_a_command_whose_supervisor_was_killed_is_ended(runner: CommandRunner, commands: Commands) -> None:
    run = _running(runner, commands)
    (supervisor,) = commands.processes("supervisor.json")
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not [*commands.processes("supervisor.json")], "the supervisor has ended")
    assert isinstance(stop(runner, run), Happened)
    until(lambda: not [*commands.processes("process.json")], "no process is left")
    wait_for(runner, run, State.FAILED)
