"""``coordinator plan``, ``apply`` and ``dependencies`` on a real etcd: nothing is written that was not shown."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import pipeline_of
from coordinator.commands import publish as publishing
from coordinator.commands.report import write_report
from coordinator.model.references import Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, Put, Transaction
from tests.command_line import Cli
from tests.standin.airflow import StandInAirflow

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a dependencies.json."""

    def write(content: dict[str, Any]) -> Path:
        file = tmp_path / "dependencies.json"
        file.write_text(json.dumps(content, indent=1))
        return file

    return write


@pytest.fixture
def airflow(config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInAirflow]:
    """A stand-in as environment ``default``; ``team_b`` is configured too, and answers nobody."""
    with StandInAirflow() as airflow:
        monkeypatch.setenv("AIRFLOW_PASSWORD", airflow.password)
        with config.open("a") as file:
            for name, url in (("default", airflow.base_url), ("team_b", "http://127.0.0.1:9")):
                file.write(
                    f'[environments.{name}]\nurl = "{url}"\nusername = "{airflow.username}"\n'
                    'password_env = "AIRFLOW_PASSWORD"\n'
                )
        yield airflow


def published(etcd: EtcdStore, keys: Keys, owner: str = "default") -> dict[str, Any] | None:
    item = etcd.get(keys.dependencies(owner))
    return None if item is None else dict(json.loads(item.value))


def complete(etcd: EtcdStore, keys: Keys, pipeline: str, partition: str = "k") -> None:
    report = RunStateDocument(state=State.SUCCESS, run_id="r", attempt=1)
    write_report(etcd, keys, Target(pipeline_of(pipeline), partition), report)


def planned(cli: Cli, config: Path, file: Path, *more: str) -> dict[str, Any]:
    result = cli("plan", file, "-c", config, "--json", *more)
    said: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (ExitCode.OK if said["ok"] else ExitCode.PROBLEM), result.stderr
    return said


def test_a_plan_shows_what_comes_goes_and_differs_and_writes_nothing(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    cli("apply", write({"B": "A", "C": "A", "D": "A"}), "--yes", "-c", config)
    before = etcd.get(keys.dependencies("default"))
    file = write({"B": "A", "C": {"upstream": {"any": ["A", "B"]}, "rerun": "ignore"}, "E": "B"})
    result = cli("plan", file, "-c", config)
    assert result.exit_code == ExitCode.OK
    lines = result.stdout.splitlines()
    assert "+ E begins to be coordinated" in lines
    assert "- D ceases to be coordinated: nothing starts it any more" in lines
    assert "~ C" in lines
    assert "    waits for: A  ->  any(A, B)" in lines
    assert '    rerun: not set  ->  "ignore"' in lines
    assert "    + B, for completions from then on" in lines
    assert "dependencies: 2 added, 1 removed; pipelines: 1 begins to be coordinated, 1 ceases, 1 differs" in lines
    assert "by publishing this alone nothing fires, becomes due or ceases to be due" in lines
    assert not [line for line in lines if line.startswith(("+ B", "~ B", "- B"))]
    said = planned(cli, config, file)
    assert {change["pipeline"]: change["change"] for change in said["changes"]} == {
        "C": "differs",
        "D": "ceases",
        "E": "begins",
    }
    assert (said["dependencies_added"], said["dependencies_removed"], said["changed"]) == (2, 1, True)
    assert etcd.get(keys.dependencies("default")) == before


def test_a_plan_without_a_difference_says_so(cli: Cli, config: Path, write: Write) -> None:
    file = write({"B": "A"})
    cli("apply", file, "--yes", "-c", config)
    result = cli("plan", file, "-c", config)
    assert result.exit_code == ExitCode.OK
    assert "no difference" in result.stdout
    assert planned(cli, config, file)["changed"] is False


def test_a_plan_says_what_would_fire_and_what_would_no_longer_be_due(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    cli("apply", write({"D": ["A", "missing"], "E": "A", "F": "A"}), "--yes", "-c", config)
    complete(etcd, keys, "A")
    said = planned(cli, config, write({"D": "A", "F": ["A", "other"], "G": "A"}))
    assert said["would_fire"] == [{"pipeline": "D", "partition": "k", "says": "D@k fires now"}]
    assert said["would_be_due"] == []
    assert [one["pipeline"] for one in said["no_longer_due"]] == ["E", "F"]
    result = cli("plan", write({"D": "A", "E": "A", "F": "A", "G": "A"}), "-c", config)
    assert "would fire at once:\n    D@k\n" in result.stdout
    assert "G@" not in result.stdout, "a new dependency fires for nothing of the past"


def test_a_plan_names_a_dependency_that_nothing_seen_lately_can_meet(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    """Days of Berlin begin at 22 or 23 o'clock in UTC: a week in UTC never hears of them."""
    for day in range(14, 21):
        complete(etcd, keys, "daily", f"2026-11-{day}T23:00:00Z")
        complete(etcd, keys, "utc", f"2026-11-{day}T00:00:00Z")
    week = {"mapper": "rollup", "window": "week"}
    file = write({"W": [{"pipeline": "daily", "partition": week}, {"pipeline": "utc", "partition": week}]})
    (warning,) = [one for one in planned(cli, config, file)["warnings"] if "partitions of" in one]
    assert "none of the newest partitions of daily is an input of any partition: 2026-11-20T23:00:00Z" in warning


def test_the_exit_code_of_a_plan_tells_a_difference_where_it_is_asked_to(cli: Cli, config: Path, write: Write) -> None:
    def code(content: dict[str, Any], *more: str) -> int:
        return int(cli("plan", write(content), "-c", config, "--exit-code", *more).exit_code)

    cli("apply", write({"B": "A"}), "--yes", "-c", config)
    assert code({"B": "A"}) == ExitCode.OK
    assert code({"B": "C"}) == ExitCode.DIFFERENT
    assert code({"team_b/y": "A"}, "--owner", "team_c") == ExitCode.PROBLEM, "it is not the owner's"
    assert code({"B": "A"}, "--no-such-option") == ExitCode.USAGE, "which is no difference"


def test_what_is_put_back_resumes_and_the_plan_says_what_that_may_start(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    cli("apply", write({"D": "A", "E": "X"}), "--yes", "-c", config)
    complete(etcd, keys, "A", "waits")
    taking = planned(cli, config, write({"E": "X"}))
    assert taking["taken_away"] == [{"pipeline": "D", "dependency": "A", "partitions": ["waits"]}]
    said = cli("apply", write({"E": "X"}), "--yes", "-c", config).stdout
    assert "taken away while due, waiting or in flight (put back in time they resume):\n    D <- A: waits" in said
    status = " ".join(cli("status", "-c", config).stdout.split())
    assert "D <- A was taken out at" in status
    assert "while waits waited for it" in status
    complete(etcd, keys, "A", "meanwhile")
    back = planned(cli, config, write({"D": "A", "E": "X"}))
    assert [(one["pipeline"], one["dependency"]) for one in back["resumes"]] == [("D", "A")]
    assert [one["partition"] for one in back["may_start_by_resuming"]] == ["meanwhile", "waits"]
    assert [one["partition"] for one in back["would_fire"]] == ["meanwhile", "waits"]
    fresh = cli("apply", write({"D": "A", "E": "X"}), "--yes", "-c", config, "--fresh", "D")
    assert "resume:" not in fresh.stdout
    assert json.loads(cli("status", "--json", "-c", config).stdout)["taken_away"] == []
    again = planned(cli, config, write({"D": "A", "E": "X"}))
    assert (again["changed"], again["would_fire"], again["version"]) == (False, [], 3)
    again = cli("apply", write({"D": "A", "E": "X"}), "--yes", "-c", config, "--fresh", "D")
    assert "published as version 4" in again.stdout, "also where nothing else changes"
    unknown = cli("apply", write({"D": "A", "E": "X"}), "--yes", "-c", config, "--fresh", "F")
    assert unknown.exit_code == ExitCode.USAGE


def test_what_the_guard_refuses_is_applied_only_if_it_is_accepted(
    cli: Cli, config: Path, write: Write, airflow: StandInAirflow, etcd: EtcdStore, keys: Keys
) -> None:
    for name in ("A", "B", "D"):
        airflow.dag(name)
    cli("apply", write({"D": "A"}), "--yes", "-c", config)
    typo = write({"D": "AA"})
    for command in (("plan",), ("apply", "--yes")):
        refused = cli(command[0], typo, *command[1:], "-c", config)
        assert refused.exit_code == ExitCode.PROBLEM
        assert "D: AA stands where A stood" in refused.stdout
        assert '--accept, or "accept": 1 in the file' in refused.stdout
    assert published(etcd, keys, "default")["version"] == 1  # type: ignore[index]
    assert cli("plan", write({"D": "AA", "accept": 1}), "-c", config).exit_code == ExitCode.OK
    assert cli("plan", write({"D": "AA", "accept": 2}), "-c", config).exit_code == ExitCode.PROBLEM
    assert cli("apply", typo, "--yes", "--accept", "-c", config).exit_code == ExitCode.OK
    assert published(etcd, keys, "default")["version"] == 2  # type: ignore[index]


def test_a_resumption_of_very_much_is_refused(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("apply", write({"D": "A"}), "--yes", "-c", config)
    cli("apply", write({}), "--yes", "-c", config)
    for number in range(3):
        complete(etcd, keys, "A", str(number))
    monkeypatch.setenv("COORDINATOR_PUBLICATION__RESUME_LIMIT", "2")
    refused = cli("apply", write({"D": "A"}), "--yes", "-c", config)
    assert refused.exit_code == ExitCode.PROBLEM
    assert "up to 3 partitions of D may start at once" in refused.stdout
    monkeypatch.setenv("COORDINATOR_PUBLICATION__RESUME_LIMIT", "3")
    assert cli("apply", write({"D": "A"}), "--yes", "-c", config).exit_code == ExitCode.OK


def test_a_person_publishes_what_was_published_before_but_not_out_of_the_order_of_serials(
    cli: Cli, config: Path, write: Write
) -> None:
    for content in ({"D": "A"}, {"D": "B"}, {"D": "A"}, {"D": "B", "serial": 5}):
        assert cli("apply", write(content), "--yes", "-c", config).exit_code == ExitCode.OK
    older = cli("apply", write({"D": "A", "serial": 4}), "--yes", "-c", config)
    assert older.exit_code == ExitCode.PROBLEM
    assert "its serial is 4, and version 4 in force has 5" in older.stdout
    assert cli("apply", write({"D": "A", "serial": 4}), "--yes", "--accept", "-c", config).exit_code == ExitCode.OK


def test_a_cycle_across_owners_is_shown_whole_at_the_entry_that_closes_it(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    assert cli("apply", write({"team_b/y": "A"}), "--owner", "team_b", "--yes", "-c", config).exit_code == 0
    file = write({"B": "R", "A": ["team_b/y", "B"]})
    for command in (("plan",), ("apply", "--yes"), ("apply", "--check")):
        result = cli(*command, file, "-c", config)
        assert result.exit_code == ExitCode.PROBLEM, command
        assert (
            f"{file}:3:2: A: closes a cycle: A -> team_b/y [team_b] -> A [default]; each would wait for the other"
            in result.stdout
        )
    assert published(etcd, keys) is None


def test_an_entry_of_another_owner_is_refused_with_its_place(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    file = write({"team_b/y": "A", "B": "A"})
    result = cli("apply", file, "--owner", "team_b", "--yes", "-c", config)
    assert result.exit_code == ExitCode.PROBLEM
    reason = "the document of team_b may not say what B waits for: it belongs to default"
    assert f"{file}:3:2: B: {reason}; move it there, and publish that with --owner default" in result.stdout
    assert published(etcd, keys, "team_b") is None
    (problem,) = planned(cli, config, file, "--owner", "team_b")["problems"]
    assert (problem["line"], problem["column"], problem["path"], problem["reason"]) == (3, 2, "B", reason)


@pytest.mark.usefixtures("airflow")
def test_an_owner_that_is_no_environment_and_a_file_that_is_none_are_usage(
    cli: Cli, config: Path, write: Write
) -> None:
    result = cli("plan", write({}), "--owner", "team_c", "-c", config)
    assert result.exit_code == ExitCode.USAGE
    assert "owner 'team_c': expected the name of an environment; configured are default, team_b" in result.stderr
    assert cli("plan", "/nowhere.json", "-c", config).exit_code == ExitCode.USAGE


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("apply", "--check")])
def test_a_mistake_in_the_file_is_told_as_validate_tells_it(
    cli: Cli, config: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = tmp_path / "dependencies.json"
    file.write_text('{"B": "B"}')
    result = cli(*command, file, "-c", config)
    assert result.exit_code == ExitCode.PROBLEM
    assert result.stdout == cli("validate", file).stdout
    said = json.loads(cli(*command, file, "-c", config, "--json").stdout)
    assert (said["ok"], len(said["problems"])) == (False, 1)


def test_pipelines_that_their_environment_does_not_know_are_named_and_who_is_away_is_not_waited_for(
    cli: Cli, config: Path, write: Write, airflow: StandInAirflow
) -> None:
    airflow.dag("A")
    file = write({"B": ["A", "team_b/y"]})
    said = planned(cli, config, file)
    assert said["environments"]["default"]["missing_dags"] == ["B"]
    assert said["environments"]["team_b"]["problem"]
    result = cli("plan", file, "-c", config)
    assert result.exit_code == ExitCode.OK
    assert "warning: environment default: DAGs that do not exist there: B; deploy them, or correct" in result.stdout
    assert "warning: environment team_b: GET http://" in result.stdout
    assert "no answer: Connection refused; start its API server, or correct the url in" in result.stdout
    assert planned(cli, config, file, "--offline")["environments"] is None


def test_a_task_that_its_dag_does_not_have_is_named_with_what_may_be_meant(
    cli: Cli, config: Path, write: Write, airflow: StandInAirflow
) -> None:
    for dag_id in ("A", "B"):
        airflow.model.dag(dag_id, below={"load": ()})
    file = write({"B": {"upstream": {"pipeline": "A", "task": "laod"}}})
    said = planned(cli, config, file)
    assert said["environments"]["default"]["missing_tasks"] == [{"dag_id": "A", "task_id": "laod", "near": ["load"]}]
    result = cli("plan", file, "-c", config)
    assert "warning: environment default: DAG A has no task 'laod', which something waits for" in result.stdout
    assert "did you mean load?" in result.stdout


def test_what_is_applied_stands_in_etcd_with_who_and_why(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    result = cli("apply", write({"B": "A"}), "--yes", "-c", config, "--who", "ann", "--reason", "T-1", "--json")
    assert result.exit_code == ExitCode.OK
    item = etcd.get(keys.dependencies("default"))
    assert item is not None
    assert json.loads(result.stdout)["written_at_revision"] == item.mod_revision
    value = json.loads(item.value)
    assert value.pop("published_at")
    assert value == {
        "version": 1,
        "dependencies": {"B": "A"},
        "active_since": {},
        "published_by": "ann",
        "why": "T-1",
    }
    again = cli("apply", write({"B": {"upstream": ["A"]}}), "--yes", "-c", config)
    assert again.exit_code == ExitCode.OK
    assert "published as version 2 of the document of default at revision" in again.stdout
    unchanged = cli("apply", write({"B": {"upstream": {"all": ["A"]}}}), "--yes", "-c", config)
    assert "nothing was written: this is published already" in unchanged.stdout
    assert len(json.loads(cli("dependencies", "log", "-c", config, "--json").stdout)["versions"]) == 2


def test_without_anybody_to_ask_nothing_is_written(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    for more in ((), ("--json",)):
        result = cli("apply", write({"B": "A"}), "-c", config, *more)
        assert result.exit_code == ExitCode.USAGE
        assert "pass --yes" in result.stderr
    assert cli("apply", "-", "-c", config, stdin='{"B": "A"}').exit_code == ExitCode.USAGE
    assert published(etcd, keys) is None
    assert cli("apply", "-", "--yes", "-c", config, stdin='{"B": "A"}').exit_code == ExitCode.OK


@pytest.mark.parametrize(("answer", "written"), [("n", False), ("y", True)])
def test_a_person_is_asked(config: Path, write: Write, etcd: EtcdStore, keys: Keys, answer: str, written: bool) -> None:
    mine, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "coordinator.cli", "apply", str(write({"B": "A"})), "-c", str(config)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(mine, f"{answer}\n".encode())
        stdout, stderr = process.communicate(timeout=60)
    finally:
        os.close(mine)
        os.close(theirs)
    assert "+ B begins to be coordinated" in stdout
    assert "publish this as the document of default?" in stderr
    assert process.returncode == (ExitCode.OK if written else ExitCode.PROBLEM)
    assert (published(etcd, keys) is not None) is written


def test_somebody_who_published_while_the_plan_was_read_is_named_and_nothing_is_written(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("apply", write({"B": "A"}), "--yes", "-c", config)
    others = etcd.get(keys.dependencies("default"))
    assert others is not None
    real = publishing.apply

    def while_somebody_publishes(*arguments: Any, **more: Any) -> int:
        value = {"dependencies": {"B": "X"}, "published_by": "ben"}
        etcd.commit(Transaction((), (Put(keys.dependencies("default"), json.dumps(value).encode()),)))
        return real(*arguments, **more)

    monkeypatch.setattr(publishing, "apply", while_somebody_publishes)
    result = cli("apply", write({"B": ["A", "C"]}), "--yes", "-c", config)
    assert result.exit_code == ExitCode.PROBLEM
    assert "nothing was published" in result.stderr
    assert "by ben" in result.stderr
    found = published(etcd, keys)
    assert found is not None
    assert found["dependencies"] == {"B": "X"}


def test_check_ends_with_0_only_if_the_file_is_what_is_published(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    file = write({"B": "A"})
    result = cli("apply", "--check", file, "-c", config)
    assert result.exit_code == cli("plan", "--exit-code", file, "-c", config).exit_code == ExitCode.DIFFERENT
    assert "+ B begins to be coordinated" in result.stdout
    assert published(etcd, keys) is None
    cli("apply", file, "--yes", "-c", config)
    assert cli("apply", "--check", file, "-c", config).exit_code == ExitCode.OK
    assert json.loads(cli("apply", "--check", file, "-c", config, "--json").stdout)["changed"] is False
    assert cli("apply", "--check", write({"B": "A", "C": "A"}), "-c", config).exit_code == ExitCode.DIFFERENT
    assert cli("apply", "--check", write({"B": []}), "-c", config).exit_code == ExitCode.PROBLEM


def test_check_ends_as_apply_would_with_the_same_options(cli: Cli, config: Path, write: Write) -> None:
    file = write(dict.fromkeys("BCDEFGH", "A"))
    cli("apply", file, "--yes", "-c", config)
    assert cli("apply", "--check", file, "-c", config).exit_code == ExitCode.OK
    assert cli("apply", "--check", "--fresh", "B", file, "-c", config).exit_code == ExitCode.DIFFERENT
    nearly_empty = write({"B": "A"})
    result = cli("apply", "--check", nearly_empty, "-c", config)
    assert result.exit_code == cli("apply", nearly_empty, "--yes", "-c", config).exit_code == ExitCode.PROBLEM
    assert "6 of 7 dependencies would be removed at once" in result.stdout
    assert cli("apply", "--check", "--accept", nearly_empty, "-c", config).exit_code == ExitCode.DIFFERENT


def test_a_document_that_cannot_be_read_is_replaced_after_a_warning(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), b"rubbish"),)))
    etcd.commit(Transaction((), (Put(keys.dependencies("team_b"), b"rubbish"),)))
    warnings = planned(cli, config, write({"B": "A"}))["warnings"]
    (of_default,) = (warning for warning in warnings if "the published document of default" in warning)
    assert "cannot be read" in of_default
    assert "counts completions from then on only" in of_default
    assert "coordinator gaps" in of_default
    (of_team,) = (warning for warning in warnings if "dependencies of team_b" in warning)
    assert "the watchers go on with the last documents that could be used, and this takes no effect" in of_team
    assert "coordinator apply FILE --owner OWNER" in of_team
    assert cli("dependencies", "show", "-c", config).exit_code == ExitCode.PROBLEM
    assert cli("apply", write({"B": "A"}), "--yes", "-c", config).exit_code == ExitCode.OK
    assert json.loads(cli("dependencies", "show", "-c", config).stdout) == {"B": "A"}
    assert "cannot be read" in cli("dependencies", "log", "-c", config).stdout


def test_the_log_and_the_versions_of_the_past(
    cli: Cli, config: Path, write: Write, etcd: EtcdStore, keys: Keys
) -> None:
    assert "default has published nothing" in cli("dependencies", "log", "-c", config).stdout
    missing = cli("dependencies", "show", "-c", config)
    assert missing.exit_code == ExitCode.PROBLEM
    assert "default has no published document now" in missing.stderr
    cli("apply", write({"B": "A"}), "--yes", "-c", config, "--who", "ann", "-r", "T-1")
    cli("apply", write({"B": ["A", "C"], "D": "B"}), "--yes", "-c", config, "--who", "ben", "-r", "T-2")
    said = json.loads(cli("dependencies", "log", "-c", config, "--json").stdout)
    newest, oldest = said["versions"]
    assert (newest["by"], newest["why"], newest["dependencies_added"], newest["pipelines_begin"]) == (
        "ben",
        "T-2",
        2,
        1,
    )
    assert (oldest["by"], oldest["dependencies_added"], said["earlier"]) == ("ann", 1, "nothing")
    table = cli("dependencies", "log", "-c", config).stdout
    assert table.index("T-2") < table.index("T-1")
    assert f"{newest['at'][:19]}Z" in table
    assert json.loads(cli("dependencies", "show", "-c", config).stdout) == {"B": ["A", "C"], "D": "B"}
    past = cli("dependencies", "show", "--rev", oldest["revision"], "-c", config)
    assert json.loads(past.stdout) == {"B": "A"}
    whole = json.loads(cli("dependencies", "show", "-c", config, "--json").stdout)
    since = {name: one["revision"] for name, one in whole["active_since"]["B"].items()}
    assert since == {"A": oldest["revision"], "C": newest["revision"]}
    assert whole["active_since"]["B"]["A"]["at"] == oldest["at"]
    assert (oldest["version"], newest["version"], whole["version"]) == (1, 2, 2)
    etcd.commit(Transaction((), (Delete(keys.dependencies("default")),)))
    assert cli("dependencies", "show", "-c", config).exit_code == ExitCode.PROBLEM
