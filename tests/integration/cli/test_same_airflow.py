"""Two environments with one url: told wherever the configuration is checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from tests.command_line import Cli

URLS = {"eu": "http://127.0.0.1:1", "us": "http://127.0.0.1:1/"}
SAYS = "environments eu, us are the same Airflow (http://127.0.0.1:1): each run there counts in all of them"


@pytest.fixture
def twice(config: Path) -> Path:
    with config.open("a") as file:
        file.writelines(f'[environments.{name}]\nurl = "{url}"\n' for name, url in URLS.items())
    return config


@pytest.fixture
def dependencies(tmp_path: Path) -> Path:
    file = tmp_path / "dependencies.json"
    file.write_text("{}")
    return file


def test_doctor_warns(cli: Cli, twice: Path, dependencies: Path) -> None:
    findings = json.loads(cli("doctor", "-c", twice, "-d", dependencies, "--json").stdout)["findings"]
    assert [one["grade"] for one in findings if one["found"] == SAYS] == ["warning"]


def test_validate_warns(cli: Cli, twice: Path, dependencies: Path) -> None:
    ended = cli("validate", dependencies, "-c", twice)
    assert ended.exit_code == ExitCode.OK
    assert f"warning: {SAYS}; correct url" in ended.stderr
    assert ended.stderr.startswith(str(twice))


def test_watch_warns_when_it_starts(cli: Cli, twice: Path, dependencies: Path) -> None:
    ended = cli("watch", "-c", twice, "-d", dependencies, "--max-runtime", "0.1")
    entries = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert [one["reason"] for one in entries if one["event"] == "settings.same_airflow"] == [SAYS]
