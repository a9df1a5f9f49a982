"""The steps of ``action.yml``, run with bash as GitHub runs them, against a real etcd."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.cli.failures import ExitCode
from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import EtcdStore
from coordinator.store.embedded import free_port
from coordinator.store.keys import Keys
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.integration.distribution.conftest import REPOSITORY

ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
INSTALL, COMPARE = ACTION["runs"]["steps"]
INPUTS: dict[str, str] = {name: one.get("default", "") for name, one in ACTION["inputs"].items()}
SECTION = (REPOSITORY / "docs" / "publishing.md").read_text(encoding="utf-8").partition("\n### Publishing from CI\n")[2]
WORKFLOW: dict[Any, Any] = yaml.safe_load(re.findall(r"^```yaml\n(on: .*?)^```$", SECTION, re.MULTILINE | re.DOTALL)[0])
EXPRESSION = re.compile(r"\$\{\{ *inputs\.([\w-]+) *\}\}")
BORROWING = f"""#!/bin/sh
"{sys.executable}" "$@" || exit
for packages in "$RUNNER_TEMP"/etcd-coordinator/lib/python*/site-packages; do
  echo "{sysconfig.get_path("purelib")}" >"$packages/borrowed.pth"
done
"""
"""A Python whose virtual environments have the packages that are here, so that pip needs no index. The checkout is not
among them: the ``.pth`` that leads to it is not read."""


@dataclass
class Ended:
    """What a step has left.

    :ivar said: its stdout and stderr.
    """

    code: int
    said: str
    stderr: str
    outputs: dict[str, str] = field(default_factory=dict)


def run_step(step: dict[str, Any], runner: Path, where: Path, **inputs: str) -> Ended:
    """Run a step as a runner does: inputs put in, the script in a file, and bash that ends with the first failure."""
    python = runner / "python"
    python.write_text(BORROWING, encoding="utf-8")
    python.chmod(0o755)
    given = {**INPUTS, "python": str(python), **inputs}
    variables = {name: EXPRESSION.sub(lambda found: given[found[1]], text) for name, text in step["env"].items()}
    script, output = runner / "step.sh", runner / "output"
    script.write_text(step["run"], encoding="utf-8")
    output.write_text("", encoding="utf-8")
    ended = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
        cwd=where,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("COORDINATOR_")},
            "PIP_NO_INDEX": "1",
            "PYTHONPATH": ".",  # as jobs of Python projects have it
            **variables,
            "RUNNER_TEMP": str(runner),
            "GITHUB_ACTION_PATH": str(REPOSITORY),
            "GITHUB_OUTPUT": str(output),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = output.read_text(encoding="utf-8").splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    return Ended(ended.returncode, ended.stdout + ended.stderr, ended.stderr, outputs)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner's directory for what lasts as long as a job, with the coordinator installed by the action."""
    directory = tmp_path_factory.mktemp("runner")
    ended = run_step(INSTALL, directory, directory)
    assert ended.code == 0, ended.said
    return directory


@pytest.fixture
def repository(tmp_path: Path, etcd_settings: EtcdSettings, cli: Cli) -> Path:
    """Somebody's checkout: a configuration, and a file that has been published as it is."""
    etcd_section = f'[etcd]\nendpoints = ["{etcd_settings.endpoints[0]}"]\nprefix = "{etcd_settings.prefix}"\n'
    (tmp_path / "coordinator.toml").write_text(etcd_section, encoding="utf-8")
    write(tmp_path, {"report": "load"})
    published = cli("apply", tmp_path / "dependencies.json", "--yes", "-c", tmp_path / "coordinator.toml")
    assert published.exit_code == ExitCode.OK, published.output
    return tmp_path


def write(repository: Path, content: dict[str, Any]) -> None:
    (repository / "dependencies.json").write_text(json.dumps(content), encoding="utf-8")


def plant(checkout: Path) -> Path:
    """Files of a pull request that Python would import if it looked there. The file that is there once one has run."""
    ran = checkout / "ran"
    for module in ("venv", "ensurepip", "pip", "coordinator", "coordinator/cli", "hatchling", "sitecustomize"):
        (checkout / module).mkdir()
        for name in ("__init__.py", "__main__.py"):
            (checkout / module / name).write_text(f"open({str(ran)!r}, 'w')\n", encoding="utf-8")
    return ran


def obeyed(said: str) -> list[str]:
    """The commands in a log that a runner follows: a line that begins so, and ``##[...]`` anywhere in a line."""
    found, until = [], None
    for line in said.splitlines():
        command = re.match(r"\s*::([^\s:]+)[^:]*::(.*)", line) or re.search(r"##\[([^\s\]]+)[^\]]*\](.*)", line)
        if command is None or until not in (None, command[1]):
            continue
        until = command[2] if command[1] == "stop-commands" else None
        found.append(line)
    return found


def compare(runner: Path, repository: Path, **inputs: str) -> Ended:
    return run_step(COMPARE, runner, repository, **{"config": "coordinator.toml", **inputs})


def test_the_action_is_one_that_github_can_run() -> None:
    assert ACTION["name"]
    assert ACTION["description"]
    assert ACTION["runs"]["using"] == "composite"
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an input in the script would be shell code"
        named = {name for text in step["env"].values() for name in EXPRESSION.findall(text)}
        assert named <= INPUTS.keys()
    assert ACTION["outputs"]["differs"]["value"] == f"${{{{ steps.{COMPARE['id']}.outputs.differs }}}}"


def test_the_documents_name_every_input_with_its_default() -> None:
    section = SECTION.split("\n### ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \| (?:`(.+?)`|none) \| ", section, re.MULTILINE)
    assert dict(rows) == INPUTS
    assert WORKFLOW["jobs"]["plan"]["steps"][-1]["with"].keys() <= INPUTS.keys()


def test_the_workflow_of_the_documents_takes_the_file_alone_from_the_pull_request() -> None:
    *checkouts, action = WORKFLOW["jobs"]["plan"]["steps"]
    assert [checkout["uses"].split("@")[0] for checkout in checkouts] == ["actions/checkout"] * 2
    base, proposed = (checkout["with"] for checkout in checkouts)
    assert base["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "path" not in base
    assert "ref" not in proposed
    assert action["with"]["dependencies"].startswith(proposed["path"] + "/")
    assert not action["with"]["config"].startswith(proposed["path"] + "/")


def test_the_workflow_of_the_documents_gives_a_secret_to_the_action_alone() -> None:
    *before, action = WORKFLOW["jobs"]["plan"]["steps"]
    assert "secrets." in json.dumps(action["env"])
    rest = {name: value for name, value in WORKFLOW["jobs"]["plan"].items() if name != "steps"}
    assert "secrets." not in json.dumps([rest, before])
    assert all(checkout["with"]["persist-credentials"] is False for checkout in before)
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW[True] == "pull_request", "YAML reads on as true"
    assert "head.repo.full_name == github.repository" in WORKFLOW["jobs"]["plan"]["if"]


@pytest.mark.parametrize("command", ["plan", "check"])
def test_an_unchanged_file_passes(runner: Path, repository: Path, command: str) -> None:
    ended = compare(runner, repository, command=command)
    assert (ended.code, ended.outputs) == (ExitCode.OK, {"differs": "false"}), ended.said


@pytest.mark.parametrize("command", ["plan", "check"])
def test_a_changed_file_is_shown_ends_with_5_and_is_not_published(
    runner: Path, repository: Path, etcd: EtcdStore, keys: Keys, command: str
) -> None:
    before = etcd.get(keys.dependencies("default"))
    write(repository, {"report": ["load", "customers"]})
    ended = compare(runner, repository, command=command)
    assert (ended.code, ended.outputs) == (ExitCode.DIFFERENT, {"differs": "true"}), ended.said
    assert "customers" in ended.said
    assert etcd.get(keys.dependencies("default")) == before


def test_a_difference_can_be_shown_without_failing(runner: Path, repository: Path) -> None:
    write(repository, {"report": ["load", "customers"]})
    ended = compare(runner, repository, **{"fail-on-difference": "false"})
    assert (ended.code, ended.outputs) == (ExitCode.OK, {"differs": "true"}), ended.said


@pytest.mark.parametrize("command", ["plan", "check"])
def test_a_file_that_cannot_be_published_fails_also_where_a_difference_does_not(
    runner: Path, repository: Path, command: str
) -> None:
    write(repository, {"report": "report"})
    ended = compare(runner, repository, **{"command": command, "fail-on-difference": "false"})
    assert (ended.code, ended.outputs) == (ExitCode.PROBLEM, {}), ended.said
    assert "report depends on itself" in ended.said


def test_an_etcd_that_does_not_answer_is_no_difference(runner: Path, repository: Path) -> None:
    (repository / "coordinator.toml").write_text(f'[etcd]\nendpoints = ["127.0.0.1:{free_port()}"]\n')
    ended = compare(runner, repository, **{"fail-on-difference": "false"})
    assert (ended.code, ended.outputs) == (ExitCode.UNREACHABLE, {}), ended.said


def test_another_file_and_owner_can_be_named(runner: Path, repository: Path) -> None:
    (repository / "team b.json").write_text('{"team_b/report": "load"}', encoding="utf-8")
    ended = compare(runner, repository, dependencies="team b.json", owner="team_b")
    assert (ended.code, ended.outputs) == (ExitCode.DIFFERENT, {"differs": "true"}), ended.said


@pytest.mark.parametrize(("name", "value"), [("command", "apply"), ("fail-on-difference", "no")])
def test_an_input_that_is_not_known_is_refused_with_what_was_expected(
    runner: Path, repository: Path, name: str, value: str
) -> None:
    ended = compare(runner, repository, **{name: value})
    assert ended.code == ExitCode.USAGE
    assert re.search(rf"input {name}: expected \w+ or \w+, found '{value}'", ended.said)


def test_an_input_is_never_run_as_shell_code(runner: Path, repository: Path) -> None:
    ended = compare(runner, repository, dependencies='"; touch here; $(touch here) `touch here`')
    assert ended.code == ExitCode.USAGE
    assert not (repository / "here").exists()


def test_a_configuration_that_is_not_named_is_not_read_from_the_checkout(runner: Path, repository: Path) -> None:
    """Whoever proposes a change could name a program in it, which would run with what the job may do."""
    (repository / "coordinator.toml").write_text("this is no TOML", encoding="utf-8")
    ended = compare(runner, repository, config="", dependencies="missing.json")
    assert "coordinator.toml" not in ended.said
    assert "missing.json: cannot be read" in ended.said


def test_no_file_of_the_checkout_is_run_as_code(runner: Path, repository: Path, tmp_path: Path) -> None:
    ran = plant(repository)
    elsewhere = tmp_path / "runner"
    elsewhere.mkdir()
    for ended in (run_step(INSTALL, elsewhere, repository), compare(runner, repository)):
        assert not ran.exists(), ended.said
        assert ended.code == ExitCode.OK, ended.said


@pytest.mark.parametrize("command", ["plan", "check"])
def test_no_name_in_the_file_is_taken_for_a_command_to_the_runner(runner: Path, repository: Path, command: str) -> None:
    names = ["##[set-output name=differs;]false", "##[add-mask]e", "::add-mask::report", "::stop-commands::x"]
    accepted = {"report": {"upstream": "load", "conf": {"note": "##[error]forged"}}, **dict.fromkeys(names, "load")}
    for content in (accepted, {name: {"upstream": 5} for name in names}):
        write(repository, content)
        ended = compare(runner, repository, command=command)
        assert "##[add-mask]e" in ended.said
        assert ended.stderr == "", "a runner reads stderr beside stdout, and not in the order in which it was written"
        stopped, resumed = obeyed(ended.said)
        token = stopped.removeprefix("::stop-commands::")
        assert len(token) >= 32
        assert resumed == f"::{token}::"
        assert obeyed(compare(runner, repository, command=command).said) != [stopped, resumed], "the same token again"


def test_every_package_of_the_index_is_held_to_its_hash() -> None:
    installs = re.findall(r"pip install ((?:.*\\\n)*.*)", INSTALL["run"])
    assert len(installs) == 2
    fetched, built = installs
    assert "--require-hashes" in fetched
    assert '"$GITHUB_ACTION_PATH/docker/watcher/requirements.txt"' in fetched
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(built.split())
