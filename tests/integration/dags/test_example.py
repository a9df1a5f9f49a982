"""``examples/dag-builder``: three templates, four DAGs, two environments."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.dags_project import contents

EXAMPLE = Path(__file__).parents[3] / "examples/dag-builder"


@pytest.mark.slow
def test_the_example_is_generated_linted_and_deployed(
    cli: Cli, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a real Airflow, which reads no configuration at import, and to a real S3-compatible server."""
    shutil.copytree(EXAMPLE, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    result = cli("dags", "check")
    assert result.stdout == "dags.yaml: good: 4 DAGs, 7 DAG files; nothing was written\n"
    assert cli("dags", "generate").exit_code == ExitCode.OK
    assert {path.partition("/")[0] for path in contents(Path("generated"))} == {"dev", "prod"}
    result = cli("dags", "lint", "generated/dev", "generated/prod")
    assert result.stdout == "generated/dev, generated/prod: good: 7 Python files, of which 7 DAG files imported\n"
    for _ in range(2):
        result = cli("dags", "deploy", "generated/prod", bucket, "--yes")
        assert result.exit_code == ExitCode.OK, result.stderr
    assert result.stdout == f"{bucket}: 5 unchanged\n"
    assert contents(EXAMPLE).keys() == {
        "dags.yaml",
        *(f"templates/{name}.py.j2" for name in ("base", "load", "report", "clean_up")),
    }
