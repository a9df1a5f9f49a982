"""``coordinator watch``, before it watches."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from tests.command_line import Cli
from tests.command_line import cli as cli


def test_a_dependencies_file_that_is_not_there_is_a_wrong_command_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "nowhere.json"
    result = cli("watch", "--dependencies", missing, "--max-runtime", 1)
    assert result.exit_code == ExitCode.USAGE
    assert f"{missing}: cannot be read: No such file or directory; expected the dependencies.json" in result.stderr
    monkeypatch.setenv("COORDINATOR_DEPENDENCIES", str(missing))
    assert cli("watch", "--max-runtime", 1).exit_code == ExitCode.USAGE
    assert cli("watch", "--dependencies", tmp_path, "--max-runtime", 1).exit_code == ExitCode.USAGE


def test_a_watcher_that_could_start_nothing_does_not_begin(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a new terminal, mostly, where nothing names the configuration."""
    monkeypatch.chdir(tmp_path)
    result = cli("watch", "--max-runtime", 1)
    assert result.exit_code == ExitCode.USAGE
    assert "no environment is configured, as no configuration was found; name it with --config or" in result.stderr
    (tmp_path / "coordinator.toml").touch()
    assert "no environment is configured in coordinator.toml; add [environments.default] to it" in cli("watch").stderr
