"""``coordinator explain`` on a real etcd: now, in the past, and where there is nothing to explain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.commands.hold import put_hold
from coordinator.commands.report import write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.documents import parse_document
from coordinator.model.hold import Hold
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunStateDocument, State
from coordinator.model.taskstate import TaskState, dump_task_state
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from coordinator.store.presence import Presence
from tests.command_line import Cli
from tests.integration.store.conftest import compact

K = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DOCUMENT = {"load": "team_b/extract", "publish": ["load", "reference"]}


def put(etcd: EtcdStore, key: str, value: bytes) -> int:
    return etcd.commit(Transaction((), (Put(key, value),))).revision


def publish(etcd: EtcdStore, keys: Keys) -> int:
    document = parse_document(json.dumps(DOCUMENT), source="test")
    return put(etcd, keys.dependencies("default"), dump_publication(Publication(document, {})))


def report(etcd: EtcdStore, keys: Keys, pipeline: str, state: State, *, partition: str = K) -> int:
    target = Target(PipelineRef.parse(pipeline), partition)
    at = NOON.replace(hour=13)
    document = RunStateDocument(state=state, run_id="r1", queued_at=NOON, observed_at=at, end_date=at)
    write_report(etcd, keys, target, document)
    written = etcd.get(keys.state(target))
    assert written is not None
    return written.mod_revision


def test_it_names_the_run_that_blocks(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    publish(etcd, keys)
    report(etcd, keys, "reference", State.SUCCESS)
    revision = report(etcd, keys, "team_b/extract", State.FAILED)
    result = cli("explain", "publish", K, "-c", config)
    assert result.exit_code == ExitCode.OK, result.stderr
    assert f"publish@{K} is out of date and cannot run by itself: load is stuck" in result.stdout
    assert "team_b/extract failed in run r1 at 2026-11-20T13:00:00Z (behind load)" in result.stdout
    assert "team_b/extract: clear its run r1 once what broke it is fixed" in result.stdout
    assert "✓ reference: success, revision " in result.stdout
    assert "in run r1 at 2026-11-20T13:00:00Z" in result.stdout

    said = json.loads(cli("explain", "publish", K, "-c", config, "--json").stdout)
    (cause,) = said["causes"]
    assert (cause["pipeline"], cause["kind"], cause["run_id"]) == ("team_b/extract", "failed", "r1")
    assert cause["via"] == [{"pipeline": "load", "partition": K}]
    load, reference = said["condition"]["branches"]
    assert (load["holds"], load["state"]) == (False, "not yet")
    assert (reference["run_id"], reference["queued_at"], reference["new"]) == ("r1", "2026-11-20T12:00:00Z", True)
    assert said["revision"] >= revision
    assert said["record"] is None


def test_it_shows_the_record_and_the_hold(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    publish(etcd, keys)
    revision = report(etcd, keys, "team_b/extract", State.SUCCESS)
    used = {Target(PipelineRef("team_b", "extract"), K): Consumed(revision, Attempt("r1", NOON), State.SUCCESS)}
    record = TriggerRecord(
        Status.BLOCKED,
        1,
        Action.CREATE,
        None,
        "t",
        revision,
        inputs=Consumption.of(used),
        who="w1",
        when=NOON,
        last_error="403: no role",
        blocked_since=NOON.replace(hour=11),
    )
    put(etcd, keys.trigger(Target(PipelineRef("default", "load"), K)), dump_record(record))
    put_hold(etcd, keys, PipelineRef("default", "load"), Hold("bad file", "ann", NOON))
    said = cli("explain", "load", K, "-c", config).stdout
    assert f"load@{K} would fire now, but it is blocked and held" in said
    blocked = "it is blocked since 2026-11-20T11:00:00Z: 403: no role (last asked at 2026-11-20T12:00:00Z)"
    assert blocked in said
    assert "it is held: 'bad file' by ann since 2026-11-20T12:00:00Z" in said
    assert "load: coordinator release load" in said
    assert "blocked: number 1, create a run that does not exist yet" in said
    assert "decided at 2026-11-20T12:00:00Z by w1" in said
    assert "last error since 2026-11-20T11:00:00Z: 403: no role" in said
    told = json.loads(cli("explain", "load", K, "-c", config, "--json").stdout)
    assert told["hold"] == {"held": True, "why": "bad file", "who": "ann", "since": "2026-11-20T12:00:00Z"}
    assert told["record"]["inputs"][0]["pipeline"] == "team_b/extract"
    assert [cause["kind"] for cause in told["causes"]] == ["held", "blocked"]


def test_the_past_is_explained_as_it_stood(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    published = publish(etcd, keys)
    running = report(etcd, keys, "team_b/extract", State.RUNNING)
    report(etcd, keys, "team_b/extract", State.SUCCESS)
    now = cli("explain", "load", K, "-c", config).stdout
    assert f"load@{K} fires now" in now
    assert "no watcher leads, so nothing is started" in now
    then = cli("explain", "load", K, "--rev", running, "-c", config)
    assert f"load@{K} is due and waits for team_b/extract" in then.stdout
    assert f"this is how it stood at etcd revision {running}, about 2026-11-20T13:00:00Z" in then.stdout
    before = json.loads(cli("explain", "load", K, "--rev", published, "-c", config, "--json").stdout)
    assert (before["revision"], before["condition"]["state"]) == (published, "not yet")

    ahead = cli("explain", "load", K, "--rev", 10**9, "-c", config)
    assert ahead.exit_code == ExitCode.PROBLEM
    assert f"revision {10**9} has not come yet: etcd is at " in ahead.stderr


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """A real etcd that this test may compact."""
    with EmbeddedEtcd(tmp_path / "own-etcd") as server:
        yield server


def test_a_compacted_revision_is_refused_with_the_oldest_that_can_be_read(
    cli: Cli, own_etcd: EmbeddedEtcd, tmp_path: Path
) -> None:
    config = tmp_path / "own.toml"
    config.write_text(f'[etcd]\nendpoints = ["{own_etcd.endpoint}"]\n')
    store = connect(EtcdSettings(endpoints=[own_etcd.endpoint]))
    try:
        first = publish(store, Keys())
        report(store, Keys(), "team_b/extract", State.RUNNING)
        kept = report(store, Keys(), "team_b/extract", State.SUCCESS)
        report(store, Keys(), "team_b/extract", State.SUCCESS, partition="another")
        compact(own_etcd, kept)
    finally:
        store.close()
    gone = cli("explain", "load", K, "--rev", first, "-c", config)
    assert gone.exit_code == ExitCode.PROBLEM
    assert f"revision {first} cannot be read any more" in gone.stderr
    assert f"from revision {kept} on" in gone.stderr
    assert "decision log" in gone.stderr
    assert cli("explain", "load", K, "--rev", kept, "-c", config).exit_code == ExitCode.OK


def test_without_a_partition_the_newest_are_listed(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    publish(etcd, keys)
    assert "no run of it, or of what it waits for" in cli("explain", "load", "-c", config).stdout
    for day in range(1, 6):
        state = State.FAILED if day == 4 else State.SUCCESS
        report(etcd, keys, "team_b/extract", state, partition=f"2026-11-{day:02}T00:00:00Z")
    said = json.loads(cli("explain", "load", "--limit", 2, "-c", config, "--json").stdout)
    assert [(row["partition"][:10], row["says"]) for row in said["partitions"]] == [
        ("2026-11-05", "fires now"),
        ("2026-11-04", "is out of date and cannot run by itself: team_b/extract has failed"),
    ]
    table = cli("explain", "load", "--limit", 2, "-c", config).stdout
    assert "2026-11-05T00:00:00Z" in table
    assert "3 older partitions" in table
    assert (said["more"], said["not_shown"]) == (True, 3)
    assert json.loads(cli("explain", "load", "-c", config, "--json").stdout)["more"] is False


def test_an_unknown_pipeline_or_partition_is_told_with_what_is_near(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    publish(etcd, keys)
    report(etcd, keys, "team_b/extract", State.SUCCESS)
    unknown = cli("explain", "extract", K, "-c", config)
    assert unknown.exit_code == ExitCode.PROBLEM
    assert "extract: no published document names it" in unknown.stderr
    assert "did you mean team_b/extract?" in unknown.stderr
    assert "did you mean publish?" in cli("explain", "publsh", K, "-c", config).stderr
    elsewhere = cli("explain", "load", "2026-11-2", "-c", config)
    assert elsewhere.exit_code == ExitCode.OK
    assert f"nothing is known of load in partition 2026-11-2; did you mean {K}?" in elsewhere.stdout
    for spelling in ("2026-11-20", "2026-11-20T00:00", "2026-11-20T01:00:00+01:00", "2026-11-20T00:00:00+00:00"):
        same = cli("explain", "load", spelling, "-c", config)
        assert f"load@{K} fires now" in same.stdout, "another spelling of the same moment"
    assert cli("explain", "load", "", "-c", config).exit_code == ExitCode.USAGE
    source = cli("explain", "team_b/extract", K, "-c", config).stdout
    assert "waits for nothing in the published documents" in source


def test_nobody_is_told_to_run_or_report_anything_in_a_partition_that_nothing_has(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    """Whoever mistypes a date and does as he is told would write a state that nothing stands behind."""
    publish(etcd, keys)
    report(etcd, keys, "team_b/extract", State.SUCCESS)
    for pipeline in ("load", "publish"):
        mistyped = "2062-11-20T00:00:00Z"
        said = cli("explain", pipeline, mistyped, "-c", config).stdout
        unknown = f"nothing is known of {pipeline} in partition {mistyped}; the newest known: {K}; "
        assert unknown + f"'coordinator explain {pipeline}' lists them" in said
        assert "coordinator report" not in said
        assert "run it in this partition" not in said
        told = json.loads(cli("explain", pipeline, mistyped, "-c", config, "--json").stdout)
        assert told["remedies"] == []
        assert {cause["remedy"] for cause in told["causes"]} == {None}
    known = cli("explain", "publish", K, "-c", config).stdout
    assert f"coordinator report reference success -p {K}" in known, "others have this partition"


def test_a_run_that_nobody_hears_and_a_dependency_that_nothing_meets_are_told(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    weeks = {"upstream": {"pipeline": "team_b/extract", "partition": {"mapper": "rollup", "window": "week"}}}
    parsed = parse_document(json.dumps({"weekly": weeks, "copy": "team_b/extract"}), source="test")
    put(etcd, keys.dependencies("default"), dump_publication(Publication(parsed, {})))
    now = "2026-11-22T08:01:58.123000Z"
    report(etcd, keys, "team_b/extract", State.SUCCESS, partition=now)
    by = "'team_b/extract by rollup of the week's days'"
    told = f"weekly does not see this partition: {by} is about others"
    assert told in cli("explain", "team_b/extract", now, "-c", config).stdout
    assert json.loads(cli("explain", "team_b/extract", now, "-c", config, "--json").stdout)["notes"][-1] == told
    told = f"{by} has not been met lately: none of the newest partitions of team_b/extract is an input of any"
    assert told in cli("explain", "weekly", "-c", config).stdout
    report(etcd, keys, "team_b/extract", State.SUCCESS)
    assert "does not see" not in cli("explain", "team_b/extract", K, "-c", config).stdout
    assert "lately" not in cli("explain", "weekly", "-c", config).stdout


def test_what_waits_for_a_limit_is_told_so(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    """By the rule alone it would fire now."""
    document = {"load": {"upstream": "team_b/extract", "max_in_flight": 1}, "copy": "team_b/extract"}
    parsed = parse_document(json.dumps(document), source="test")
    put(etcd, keys.dependencies("default"), dump_publication(Publication(parsed, {})))
    other = "2026-11-21T00:00:00Z"
    for partition in (K, other):
        report(etcd, keys, "team_b/extract", State.SUCCESS, partition=partition)
    record = TriggerRecord(Status.SENT, 1, Action.CREATE, "r", "t", 1, attempt=NOON)
    put(etcd, keys.trigger(Target(PipelineRef("default", "load"), other)), dump_record(record))
    waiting = cli("explain", "load", K, "-c", config).stdout
    assert "it waits for a place: partitions of load in flight: 1, and max_in_flight is 1" in waiting
    assert "place" not in cli("explain", "copy", K, "-c", config).stdout
    with config.open("a") as file:
        file.write('[environments.default]\nurl = "http://127.0.0.1:1"\nmax_runs_in_flight = 1\n')
    told = cli("explain", "copy", K, "-c", config, "--json")
    assert json.loads(told.stdout)["notes"][-1] == (
        "it waits for a place: runs in flight in environment default: 1, and its max_runs_in_flight is 1"
    )


def test_what_is_known_of_dags_is_told_and_who_asks_for_the_rest(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    publish(etcd, keys)
    report(etcd, keys, "reference", State.SUCCESS)
    asks = "explain does not ask Airflow; 'coordinator doctor' tells whether these DAGs exist and are not paused"
    said = cli("explain", "publish", K, "-c", config).stdout
    assert asks in said
    assert "says: no such DAGs" not in said
    missing = "no such DAGs: other/load2, team_b/extract; the dependencies name them: deploy them, or correct the file"
    watcher = Presence("w1", "host", 7, "2026-11-20T00:00:00Z", problems={"unknown DAGs": missing})
    put(etcd, keys.watcher("w1"), watcher.to_value())
    assert f"the watcher w1 says: {missing}" in cli("explain", "publish", K, "-c", config).stdout
    report(etcd, keys, "team_b/extract", State.SUCCESS)
    fires = cli("explain", "load", K, "-c", config).stdout
    assert "says:" not in fires, "it is about others"
    assert asks not in fires


def test_a_task_is_explained(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    """As what was seen of it stands in etcd, under a key of its own."""
    document = parse_document('{"publish": {"upstream": {"pipeline": "load", "task": "copy"}}}', source="test")
    put(etcd, keys.dependencies("default"), dump_publication(Publication(document, {})))
    report(etcd, keys, "load", State.SUCCESS)
    unseen = cli("explain", "load", K, "--task", "copy", "-c", config)
    assert unseen.exit_code == ExitCode.OK, unseen.stderr
    assert "is still to be asked about" in unseen.stdout
    run = Attempt("r1", NOON)
    task = Target(PipelineRef("default", "load", "copy"), K)
    seen = TaskState(State.SUCCESS, Attempt("r1", None, 7), NOON, run=run, run_ended=True)
    put(etcd, keys.state(task), dump_task_state(seen, reported_by="test"))
    assert "load:copy" in (told := cli("explain", "load", K, "--task", "copy", "-c", config).stdout)
    assert "succeeded in run r1" in told
    assert json.loads(cli("explain", "load", K, "--task", "copy", "--json", "-c", config).stdout)["task"] == "copy"
    assert cli("explain", "load", "--task", "copy", "-c", config).stdout == told, "in the newest partition"
    other = cli("explain", "load", K, "--task", "other", "-c", config).stdout
    assert "no dependency and no sensor waits for this task" in other
