"""The settings of commands: what cannot work is refused when they are read, with its place."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.config.loading import load_settings
from coordinator.errors import ConfigurationError
from coordinator.runners.command.settings import Command, CommandSettings

SECTION = '[environments.jobs]\nkind = "command"\nhost = "etl-1"\ndirectory = "/var/lib/jobs"\n'
LOAD = '[environments.jobs.commands.load]\nargv = ["/opt/load", "--full"]\n'


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COORDINATOR_"):
            monkeypatch.delenv(name)


def read(text: str, tmp_path: Path) -> CommandSettings:
    file = tmp_path / "coordinator.toml"
    file.write_text(text)
    found = load_settings(file).environments["jobs"]
    assert isinstance(found, CommandSettings)
    return found


def test_what_a_command_may_say(tmp_path: Path) -> None:
    more = 'working_directory = "/opt"\nenv = { A = "b" }\npass_env = ["COORDINATOR_CONFIG"]\ntimeout = "2 hours"\n'
    settings = read(SECTION + "max_runs_in_flight = 2\n" + LOAD + more, tmp_path)
    assert settings.max_runs_in_flight == 2
    assert not settings.reports
    assert not settings.is_observed
    load = settings.commands["load"]
    assert (load.argv, load.env, load.pass_env) == (["/opt/load", "--full"], {"A": "b"}, ["COORDINATOR_CONFIG"])
    assert load.timeout == timedelta(hours=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SECTION, "environments.jobs.commands: is required"),
        (SECTION + "commands = {}\n", "environments.jobs.commands: "),
        (SECTION + "[environments.jobs.commands.load]\nargv = []\n", "environments.jobs.commands.load.argv: "),
        (SECTION + '[environments.jobs.commands.load]\nargv = "x"\n', "commands.load.argv: expected a list"),
        (SECTION + '[environments.jobs.commands.load]\nargv = ["./x"]\n', "expected an absolute path, or a name"),
        (SECTION + '[environments.jobs.commands.load]\nargv = [""]\n', "expected an absolute path, or a name"),
        (SECTION + '[environments.jobs.commands.load]\nargv = ["x", "\\u0000"]\n', "NUL"),
        (SECTION + LOAD + 'arvg = ["x"]\n', "commands.load.arvg: unknown setting; did you mean argv?"),
        (SECTION + LOAD + 'env = { "1A" = "x" }\n', "is not a name of a variable"),
        (SECTION + LOAD + 'env = { COORDINATOR_PARTITION = "x" }\n', "is set by the coordinator for each run"),
        (SECTION + LOAD + 'env = { A = "\\u0000" }\n', "NUL"),
        (SECTION + LOAD + 'pass_env = ["A=B"]\n', "is not a name of a variable"),
        (SECTION + LOAD + 'working_directory = "opt"\n', "'opt' is relative; expected an absolute path"),
        (SECTION + LOAD + 'timeout = "0 seconds"\n', "is not a positive duration"),
        (SECTION + LOAD.replace("commands.load", 'commands."../x"'), "is not a name of a command"),
        (SECTION + LOAD.replace("commands.load", 'commands."a b"'), "is not a name of a command"),
        (SECTION.replace('"/var', '"var') + LOAD, "is relative; expected an absolute path"),
        (SECTION.replace('host = "etl-1"\n', "") + LOAD, "environments.jobs.host: is required"),
        (SECTION + 'url = "http://x"\n' + LOAD, "environments.jobs.url: unknown setting"),
        (SECTION + "observe = true\n" + LOAD, "environments.jobs.observe: unknown setting"),
    ],
)
def test_a_mistake_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(text, tmp_path)
    assert str(tmp_path / "coordinator.toml") in str(caught.value)
    assert said in str(caught.value)


def test_variables_win_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_ENVIRONMENTS__jobs__HOST", "etl-2")
    monkeypatch.setenv("COORDINATOR_ENVIRONMENTS__jobs__COMMANDS__load__ARGV", '["/opt/other"]')
    settings = read(SECTION + LOAD, tmp_path)
    assert (settings.host, settings.commands["load"].argv) == ("etl-2", ["/opt/other"])


def test_a_program_is_looked_for_where_the_command_finds_it(tmp_path: Path) -> None:
    program = tmp_path / "our-program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert Command(argv=["our-program"]).problem() == "our-program is not there, or is not executable"
    assert Command(argv=["our-program"], env={"PATH": str(tmp_path)}).problem() is None
    assert Command(argv=[str(program)]).problem() is None
    program.chmod(0o644)
    assert Command(argv=[str(program)]).problem() is not None
