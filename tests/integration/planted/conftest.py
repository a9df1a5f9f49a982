"""The stage, played once for all tests here, and the command line on it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from coordinator.cli import app
from tests.integration.planted.stage import PARTITION, Stage

COMMANDS = {
    "status": ["status", "--all"],
    "status as JSON": ["status", "--all", "--json"],
    "doctor": ["doctor"],
    "doctor as JSON": ["doctor", "--json"],
    "explain": ["explain", "team_c/A", PARTITION],
    "explain as JSON": ["explain", "echo/A", PARTITION, "--json"],
    "validate": ["validate"],
    "plan": ["plan"],
    "preview": ["watch", "--preview", "--json"],
    "acts": ["acts", "--json"],
    "hold": ["hold", "team_b/A", "--reason", "a test"],
    "release": ["release", "team_b/A", "--yes"],
    "gaps": ["gaps", "--json"],
}
WITH_DEPENDENCIES = {"doctor", "doctor as JSON", "preview"}


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Everything has been played; the texts are there."""
    with Stage(tmp_path_factory.mktemp("planted")) as stage:
        stage.play()
        for name, command in COMMANDS.items():
            stage.texts[f"command {name}"] = run(stage, *command, config=stage.config, name=name)
        stage.stop_watcher()
        for airflow in stage.airflows.values():
            for token in airflow.logins._tokens:
                stage.secrets.add("a token that an Airflow gave out", token.split(".")[1])
        yield stage
    structlog.reset_defaults()


def run(stage: Stage, *arguments: str, config: Path, name: str = "", **variables: str) -> str:
    """All that a command prints, with everything turned on that makes it print more."""
    command = ["--debug", "--log-level", "debug", *arguments]
    command += [str(stage.dependencies)] if name in ("validate", "plan") else []
    command += ["--rev", str(stage.refused_at())] if name == "explain as JSON" else []
    command += ["--config", str(config)]
    command += ["--dependencies", str(stage.dependencies)] if name in WITH_DEPENDENCIES else []
    result = CliRunner().invoke(app, command, env={**stage.variables, "COLUMNS": "4000", **variables})
    trace = "".join(traceback.format_exception(result.exception)) if result.exception is not None else ""
    return f"{result.exit_code}\n{result.stdout}\n{result.stderr}\n{trace}"


def clean(stage: Stage, text: str, *, has: str) -> None:
    """What must be there is, and no secret."""
    assert has in text
    assert stage.secrets.found_in(text) == []
