"""Which configuration a command reads: the one that is named, else the one in the working directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from typer.main import get_command

from coordinator.cli import app
from coordinator.cli.failures import ExitCode
from tests.command_line import Cli

WITH = '[environments.{name}]\nurl = "http://127.0.0.1:1"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a coordinator.toml and a file whose environment it configures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coordinator.toml").write_text(WITH.format(name="here"))
    (tmp_path / "dependencies.json").write_text('{"here/a": "here/b"}')
    return tmp_path


def test_the_file_that_is_here_is_read_unless_another_one_is_named(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)  # the fixture of the command line has gone elsewhere
    assert cli("validate").exit_code == ExitCode.OK
    (here / "other.toml").write_text(WITH.format(name="other"))
    named = cli("validate", "--config", "other.toml")
    assert "unknown environment 'here'" in named.stdout
    monkeypatch.setenv("COORDINATOR_CONFIG", "other.toml")
    assert "unknown environment 'here'" in cli("validate").stdout, "the variable goes before the directory"
    assert cli("validate", "-c", "coordinator.toml").exit_code == ExitCode.OK
    monkeypatch.setenv("COORDINATOR_CONFIG", "")
    assert "names of environments were not checked" in cli("validate").stdout, "set to nothing: none is read"


def test_a_file_of_another_user_is_not_read_unless_it_is_named(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can name programs that give out passwords, and whoever goes into a directory has not asked for these."""
    monkeypatch.chdir(here)
    monkeypatch.setattr(os, "geteuid", lambda: (here / "coordinator.toml").stat().st_uid + 1)
    if (here / "coordinator.toml").stat().st_uid == 0:
        os.chown(here / "coordinator.toml", 4711, -1)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    refused = cli("validate")
    assert refused.exit_code == ExitCode.USAGE
    assert "coordinator.toml: belongs to another user" in refused.stderr
    assert "--config coordinator.toml" in refused.stderr
    assert cli("validate", "--config", "coordinator.toml").exit_code == ExitCode.OK


@pytest.mark.usefixtures("here")
def test_every_command_finds_it_in_the_same_way() -> None:
    without = set()
    for name, command in commands_of(get_command(app)):
        options = [one for one in command.params if "--config" in one.opts]
        if not options:
            without.add(name)
        for option in options:
            assert option.envvar == "COORDINATOR_CONFIG", name
            assert option.callback is not None, name
            assert option.callback(click.Context(command), option, None) == Path("coordinator.toml"), name
    dags = {"dags check", "dags deploy", "dags generate", "dags lint"}
    assert without == {"etcd", "import composer", "import playground"} | dags


def commands_of(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
    for sub, one in (below or {}).items():
        yield from commands_of(one, f"{name} {sub}".strip())
