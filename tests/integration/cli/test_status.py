"""``coordinator status`` on a real etcd."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.commands.report import write_report
from coordinator.model.documents import parse_document
from coordinator.model.partitions.instants import format_instant
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.reporters import ReporterStatus
from coordinator.model.retention.sweep import HeldBack, Sweep, dump_sweep
from coordinator.model.retention.watermark import Watermark, dump_watermark
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from coordinator.store.presence import Presence, Progress, written
from coordinator.store.replicas import FAR_BEHIND, replicas_of
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
    assert rows["late", past]["readiness"] == "settled"
    assert "late_since" in cli("status", "-c", config, "--pipeline", "late").stdout
    assert "should have been started by 2001-01-01T06:00:00Z" in cli("status", "-c", config).stdout


def test_dates_beside_date_times_are_warned_of(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    document = parse_document('{"report": ["load", "rates"]}', source="test")
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), dump_publication(Publication(document, {}))),)))
    for name, partition in (("load", "2026-11-20T00:00:00Z"), ("rates", "2026-11-20")):
        target = Target(PipelineRef("default", name), partition)
        write_report(etcd, keys, target, RunStateDocument(state=State.SUCCESS))
    (found,) = json.loads(cli("status", "-c", config, "--json").stdout)["never_met"]
    assert found.startswith("report: it is never started: load has date-times, such as 2026-11-20T00:00:00Z, and")
    assert "warning: report: it is never started" in cli("status", "-c", config).stdout
    (note,) = json.loads(cli("explain", "report", "-c", config, "--json").stdout)["notes"]
    assert note.startswith(found.removeprefix("report: "))


def test_a_partition_that_nothing_has_is_said_with_near_ones(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    for name, partition in (("load", "2026-11-20T05:00:00Z"), ("rates", "north")):
        target = Target(PipelineRef("default", name), partition)
        write_report(etcd, keys, target, RunStateDocument(state=State.SUCCESS))

    def first_line(*arguments: str) -> str:
        return str(cli("status", "-c", config, *arguments).stdout).replace("\n", " ")

    near = "nothing has partition 2026-11-20; did you mean 2026-11-20T05:00:00Z?"
    assert near in first_line("-p", "2026-11-20")
    assert json.loads(cli("status", "-c", config, "-p", "2026-11-20", "--json").stdout)["unknown_partition"] == near
    assert "nothing has partition nrth; did you mean north?" in first_line("-p", "nrth", "--all")
    assert "nothing of load has partition north" in first_line("-p", "north", "--pipeline", "load")
    assert "has partition" not in first_line("-p", "2026-11-20T05:00")


def test_what_retention_keeps_and_ignores_is_shown(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    then, before = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 19, tzinfo=UTC)
    old, kept = Target(PipelineRef("default", "a"), "old"), Target(PipelineRef("default", "a"), "kept")
    sweep = Sweep(when=then, removed=3, kept=1, held_back_pipelines=1, held_back=(HeldBack(kept, "b waits"),))
    etcd.commit(
        Transaction(
            (),
            (
                Put(keys.watermark(old.pipeline), dump_watermark(Watermark(queued_at=then))),
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
            "when": "2026-11-20T00:00:00Z",
            "removed": 3,
            "kept": 1,
            "held_back_pipelines": 1,
            "held_back": [{"pipeline": "a", "partition": "kept", "reason": "b waits"}],
        },
    }
    said = cli("status", "-c", config, "--all").stdout
    assert "1 partition is kept, all pipelines together; swept at 2026-11-20T00:00:00Z, 3 removed" in said
    assert "1 state has come back after retention had removed what was as old; ignored" in said
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
    for arguments, not_shown in ((("--pipeline", "load"), "2 older partitions are"), ((), "1 older partition is")):
        shown = cli("status", "-c", config, "--limit", 1, *arguments).stdout
        assert f"{not_shown} not shown: see them with --limit" in shown


def test_requests_without_an_answer_for_long_are_something_wrong(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    now = datetime.now(UTC)

    def asked(environment: str, partition: str, *, ago: timedelta) -> Put:
        intent = TriggerRecord(Status.INTENT, 1, Action.CREATE, "r", "t", 1, when=now - ago)
        return Put(keys.trigger(Target(PipelineRef(environment, "load"), partition)), dump_record(intent))

    leader = Put(keys.leader, Presence("w", "host", 1, "2026-11-20T00:00:00Z").to_value())
    etcd.commit(Transaction((), (leader, asked("team_b", "9", ago=timedelta(minutes=5)))))
    sent = TriggerRecord(Status.SENT, 1, Action.CREATE, "r", "t", 1, when=now - timedelta(hours=1))
    etcd.commit(Transaction((), (Put(keys.trigger(Target(PipelineRef("team_b", "save"), "9")), dump_record(sent)),)))
    assert json.loads(cli("status", "-c", config, "--json").stdout)["problems"] == {}
    intents = [asked("default", str(minutes), ago=timedelta(minutes=minutes)) for minutes in (13, 22, 17)]
    etcd.commit(Transaction((), tuple(intents)))
    result = cli("status", "-c", config, "--json")
    (place, said), *others = json.loads(result.stdout)["problems"].items()
    assert (place, others) == ("environment default", [])
    assert said.startswith("3 requests have had no answer for up to 22 min, load@22 for longest: it is down")
    assert result.exit_code == ExitCode.PROBLEM
    assert "problem: environment default: 3 requests" in cli("status", "-c", config).stdout


def test_completions_under_a_wrong_environment_name_are_something_wrong_until_they_are_reported_under_the_right_one(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    document = parse_document('{"right/report": "right/load"}', source="test")
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), dump_publication(Publication(document, {}))),)))
    for pipeline in ("wrong/load", "wrong/other"):
        target = Target(PipelineRef.parse(pipeline), "2026-11-20")
        write_report(etcd, keys, target, RunStateDocument(state=State.SUCCESS))

    def problems() -> dict[str, str]:
        found: dict[str, str] = json.loads(cli("status", "-c", config, "--json").stdout)["problems"]
        return found

    problem = problems()["states of wrong"]
    assert problem.startswith("1 completion stands under wrong, which is neither configured nor in a document")
    assert "coordinator report 'right/load' success -p '2026-11-20'" in problem
    cli("report", "right/load", "success", "-p", "2026-11-20", "-c", config)
    assert "states of wrong" not in problems()


def test_what_does_not_exist_is_not_said_to_be_settled(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    assert "nothing has been reported yet" in cli("status", "-c", config, "--all").stdout
    load = PipelineRef("default", "load")
    write_report(etcd, keys, Target(load, "2026-11-20T00:00:00Z"), RunStateDocument(state=State.SUCCESS))
    unknown = cli("status", "-c", config, "--pipeline", "laod")
    assert unknown.exit_code == ExitCode.PROBLEM
    assert "laod: no published document names it" in unknown.stderr
    assert "did you mean load?" in unknown.stderr
    assert "nothing of what was asked for is busy or stuck" in cli("status", "-c", config, "--pipeline", "load").stdout
    assert "nothing has partition x" in cli("status", "-c", config, "--all", "-p", "x").stdout
    for spelling in ("2026-11-20T01:00:00+01:00", "2026-11-20", "2026-11-20T00:00"):
        assert "2026-11-20T00:00:00Z" in cli("status", "-c", config, "--all", "-p", spelling).stdout


@pytest.mark.parametrize("width", [80, 100, 200])
def test_since_when_and_for_how_long_is_shown_and_no_partition_is_cut(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    long_ago = _ago(7400).replace(microsecond=0)
    partition = "2026-11-20T00:00:00Z"
    failed = RunStateDocument(state=State.FAILED, run_id=f"scheduled__{partition}", observed_at=long_ago)
    write_report(etcd, keys, Target(PipelineRef("default", "load_orders_of_the_day"), partition), failed)
    asked = TriggerRecord(
        Status.BLOCKED,
        1,
        Action.CREATE,
        "r",
        "t",
        1,
        last_error="404 Dag not found",
        when=_ago(3),
        blocked_since=_ago(200),
    )
    etcd.commit(
        Transaction((), (Put(keys.trigger(Target(PipelineRef("default", "b"), partition)), dump_record(asked)),))
    )
    write_report(etcd, keys, Target(PipelineRef("default", "c"), partition), RunStateDocument(state=State.SUCCESS))
    rows = {
        one["pipeline"]: one for one in json.loads(cli("status", "-c", config, "--all", "--json").stdout)["pipelines"]
    }
    assert rows["load_orders_of_the_day"]["since"] == format_instant(long_ago)
    assert 7400 <= rows["load_orders_of_the_day"]["age"] < 7460
    assert 200 <= rows["b"]["age"] < 260
    assert (rows["c"]["since"], rows["c"]["age"]) == (None, None)
    monkeypatch.setenv("COLUMNS", str(width))
    shown = cli("status", "-c", config, "--all").stdout
    (row,) = [line for line in shown.splitlines() if line.startswith("load_orders_of_the_day")]
    assert partition in row
    assert "2 h 3 min" in shown
    assert format_instant(long_ago) in shown
    assert "late_since" not in shown


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def test_junk_keys_are_counted_and_hide_nothing(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    for first in range(0, 1_000, 100):
        names = [f"{kind}/x/{first + number}" for number in range(50) for kind in ("a", "hold")]
        etcd.commit(Transaction((), tuple(Put(keys.root + name, b"?") for name in names)))
    result = cli("status", "-c", config)
    lines = [line for line in result.stdout.splitlines() if line.startswith("problem: ")]
    assert lines[0].startswith("problem: leader: no watcher leads")
    assert [line for line in lines if line.startswith("problem: and")] == [
        "problem: and 480 more keys under hold/",
        "problem: and 480 more keys that are not the coordinator's",
    ]
    assert len(lines) == 1 + 20 + 20 + 2
    assert "1001 problems" in result.stdout
    said = json.loads(cli("status", "-c", config, "--json", "--limit", 5).stdout)
    assert (len(said["problems"]), said["problems_count"]) == (11, 1_001)
    assert said["problems_not_shown"] == {"keys under hold/": 495, "keys that are not the coordinator's": 495}
    etcd.commit(Transaction((), tuple(Put(keys.watcher(f"junk{number}"), b"?") for number in range(100))))
    said = json.loads(cli("status", "-c", config, "--json").stdout)
    assert (len(said["watchers"]), said["watchers_not_shown"]) == (20, 80)
    assert "and 80 more watchers" in cli("status", "-c", config, "--all").stdout


def _replica(
    name: str, *, revision: int, warm: bool = True, up_for: float = 7200.0, written_ago: float = 2.0
) -> Presence:
    came = Presence(name, f"host-{name}", 7, written(_ago(up_for)), "1.2")
    return came.progressed(Progress(revision, revision, warm), written_at=_ago(written_ago), again_within=70.0)


def test_who_leads_and_how_far_each_replica_has_got_is_shown(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    report = RunStateDocument(state=State.SUCCESS)
    write_report(etcd, keys, Target(PipelineRef("default", "a"), "p"), report)
    written_at = etcd.list(keys.root).revision
    leader = Presence("b", "host-b", 7, written(_ago(3725)), "1.2")
    old = Presence("old", "host-old", 8, written(_ago(60)))
    etcd.commit(
        Transaction(
            (),
            (
                Put(keys.leader, leader.to_value()),
                Put(keys.watcher("a"), _replica("a", revision=written_at - 1).to_value()),
                Put(keys.watcher("b"), _replica("b", revision=written_at).to_value()),
                Put(keys.watcher("old"), old.to_value()),
                Put(keys.watcher("s"), _replica("s", revision=written_at + 1, written_ago=71.0).to_value()),
            ),
        )
    )
    result = cli("status", "-c", config, "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["problems"]) == (ExitCode.OK, {})
    assert (said["leader"]["id"], said["leader"]["since"]) == ("b", leader.since)
    assert 3725 <= said["leader"]["seconds"] < 3900
    first = said["watchers"][0]
    assert (first["id"], first["leads"], first["warm"], first["lag"]) == ("b", True, True, 0)
    assert (first["host"], first["pid"], first["version"]) == ("host-b", 7, "1.2")
    rows = {row["id"]: row for row in said["watchers"]}
    assert {name: row["lag"] for name, row in rows.items()} == {"a": 1, "b": 0, "old": None, "s": 0}
    assert {name: row["silent"] for name, row in rows.items()} == {"a": False, "b": False, "old": False, "s": True}
    assert {name: row["warm"] for name, row in rows.items()} == {"a": True, "b": True, "old": None, "s": True}
    shown = cli("status", "-c", config).stdout
    assert f"leader: b (host-b, pid 7) since {leader.since} (1 h 2 min)" in shown
    assert "leads, ready" in shown
    assert "ago: silent" in shown


@pytest.mark.promise("takeover")
def test_a_replica_that_could_not_take_over_is_something_wrong(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    write_report(etcd, keys, Target(PipelineRef("default", "a"), "p"), RunStateDocument(state=State.SUCCESS))

    def problems(*replicas: Presence) -> dict[str, str]:
        etcd.commit(Transaction((), tuple(Put(keys.watcher(one.id), one.to_value()) for one in replicas)))
        result = cli("status", "-c", config, "--json")
        said: dict[str, str] = json.loads(result.stdout)["problems"]
        assert result.exit_code == (ExitCode.PROBLEM if said else ExitCode.OK)
        return said

    etcd.commit(Transaction((), (Put(keys.leader, Presence("b", "h", 1, written(_ago(0))).to_value()),)))
    newest = etcd.list(keys.root).revision
    fills = _replica("fills", revision=0, warm=False, up_for=5.0)
    assert problems(_replica("b", revision=newest), fills) == {}, "one that has just come may be filling its cache"
    stuck = problems(_replica("fills", revision=newest, warm=False))
    assert stuck.keys() == {"watchers/fills"}
    assert "has not read everything" in stuck["watchers/fills"]
    assert problems(_replica("fills", revision=newest)) == {}


def test_a_replica_far_behind_is_something_wrong() -> None:
    value = _replica("slow", revision=5).to_value()
    near, far = (
        replicas_of({"slow": value}, None, newest_change=5 + lag, now=_ago(0))[0]
        for lag in (FAR_BEHIND, FAR_BEHIND + 1)
    )
    assert (near.lag, near.problem) == (FAR_BEHIND, None)
    assert far.problem is not None
    assert f"{FAR_BEHIND + 1} revisions behind" in far.problem
    came = _replica("new", revision=0, warm=False, up_for=1.0).to_value()
    (new,) = replicas_of({"new": came}, None, newest_change=FAR_BEHIND + 1, now=_ago(0))
    assert (new.lag, new.problem) == (None, None), "it has read nothing yet"


def test_the_word_of_a_watcher_about_itself_is_nothing_to_lag_behind(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    report = RunStateDocument(state=State.SUCCESS)
    write_report(etcd, keys, Target(PipelineRef("default", "a"), "p"), report)
    written_at = etcd.list(keys.root).revision
    for _ in range(5):
        etcd.commit(Transaction((), (Put(keys.watcher("w"), _replica("w", revision=written_at).to_value()),)))
    (row,) = json.loads(cli("status", "-c", config, "--json").stdout)["watchers"]
    assert row["lag"] == 0


def test_a_question_that_was_not_answered_yet_is_shown_and_needs_nobody(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    """The machine may be busy; nobody needs to be called for that."""
    presence = _replica("w1", revision=1)
    asked = "team_b could not be asked which DAGs it has: no answer within 5 s"
    presence = replace(presence, unknown={"unknown DAGs": asked})
    leads = Presence("w1", "host-w1", 7, written(_ago(60)), "1.2")
    put = (Put(keys.watcher("w1"), presence.to_value()), Put(keys.leader, leads.to_value()))
    etcd.commit(Transaction((), put))
    result = cli("status", "-c", config)
    assert result.exit_code == ExitCode.OK, result.stdout
    assert f"not known yet, and asked again: {asked} (watcher w1)" in result.stdout
    assert "problem" not in result.stdout
    assert json.loads(cli("status", "-c", config, "--json").stdout)["problems"] == {}


def test_the_configuration_is_named_and_no_environment_is_suspected_where_none_is_configured(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    seen = ReporterStatus(host="h", pid=1, since=_ago(60), written_at=_ago(1), version="1").to_value()
    etcd.commit(Transaction((), (Put(keys.reporter("elsewhere", "r"), seen),)))
    told = cli("status", "-c", config).stdout
    assert f"; configuration {config}" in told
    assert f"no environment is configured in {config}; add [environments.default] to it" in told
    assert "COORDINATOR_REPORTER__ENVIRONMENT" not in told
    assert json.loads(cli("status", "-c", config, "--json").stdout)["configuration"] == str(config)
    with config.open("a") as file:
        file.write('[environments.default]\nurl = "http://127.0.0.1:1"\nplugin = false\n')
    assert "call their environment elsewhere, which is neither configured" in cli("status", "-c", config).stdout


def test_environments_that_documents_name_are_counted_and_not_all_shown(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    names = [f"named_{number:05}" for number in range(5_000)]
    document = {"version": 1, "dependencies": {"b": {"upstream": {"any": [f"{name}/a" for name in names]}}}}
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), json.dumps(document).encode()),)))
    said = json.loads(cli("status", "-c", config, "--json").stdout)
    assert len(said["reporters"]) == 20
    assert len(said["reporters"]) + said["reporters_not_shown"] == len(names) + 1, "default is named, too"
    printed = cli("status", "-c", config, "--all").stdout
    assert "and 4,981 more environments that documents name have never been heard from" in " ".join(printed.split())
    assert len(printed.splitlines()) < 100
