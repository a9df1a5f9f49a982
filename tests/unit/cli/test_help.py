"""``coordinator --help``: quick, complete, with examples and exit codes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest
from typer.main import get_command

from coordinator.cli import app
from coordinator.cli.failures import ExitCode
from coordinator.version import __version__

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def coordinator(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coordinator.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb", **environment},
        check=False,
    )


def test_the_help_lists_every_command_and_every_exit_code() -> None:
    shown = coordinator("--help")
    assert shown.returncode == 0
    words = " ".join(shown.stdout.split())
    assert {"validate", "report", "hold", "release", "doctor", "etcd"} <= set(COMMANDS)
    for command in COMMANDS:
        assert f" {command} " in words
    for code in ExitCode:
        assert f"{code:d} {code.meaning}" in words


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    help_text = get_command(app).commands[command].help  # type: ignore[attr-defined]
    assert help_text
    assert f"coordinator {command}" in help_text


@pytest.mark.slow
@pytest.mark.parametrize("command", [*COMMANDS, "outbox replay", "dependencies show"])
def test_paragraphs_of_help_are_broken_by_the_terminal_alone(command: str) -> None:
    shown = coordinator(*command.split(), "--help", COLUMNS="1000").stdout
    text = shown[shown.index("Usage:") : shown.index("╭─")].splitlines()[1:]
    assert all(not above.strip() or not below.strip() for above, below in itertools.pairwise(text)), shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_and_option_says_what_it_is(command: str) -> None:
    group = get_command(app).commands[command]  # type: ignore[attr-defined]
    for one in getattr(group, "commands", {command: group}).values():
        assert [parameter.name for parameter in one.params if not parameter.help] == []


@pytest.mark.parametrize("command", ["rerun", "mark", "release", "hold", "fill", "forget"])
def test_what_people_do_takes_the_same_arguments_in_the_same_order(command: str) -> None:
    parameters = get_command(app).commands[command].params  # type: ignore[attr-defined]
    arguments = [one.name for one in parameters if one.param_type_name == "argument"]
    assert arguments[:2] == (["pipeline"] if command == "hold" else ["pipeline", "partition"])
    options = {option for one in parameters if one.param_type_name == "option" for option in one.opts}
    assert {"--yes", "-y", "--reason", "-r", "--who", "--json", "--config"} <= options
    assert ("--dry-run" in options) is (command != "hold"), "it starts nothing"


def test_help_waits_for_nothing_that_only_a_command_needs() -> None:
    code = (
        "import sys, coordinator.cli\n"
        "late = {'airflow', 'etcd3', 'fsspec', 'grpc', 'jinja2', 'pathspec', 'pydantic', 'requests', 'rich'}\n"
        "print(sorted((late | {'structlog', 'yaml'}) & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()
    assert loaded == "[]"


@pytest.mark.slow
def test_no_arguments_show_the_help_and_an_unknown_command_the_nearest_one() -> None:
    assert "Commands" in coordinator().stdout
    mistaken = coordinator("validat")
    assert mistaken.returncode == ExitCode.USAGE
    assert "validate" in mistaken.stderr


def test_the_version_is_printed() -> None:
    assert coordinator("--version").stdout == f"coordinator {__version__}\n"


def test_the_shell_can_complete_commands() -> None:
    completed = coordinator(
        _COORDINATOR_COMPLETE="complete_bash", COMP_WORDS="coordinator va", COMP_CWORD="1", _TYPER_COMPLETE_ARGS=""
    )
    assert completed.stdout.split() == ["validate"]
