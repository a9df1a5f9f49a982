"""Credentials that would cross a network in the clear: ``doctor`` says so, and ``watch`` when it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from tests.command_line import Cli

WARNING = "environments.elsewhere.url: http://0.0.0.0:1 is not encrypted and not on this machine"


@pytest.fixture
def insecure(config: Path) -> Path:
    with config.open("a") as file:
        file.write('[environments.elsewhere]\nurl = "http://0.0.0.0:1"\n')
    return config


@pytest.fixture
def dependencies(tmp_path: Path) -> Path:
    file = tmp_path / "dependencies.json"
    file.write_text("{}")
    return file


def test_doctor_warns(cli: Cli, insecure: Path, dependencies: Path) -> None:
    findings = json.loads(cli("doctor", "-c", insecure, "-d", dependencies, "--json").stdout)["findings"]
    (finding,) = [each for each in findings if each["subject"] == "encryption"]
    assert finding["grade"] == "warning"
    assert finding["found"].startswith(WARNING)


def test_watch_warns_when_it_starts(cli: Cli, insecure: Path, dependencies: Path) -> None:
    ended = cli("watch", "-c", insecure, "-d", dependencies, "--max-runtime", "0.1")
    assert ended.exit_code == ExitCode.OK, ended.stderr
    entries = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    (warning,) = [entry for entry in entries if entry["event"] == "settings.insecure"]
    assert warning["level"] == "warning"
    assert warning["reason"].startswith(WARNING)
