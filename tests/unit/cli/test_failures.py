"""An error becomes one message on stderr and an exit code to act upon."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from coordinator.cli.failures import CommandGroup, ExitCode
from coordinator.errors import ConfigurationError, CoordinatorError
from coordinator.model.runstate import InvalidReport
from coordinator.runners.port import EnvironmentUnavailable, RequestRefused
from coordinator.store.port import AccessDenied, StoreError, StoreUnavailable


def call_raising(error: Exception, *arguments: str) -> Any:
    app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)

    @app.callback()
    def group(debug: bool = False) -> None:
        del debug

    @app.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(app, [*arguments, "fail"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("coordinator.toml: etcd.port: unknown"), ExitCode.USAGE),
        (InvalidReport("no state"), ExitCode.USAGE),
        (StoreUnavailable("etcd 127.0.0.1:1: no answer"), ExitCode.UNREACHABLE),
        (EnvironmentUnavailable("default: no answer"), ExitCode.UNREACHABLE),
        (AccessDenied("etcd says no"), ExitCode.REFUSED),
        (RequestRefused("403", status=403), ExitCode.REFUSED),
        (StoreError("too large"), ExitCode.PROBLEM),
        (CoordinatorError("anything else"), ExitCode.PROBLEM),
    ],
)
def test_an_error_is_one_message_and_its_exit_code(error: CoordinatorError, code: ExitCode) -> None:
    result = call_raising(error)
    assert result.exit_code == code
    assert result.stderr == f"coordinator: {error}\n"
    assert result.stdout == ""


def test_debug_shows_the_traceback_and_keeps_the_exit_code() -> None:
    result = call_raising(StoreUnavailable("etcd: no answer"), "--debug")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "Traceback (most recent call last)" in result.stderr
    assert "etcd: no answer" in result.stderr


def test_ctrl_c_at_a_question_is_an_interruption() -> None:
    """click makes an Abort of it, and would end with 1."""
    result = call_raising(typer.Abort())
    assert result.exit_code == ExitCode.INTERRUPTED
    assert "coordinator: interrupted at a question, nothing was done" in result.stderr


@pytest.mark.slow
def test_a_mistake_of_our_own_is_never_taken_for_a_problem_found() -> None:
    code = (
        "from coordinator.cli import application\n"
        "@application.app.command('broken')\n"
        "def broken(): raise RuntimeError('a bug')\n"
        "import sys; sys.argv = ['coordinator', 'broken']\n"
        "application.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == ExitCode.MISTAKE
    assert "RuntimeError: a bug" in ended.stderr
    assert "a mistake in the coordinator itself" in ended.stderr
