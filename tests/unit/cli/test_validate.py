"""``coordinator validate``: file, place and reason of every problem, and a non-zero exit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.model.documents import json_schema
from tests.command_line import Cli

CONFIG = '[environments.default]\nurl = "http://127.0.0.1:1"\n[environments.team_b]\nurl = "http://127.0.0.1:2"\n'


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "dependencies.json"


def test_a_good_file_says_what_is_in_it(cli: Cli, written: Path) -> None:
    written.write_text('{"02": "01", "06": ["02", "team_b/x"]}')
    result = cli("validate", written)
    assert result.exit_code == ExitCode.OK
    assert f"{written}: good: 2 pipelines, 3 dependencies" in result.stdout
    assert "names of environments were not checked (--config coordinator.toml checks them)" in result.stdout
    assert "DAGs were not looked up in Airflow ('coordinator doctor' does)" in result.stdout


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ('{"a": "b",\n "b": "c",\n "c": "a"}', "3:7: c: ", "closes a cycle: c -> b -> a -> c"),
        ('{"a": "b", "a": "c"}', "1:12: a: ", "given twice"),
        ('{"a": ["b", "b"]}', "1:13: a[1]: ", "listed twice"),
        ('{"a": 1}', "1:7: a: ", "found the number 1"),
        ('{"a": "b",}', "1:10: ", "trailing comma"),
        ('{"a": "team_c/b"}', "1:7: a: ", "unknown environment 'team_c'"),
    ],
)
def test_a_bad_file_is_refused_with_file_place_and_reason(
    cli: Cli, written: Path, tmp_path: Path, text: str, place: str, reason: str
) -> None:
    written.write_text(text)
    config = tmp_path / "coordinator.toml"
    config.write_text(CONFIG)
    result = cli("validate", written, "--environments-from", config)
    assert result.exit_code == ExitCode.PROBLEM
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(f"{written}:{place}")]
    assert reason in line
    assert f"1 problem in {written}" in result.stdout


def test_the_configuration_may_be_named_as_for_every_command(
    cli: Cli, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written.write_text('{"a": "team_c/b"}')
    config = tmp_path / "coordinator.toml"
    config.write_text(CONFIG)
    assert cli("validate", written).exit_code == ExitCode.OK
    assert cli("validate", written, "-c", config).exit_code == ExitCode.PROBLEM
    monkeypatch.setenv("COORDINATOR_CONFIG", str(config))
    assert cli("validate", written).exit_code == ExitCode.PROBLEM


def test_json_says_the_same_to_programs(cli: Cli, written: Path) -> None:
    written.write_text('{"a": [],\n "b": {"upstream": "c", "rerun": "held"}}')
    result = cli("validate", written, "--json")
    assert result.exit_code == ExitCode.PROBLEM
    said = json.loads(result.stdout)
    assert said["ok"] is False
    assert said["file"] == str(written)
    assert [(p["line"], p["column"], p["path"]) for p in said["problems"]] == [(1, 7, "a"), (2, 34, "b.rerun")]
    written.write_text('{"a": "b"}')
    result = cli("validate", written, "--json")
    assert result.exit_code == ExitCode.OK
    assert json.loads(result.stdout) == {
        "file": str(written),
        "ok": True,
        "pipelines": 1,
        "dependencies": 1,
        "bridges": 0,
        "environments": None,
        "problems": [],
        "warnings": [],
        "cycles": [],
    }


def test_a_dependency_that_can_never_be_met_is_a_warning_and_with_strict_a_problem(cli: Cli, written: Path) -> None:
    berlin = {"mapper": "rollup", "window": "day", "timezone": "Europe/Berlin"}
    weeks = {"pipeline": "daily", "partition": {"mapper": "rollup", "window": "week"}}
    document = {"daily": {"upstream": {"pipeline": "hourly", "partition": berlin}}, "weekly": {"upstream": weeks}}
    written.write_text(json.dumps(document, indent=0))
    result = cli("validate", written)
    assert result.exit_code == ExitCode.OK
    (warning,) = [line for line in result.stdout.splitlines() if "warning:" in line]
    line = written.read_text().splitlines().index('"weekly": {') + 1
    assert warning.startswith(f"{written}:{line}:")
    assert "weekly: 'daily by rollup of the week's days' is never met: daily is started in" in warning
    assert "2 dependencies; 1 warning" in result.stdout
    assert cli("validate", written, "--strict").exit_code == ExitCode.PROBLEM
    said = json.loads(cli("validate", written, "--json").stdout)
    assert (said["ok"], [one["path"] for one in said["warnings"]]) == (True, ["weekly"])
    written.write_text('{"a": "b"}')
    assert cli("validate", written, "--strict").exit_code == ExitCode.OK


def test_a_slip_in_the_name_of_an_upstream_is_a_warning(cli: Cli, written: Path) -> None:
    written.write_text('{"sales.load": "extract",\n "report": "sales.lod"}')
    result = cli("validate", written, "--strict")
    assert result.exit_code == ExitCode.OK, "both may be right, and nothing in the file could say so"
    (warning,) = [line for line in result.stdout.splitlines() if "warning:" in line]
    assert warning.startswith(f"{written}:2:")
    assert "report: no entry declares sales.lod" in warning
    assert "did you mean sales.load?" in warning


def test_several_files_are_checked_each_for_itself(cli: Cli, tmp_path: Path) -> None:
    """As pre-commit hands over all files that a commit changes."""
    good, bad, worse = (tmp_path / name for name in ("good.json", "bad.json", "worse.json"))
    good.write_text('{"a": "b"}')
    bad.write_text('{"b": "a", "c": "c"}')
    worse.write_text("{")
    result = cli("validate", bad, good, worse)
    assert result.exit_code == ExitCode.PROBLEM
    assert [line for line in result.stdout.splitlines() if line.startswith(f"{bad}:1:17: c: c depends on itself")]
    assert f"1 problem in {bad}\n{good}: good: 1 pipeline, 1 dependency" in result.stdout
    assert result.stdout.endswith(f"1 problem in {worse}\n")
    assert cli("validate", good, good).exit_code == ExitCode.OK


def test_strict_looks_at_each_of_several_files(cli: Cli, tmp_path: Path) -> None:
    good, unmet = tmp_path / "good.json", tmp_path / "unmet.json"
    good.write_text('{"a": "b"}')
    weeks = {"pipeline": "daily", "partition": {"mapper": "rollup", "window": "week"}}
    berlin = {"mapper": "rollup", "window": "day", "timezone": "Europe/Berlin"}
    daily = {"upstream": {"pipeline": "hourly", "partition": berlin}}
    unmet.write_text(json.dumps({"daily": daily, "weekly": {"upstream": weeks}}))
    assert cli("validate", unmet, good).exit_code == ExitCode.OK
    assert cli("validate", unmet, good, "--strict").exit_code == ExitCode.PROBLEM


def test_json_has_an_object_for_each_file(cli: Cli, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"a": "b"}')
    bad.write_text('{"a": "a"}')
    said = cli("validate", good, bad, "--json").stdout
    first, end = json.JSONDecoder().raw_decode(said)
    second = json.loads(said[end:])
    assert [(one["file"], one["ok"]) for one in (first, second)] == [(str(good), True), (str(bad), False)]


def test_stdin_is_read_for_a_dash(cli: Cli) -> None:
    assert cli("validate", "-", stdin='{"a": "b"}').exit_code == ExitCode.OK
    assert cli("validate", "-", stdin='{"a": }').exit_code == ExitCode.PROBLEM


def test_a_file_that_is_not_there_is_a_wrong_command_line(cli: Cli, written: Path) -> None:
    result = cli("validate", written)
    assert result.exit_code == ExitCode.USAGE
    assert f"{written}: cannot be read: No such file or directory" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_it_works_as_a_program(written: Path) -> None:
    written.write_text('{"a": "a"}')
    script = Path(sys.executable).parent / "coordinator"
    for command in ([str(script)], [sys.executable, "-m", "coordinator.cli"]):
        ended = subprocess.run(
            [*command, "validate", str(written)], capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == ExitCode.PROBLEM, ended.stderr
        assert f"{written}:1:7: a: a depends on itself" in ended.stdout


def test_the_schema_is_printed_for_editors(cli: Cli) -> None:
    result = cli("validate", "--schema")
    assert result.exit_code == ExitCode.OK
    assert json.loads(result.stdout) == json_schema()
