"""``coordinator report``: written once, under the right key, and an older report never over a newer one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.cli.report import Reported
from coordinator.model.documents import parse_document
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from tests.command_line import Cli


def stored(etcd: EtcdStore, keys: Keys, pipeline: str, partition: str) -> RunStateDocument | None:
    present = etcd.get(keys.state(Target(PipelineRef.parse(pipeline), partition)))
    return None if present is None else RunStateDocument.model_validate_json(present.value)


def test_a_report_is_written_once(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    arguments = ("report", "01_pipeline", "success", "-p", "2026-11-20", "--run-id", "r1", "--attempt", "1")
    result = cli(*arguments, "--note", "by hand", "-c", config)
    assert result.exit_code == ExitCode.OK, result.stderr
    assert "01_pipeline@2026-11-20: success: written" in result.stdout
    document = stored(etcd, keys, "01_pipeline", "2026-11-20")
    assert document is not None
    assert (document.state, document.run_id, document.attempt) == ("success", "r1", 1)
    assert document.note == "by hand"
    assert document.reported_by is not None
    assert document.reported_by.startswith("coordinator report, ")

    again = cli(*arguments, "-c", config)
    assert again.exit_code == ExitCode.OK
    assert "was there already" in again.stdout
    assert stored(etcd, keys, "01_pipeline", "2026-11-20") == document


def test_an_older_attempt_changes_nothing_and_says_so(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    common = ("report", "team_b/x", "-p", "k", "--run-id", "r", "-c", config, "--json")
    newer = cli(*common, "running", "--queued-at", "2026-11-20T10:00:00Z")
    assert json.loads(newer.stdout) == {
        "pipeline": "team_b/x",
        "partition": "k",
        "state": "running",
        "verdict": "new",
        "key": keys.state(Target(PipelineRef("team_b", "x"), "k")),
        "warnings": ["no published document names team_b/x, and this is its first run: nothing waits for it"],
    }
    older = cli(*common, "success", "--queued-at", "2026-11-20T09:00:00Z")
    assert older.exit_code == ExitCode.OK
    assert json.loads(older.stdout)["verdict"] == "outdated"
    document = stored(etcd, keys, "team_b/x", "k")
    assert document is not None
    assert document.state == "running"


@pytest.mark.parametrize(
    ("given", "partition"),
    [
        (["--partition", "anything at all/%"], "anything at all/%"),
        (["--partition", "2026-11-20T01:00:00+01:00"], "2026-11-20T00:00:00Z"),
        (["--logical-date", "2026-11-20T01:00:00+01:00", "--run-id", "r"], "2026-11-20T00:00:00Z"),
        (["--partition-key", "europe", "--logical-date", "2026-11-20T00:00:00Z"], "europe"),
        (["--run-id", "manual__1"], "manual__1"),
    ],
)
def test_the_partition_is_given_or_taken_from_the_run(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys, given: list[str], partition: str
) -> None:
    result = cli("report", "x", "success", *given, "-c", config)
    assert result.exit_code == ExitCode.OK, result.stderr
    assert stored(etcd, keys, "x", partition) is not None


@pytest.mark.parametrize("typed", ["2026-11-20", "2026-11-20T00:00", "2026-11-20 00:00:00"])
def test_a_report_meets_the_partition_of_its_moment(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys, typed: str
) -> None:
    run = ("--run-id", "r", "--attempt", "1")
    for partition in ("2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z"):
        assert cli("report", "x", "running", "-p", partition, *run, "-c", config).exit_code == ExitCode.OK
    assert cli("report", "x", "success", "-p", typed, *run, "-c", config).exit_code == ExitCode.OK
    assert cli("report", "x", "success", "-p", "2026-11-21", *run, "-c", config).exit_code == ExitCode.OK
    found = [item.key.split("/")[-1] for item in etcd.list(keys.every("state")).items]
    assert found == [f"2026-11-{day}T00:00:00Z" for day in (19, 20, 21)]
    present = stored(etcd, keys, "x", "2026-11-20T00:00:00Z")
    assert present is not None
    assert present.state == "success"


def test_dates_stay_dates_where_they_are_what_a_pipeline_has(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    for partition in ("2026-11-20", "2026-11-21", "2026-11-20T00:00"):
        assert cli("report", "x", "success", "-p", partition, "-c", config).exit_code == ExitCode.OK
    assert [item.key.split("/")[-1] for item in etcd.list(keys.every("state")).items] == ["2026-11-20", "2026-11-21"]


def test_an_etcd_that_is_away_is_waited_for_before_the_partition_is_known(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "away.toml"
    config.write_text('[etcd]\nendpoints = ["127.0.0.1:1"]\ntimeout = 0.5\n')
    result = cli("report", "x", "success", "-p", "2026-11-20", "--timeout", 0, "-c", config)
    assert result.exit_code == ExitCode.UNREACHABLE


def test_what_looks_like_a_slip_is_written_and_warned_of(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    def report(pipeline: str, partition: str) -> str:
        result = cli("report", pipeline, "success", "-p", partition, "-c", config)
        assert result.exit_code == ExitCode.OK
        assert stored(etcd, keys, pipeline, partition) is not None
        return " ".join(result.stderr.split())

    document = parse_document('{"report": ["sales.load", "rates"]}', source="test")
    published = Put(keys.dependencies("default"), dump_publication(Publication(document, {})))
    etcd.commit(Transaction((), (published,)))
    unnamed = "warning: no published document names sales.lod, and this is its first run: nothing waits for it; "
    assert report("sales.lod", "2026-11-20T00:00:00Z").startswith(f"{unnamed}did you mean sales.load")
    assert report("sales.load", "2026-11-20T00:00:00Z") == ""
    assert report("sales.load", "2026-11-21T00:00:00Z") == ""
    assert report("sales.load", "2026-11-2") == (
        "warning: sales.load has date-times for partitions, such as 2026-11-21T00:00:00Z, and '2026-11-2' is none: "
        "what waits for it in those partitions does not see this run; did you mean "
        "2026-11-21T00:00:00Z or 2026-11-20T00:00:00Z?"
    )
    assert report("rates", "north") == ""
    assert report("rates", "2026-11-20T00:00:00Z") == "", "it has names of its own"


def test_every_state_can_be_reported() -> None:
    assert {one.value for one in Reported} == {one.value for one in State} - {State.SKIPPED}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["x", "finished", "-p", "k"], "'finished' is not one of 'queued', 'running', 'success', 'failed'"),
        (["x", "success"], "--partition"),
        (["x", "success", "-p", "k", "--queued-at", "yesterday"], "or 2026-11-20T05:00Z; found 'yesterday'"),
        (["x", "success", "-p", "k", "--attempt", "first"], "--attempt"),
        (["team_b/", "success", "-p", "k"], "team_b/"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys, arguments: list[str], named: str
) -> None:
    result = cli("report", *arguments, "-c", config)
    assert result.exit_code == ExitCode.USAGE
    assert named in " ".join(result.stderr.replace("│", "").split())
    assert "Value error" not in result.stderr
    assert etcd.list(keys.root).items == []


def test_an_etcd_that_is_away_ends_in_its_own_exit_code(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "away.toml"
    config.write_text('[etcd]\nendpoints = ["127.0.0.1:1"]\ntimeout = 0.5\n')
    result = cli("report", "x", "success", "-p", "k", "--timeout", 0, "-c", config)
    assert result.exit_code == ExitCode.UNREACHABLE


def test_an_etcd_that_is_away_is_waited_for_in_bounds_and_said_once(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "away.toml"
    config.write_text('[etcd]\nendpoints = ["127.0.0.1:1"]\ntimeout = 0.5\n')
    began = time.monotonic()
    result = cli("report", "x", "success", "-p", "k", "--timeout", 3, "-c", config)
    assert time.monotonic() - began < 3 + 0.5 + 2
    assert result.exit_code == ExitCode.UNREACHABLE
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("coordinator: ")
