"""The command line, called as a person calls it, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from coordinator.cli import app

Cli = Callable[..., Any]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Calls ``coordinator`` with arguments; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))  # a coordinator.toml where the tests are started is not meant
    for variable in ("COORDINATOR_CONFIG", "COLUMNS"):  # whatever this terminal is like
        monkeypatch.delenv(variable, raising=False)
    runner = CliRunner()

    def call(*arguments: object, stdin: str | None = None) -> Any:
        return runner.invoke(app, list(map(str, arguments)), input=stdin)

    yield call
    structlog.reset_defaults()  # a command configures the logs of its process
