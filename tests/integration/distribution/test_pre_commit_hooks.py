"""``.pre-commit-hooks.yaml`` does what pre-commit does with it: install, choose files, run the entry on them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.cli.failures import ExitCode
from tests.integration.distribution.conftest import REPOSITORY, Installed

MANIFEST: list[dict[str, Any]] = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
(HOOK,) = MANIFEST
GOOD = {"report": "load"}
BAD = {"report": "report"}


def run_hook(installed: Installed, where: Path, *files: str, args: list[str] | None = None) -> tuple[int, str]:
    """As pre-commit runs a hook: its entry, its arguments or the user's, and all files that a commit changes."""
    ended = subprocess.run(
        [*shlex.split(HOOK["entry"]), *(HOOK.get("args", []) if args is None else args), *files],
        cwd=where,
        env={**os.environ, "PATH": f"{installed.coordinator.parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout


def documented_hook() -> dict[str, Any]:
    """The hook as docs/publishing.md tells people to configure it."""
    text = (REPOSITORY / "docs" / "publishing.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(repos:.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (hook,) = yaml.safe_load(example)["repos"][0]["hooks"]
    assert isinstance(hook, dict)
    return hook


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Somebody's repository, with a good file and a bad one."""
    for folder, content in (("team_a", GOOD), ("team_b", BAD)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dependencies.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_the_hook_has_what_pre_commit_needs() -> None:
    assert HOOK["id"] == "coordinator-validate"
    assert HOOK.keys() >= {"id", "name", "entry", "language"}
    assert HOOK["language"] == "python"


def test_the_hook_of_the_documents_is_the_one_that_exists() -> None:
    assert documented_hook()["id"] == HOOK["id"]


def test_the_hook_is_run_on_every_dependencies_json_and_on_no_other_file() -> None:
    chosen = re.compile(HOOK["files"])
    assert chosen.search("dependencies.json")
    assert chosen.search("teams/b/dependencies.json")
    for other in ("my-dependencies.json", "dependencies.json5", "dependencies_json", "dependencies.json/readme.md"):
        assert not chosen.search(other), other


def test_a_commit_of_good_files_passes(installed: Installed, repository: Path) -> None:
    code, said = run_hook(installed, repository, "team_a/dependencies.json")
    assert code == ExitCode.OK, said


def test_a_commit_with_a_bad_file_among_good_ones_is_stopped_and_told_why(
    installed: Installed, repository: Path
) -> None:
    code, said = run_hook(installed, repository, "team_a/dependencies.json", "team_b/dependencies.json")
    assert code == ExitCode.PROBLEM
    assert "team_b/dependencies.json:1:12: report: report depends on itself" in said


def test_the_environments_of_a_configuration_are_held_against_the_files(installed: Installed, repository: Path) -> None:
    (repository / "coordinator.toml").write_text('[environments.default]\nurl = "http://127.0.0.1:1"\n')
    (repository / "team_a" / "dependencies.json").write_text('{"report": "team_c/load"}', encoding="utf-8")
    code, said = run_hook(installed, repository, "team_a/dependencies.json", args=documented_hook()["args"])
    assert code == ExitCode.PROBLEM
    assert "unknown environment 'team_c'" in said


@pytest.mark.parametrize("documented", [False, True], ids=["the hook's own arguments", "those of the documents"])
def test_a_folder_whose_name_reads_as_an_option_is_a_path(
    installed: Installed, repository: Path, documented: bool
) -> None:
    (repository / "coordinator.toml").write_text('[environments.default]\nurl = "http://127.0.0.1:1"\n')
    folder = repository / "--config=team_a"
    folder.mkdir()
    (folder / "dependencies.json").write_text(json.dumps(BAD), encoding="utf-8")
    path = "--config=team_a/dependencies.json"
    code, said = run_hook(installed, repository, path, args=documented_hook()["args"] if documented else None)
    assert code == ExitCode.PROBLEM
    assert f"{path}:1:12: report: report depends on itself" in said
