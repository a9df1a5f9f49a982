"""``coordinator status`` on a real etcd."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.cli.failures import ExitCode
from coordinator.model.floor import Floor, dump_floor
from coordinator.model.parsing import parse_document
from coordinator.model.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.sweep import HeldBack, Sweep, dump_sweep
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.reporting import write_report
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from coordinator.store.presence import Presence
from tests.command_line import Cli


def test_a_late_partition_is_shown_although_it_is_settled(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    """It only waits: nothing of it stands in etcd, and nothing has failed."""
    document = parse_document(
        json.dumps(
            {
                "late": {"upstream": ["a", "b"], "deadline": "06:00"},
                "later": {"upstream": ["a", "b"], "deadline": {"at": "06:00", "days": 1}},
                "never": {"upstream": ["a", "b"]},
            }
        ),
        source="test",
    )
    past, future = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), dump_publication(Publication(document, {}))),)))
    for partition in (past, future):
        write_report(etcd, keys, Target(PipelineRef("default", "a"), partition), RunStateDocument(state=State.SUCCESS))
    result = cli("status", "-c", config, "--json")
    assert result.exit_code == ExitCode.PROBLEM, "no watcher leads"
    rows = {(row["pipeline"], row["partition"]): row for row in json.loads(result.stdout)["pipelines"]}
    assert set(rows) == {("late", past), ("later", past)}
    assert rows["late", past]["late_since"] == "2001-01-01T06:00:00Z"
    assert rows["late", past]["standing"] == "settled"
    assert "late_since" in cli("status", "-c", config).stdout


def test_what_retention_keeps_and_ignores_is_shown(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    then, before = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 19, tzinfo=UTC)
    old, kept = Target(PipelineRef("default", "a"), "old"), Target(PipelineRef("default", "a"), "kept")
    sweep = Sweep(when=then, removed=3, kept=1, held_back_pipelines=1, held_back=(HeldBack(kept, "b waits"),))
    etcd.commit(
        Transaction(
            (),
            (
                Put(keys.floor(old.pipeline), dump_floor(Floor(queued_at=then))),
                Put(keys.retention, dump_sweep(sweep)),
            ),
        )
    )
    for target, queued_at in ((old, before), (kept, then + timedelta(hours=1))):
        report = RunStateDocument(state=State.SUCCESS, run_id="r", queued_at=queued_at)
        write_report(etcd, keys, target, report)
    shown = json.loads(cli("status", "-c", config, "--all", "--json").stdout)
    assert [row["partition"] for row in shown["pipelines"]] == ["kept"]
    assert shown["retention"] == {
        "partitions": 1,
        "expired": 1,
        "swept": {
            "when": "2026-11-20T00:00:00+00:00",
            "removed": 3,
            "kept": 1,
            "held_back_pipelines": 1,
            "held_back": [{"pipeline": "a", "partition": "kept", "reason": "b waits"}],
        },
    }
    said = cli("status", "-c", config, "--all").stdout
    assert "1 partitions of pipelines are kept; swept at 2026-11-20T00:00:00Z, 3 removed" in said
    assert "1 state has come back after retention had removed what was as old; not heeded" in said
    assert "kept by retention though it is time: a@kept: b waits" in said


def test_a_refused_request_is_something_wrong_also_behind_newer_partitions(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    pipeline = PipelineRef("default", "load")
    blocked = TriggerRecord(Status.BLOCKED, 1, Action.CREATE, "r", "t", 1, last_error="404 Dag load not found")
    leader = Put(keys.leader, Presence("w", "host", 1, "2026-11-20T00:00:00Z").to_value())
    document = Publication(parse_document('{"load": "extract"}', source="test"), {})
    published = Put(keys.dependencies("default"), dump_publication(document))
    etcd.commit(Transaction((), (leader, published, Put(keys.trigger(Target(pipeline, "9")), dump_record(blocked)))))
    write_report(etcd, keys, Target(PipelineRef("default", "extract"), "9"), RunStateDocument(state=State.SUCCESS))
    for partition in ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"):
        write_report(etcd, keys, Target(pipeline, partition), RunStateDocument(state=State.RUNNING))
    result = cli("status", "-c", config, "--limit", 1, "--json")
    said = json.loads(result.stdout)
    assert said["problems"] == {}
    assert ([row["partition"] for row in said["pipelines"]], said["not_shown"]) == (["2026-11-21T00:00:00Z"], 2)
    assert result.exit_code == ExitCode.PROBLEM
    assert "2 older partitions are not shown: see them with --limit" in cli("status", "-c", config, "--limit", 1).stdout


def test_what_does_not_exist_is_not_said_to_be_settled(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    assert "nothing has been reported yet" in cli("status", "-c", config, "--all").stdout
    load = PipelineRef("default", "load")
    write_report(etcd, keys, Target(load, "2026-11-20T00:00:00Z"), RunStateDocument(state=State.SUCCESS))
    unknown = cli("status", "-c", config, "--pipeline", "laod")
    assert unknown.exit_code == ExitCode.PROBLEM
    assert "laod: no published document names it" in unknown.stderr
    assert "did you mean load?" in unknown.stderr
    assert "all that was asked for is settled" in cli("status", "-c", config, "--pipeline", "load").stdout
    assert "nothing has been reported of what was asked for" in cli("status", "-c", config, "--all", "-p", "x").stdout
    other_spelling = cli("status", "-c", config, "--all", "-p", "2026-11-20T01:00:00+01:00")
    assert "2026-11-20T00:00:00Z" in other_spelling.stdout
