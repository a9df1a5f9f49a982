"""``coordinator doctor`` on a real etcd and a stand-in Airflow: every problem in a table, never a traceback."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.commands.report import write_report
from coordinator.model.cursor import dump_cursor
from coordinator.model.documents import parse_document
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.reporters import LastSeen, ReportedRun, ReporterStatus
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.waits import Wait, WaitStatus, dump_wait
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, Put, StoreError, Transaction
from tests.command_line import Cli
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

SECRET = "correct-horse"


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInAirflow]:
    with StandInAirflow() as airflow:
        monkeypatch.setenv("AIRFLOW_PASSWORD", airflow.password)
        yield airflow


@pytest.fixture
def with_airflow(config: Path, airflow: StandInAirflow, etcd: EtcdStore, keys: Keys) -> Path:
    """The configuration, with the stand-in as environment ``default``, which reports."""
    announce(etcd, keys, "default")
    with config.open("a") as file:
        file.write(
            f'[environments.default]\nurl = "{airflow.base_url}"\nusername = "{airflow.username}"\n'
            'password_env = "AIRFLOW_PASSWORD"\n'
        )
    return config


@pytest.fixture
def dependencies(tmp_path: Path) -> Path:
    file = tmp_path / "dependencies.json"
    file.write_text('{"child": ["one", "two"]}')
    return file


def announce(etcd: EtcdStore, keys: Keys, environment: str, *recent: ReportedRun, **fields: Any) -> None:
    """A reporter is there, as far as etcd shows."""
    now = datetime.now(UTC)
    said = {"host": "airflow-7", "pid": 1, "since": now, "written_at": now, "version": "1", "recent": recent, **fields}
    key = keys.reporter(environment, "reporter-1")
    etcd.commit(Transaction((), (Put(key, ReporterStatus.model_validate(said).to_value()),)))


def examined(cli: Cli, config: Path, dependencies: Path) -> tuple[int, list[dict[str, str]]]:
    result = cli("doctor", "-c", config, "-d", dependencies, "--json")
    assert "Traceback" not in result.stderr
    said: dict[str, Any] = json.loads(result.stdout)
    assert said["ok"] is (result.exit_code == ExitCode.OK)
    return result.exit_code, said["findings"]


def problems(findings: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(each["subject"], each["found"]) for each in findings if each["grade"] == "problem"]


def test_all_is_well(cli: Cli, with_airflow: Path, dependencies: Path, airflow: StandInAirflow) -> None:
    for dag_id in ("one", "two", "child"):
        airflow.dag(dag_id)
    code, findings = examined(cli, with_airflow, dependencies)
    assert problems(findings) == []
    assert code == ExitCode.OK
    assert any(each["subject"] == "environment default" and "3 DAGs" in each["found"] for each in findings)
    assert any(each["subject"] == "watcher" and each["grade"] == "warning" for each in findings)
    table = cli("doctor", "-c", with_airflow, "-d", dependencies)
    assert table.exit_code == ExitCode.OK
    assert "no problems" in table.stdout


def test_the_watcher_that_leads_is_named(
    cli: Cli, with_airflow: Path, dependencies: Path, etcd: EtcdStore, keys: Keys
) -> None:
    etcd.commit(Transaction((), (Put(keys.leader, b'{"id": "w-1"}'),)))
    _, findings = examined(cli, with_airflow, dependencies)
    assert any(each["subject"] == "watcher" and "w-1" in each["found"] for each in findings)


def test_what_sensors_wait_for_is_looked_up(
    cli: Cli, with_airflow: Path, tmp_path: Path, airflow: StandInAirflow, etcd: EtcdStore, keys: Keys
) -> None:
    """A DAG that is missing, one that is paused, a task that is mistyped, an environment that nobody knows."""
    file = tmp_path / "one.json"
    file.write_text('{"child": {"upstream": {"pipeline": "one", "task": "laod"}}}')
    for dag_id in ("one", "child", "paused"):
        airflow.model.dag(dag_id, paused=dag_id == "paused", below={"load": ()})
    for number, name in enumerate(("nowhere", "paused", "elsewhere/x")):
        ref = WaitRef(Target(PipelineRef.parse("mart"), "p"), "r", f"wait_{number}", -1)
        wait = Wait(WaitStatus.WAITING, Target(PipelineRef.parse(name), "p"))
        etcd.commit(Transaction((), (Put(keys.wait(ref), dump_wait(wait)),)))
    _, findings = examined(cli, with_airflow, file)
    assert sorted(problems(findings)) == [
        ("environment default", "DAG one has no task 'laod', which something waits for"),
        ("environment default", "DAGs that are paused: paused"),
        ("environment default", "DAGs that do not exist there: nowhere"),
        (
            "environment elsewhere",
            "not configured, nothing is reported under that name, and sensors wait for elsewhere/x",
        ),
    ]


def test_observed_environments_are_named(
    cli: Cli, config: Path, dependencies: Path, etcd: EtcdStore, keys: Keys
) -> None:
    with config.open("a") as file:
        file.write('[environments.theirs]\nurl = "http://127.0.0.1:1"\nobserve = true\n')
    _, findings = examined(cli, config, dependencies)
    assert ("runs of theirs", "observed; it has not been asked yet") in [
        (one["subject"], one["found"]) for one in findings
    ]
    etcd.commit(Transaction((), (Put(keys.cursor("theirs"), dump_cursor(datetime(2026, 11, 20, tzinfo=UTC))),)))
    _, findings = examined(cli, config, dependencies)
    (found,) = (one["found"] for one in findings if one["subject"] == "runs of theirs")
    assert found.startswith("observed; its runs are known up to 2026-11-20T00:00:00Z (")
    shown = cli("status", "--all", "-c", config)
    assert "its runs are known up to 2026-11-20T00:00:00Z" in shown.stdout
    (told,) = json.loads(cli("status", "--json", "-c", config).stdout)["observed"]
    assert (told["environment"], told["known_until"]) == ("theirs", "2026-11-20T00:00:00Z")


def test_missing_and_paused_dags_are_named(
    cli: Cli, with_airflow: Path, dependencies: Path, airflow: StandInAirflow
) -> None:
    airflow.dag("one")
    airflow.dag("two")
    airflow.pause("two")
    code, findings = examined(cli, with_airflow, dependencies)
    assert code == ExitCode.PROBLEM
    assert problems(findings) == [
        ("environment default", "DAGs that do not exist there: child"),
        ("environment default", "DAGs that are paused: two"),
    ]


@pytest.fixture
def sound(with_airflow: Path, airflow: StandInAirflow) -> Path:
    """Nothing else is wrong."""
    for dag_id in ("one", "two", "child"):
        airflow.dag(dag_id)
    return with_airflow


def test_an_environment_that_was_never_heard_from_is_a_problem(
    cli: Cli, sound: Path, dependencies: Path, etcd: EtcdStore, keys: Keys
) -> None:
    etcd.commit(Transaction((), (Delete(keys.reporter("default", "reporter-1")),)))
    code, findings = examined(cli, sound, dependencies)
    ((subject, found),) = problems(findings)
    assert (code, subject) == (ExitCode.PROBLEM, "reporters default")
    assert "COORDINATOR_REPORTER__ENVIRONMENT=default" in found
    sound.write_text(sound.read_text() + "plugin = false\n")
    assert problems(examined(cli, sound, dependencies)[1]) == [], "nothing is installed there, on purpose"


def test_an_environment_that_fell_silent_is_a_problem(
    cli: Cli, sound: Path, dependencies: Path, etcd: EtcdStore, keys: Keys
) -> None:
    seen = LastSeen(at=datetime(2026, 11, 20, tzinfo=UTC), reporter="reporter-1", host="airflow-7").to_value()
    etcd.commit(
        Transaction((), (Delete(keys.reporter("default", "reporter-1")), Put(keys.reporter_seen("default"), seen)))
    )
    ((subject, found),) = problems(examined(cli, sound, dependencies)[1])
    assert subject == "reporters default"
    assert "no reporter has been heard from since 2026-11-20T00:00:00Z (airflow-7)" in found


def reported(dag_id: str, run_id: str, *, ago: float) -> ReportedRun:
    return ReportedRun(dag_id=dag_id, run_id=run_id, state="success", at=datetime.now(UTC) - timedelta(seconds=ago))


def test_a_reporter_under_the_name_of_another_environment_is_a_problem(
    cli: Cli, sound: Path, dependencies: Path, etcd: EtcdStore, keys: Keys, airflow: StandInAirflow
) -> None:
    """The plugin of finance, configured as the one of default: its runs are phantoms here."""
    misnamed = [reported("daily_revenue", f"run_{number}", ago=90) for number in range(2)]
    announce(etcd, keys, "default", *misnamed)
    code, findings = examined(cli, sound, dependencies)
    ((subject, found),) = problems(findings)
    assert (code, subject) == (ExitCode.PROBLEM, "reporters default")
    assert f"the Airflow at {airflow.base_url} does not know what it reports: daily_revenue run_0" in found


def test_a_reporter_whose_runs_are_known_or_too_young_is_none(
    cli: Cli, sound: Path, dependencies: Path, etcd: EtcdStore, keys: Keys, airflow: StandInAirflow
) -> None:
    run = airflow.trigger_by_hand("one", "known")
    announce(etcd, keys, "default", reported("one", run.run_id, ago=90), reported("one", "deleted since", ago=120))
    assert problems(examined(cli, sound, dependencies)[1]) == []
    announce(etcd, keys, "default", reported("one", "not committed yet", ago=5))
    assert problems(examined(cli, sound, dependencies)[1]) == []


def test_parked_events_are_a_problem_that_names_the_place(
    cli: Cli, sound: Path, dependencies: Path, etcd: EtcdStore, keys: Keys
) -> None:
    announce(etcd, keys, "default", parked=5, outbox="/opt/airflow/coordinator-outbox")
    ((_, found),) = problems(examined(cli, sound, dependencies)[1])
    assert "5 events are parked in /opt/airflow/coordinator-outbox on airflow-7" in found


def test_a_name_that_nobody_waits_for_is_a_warning(
    cli: Cli, sound: Path, dependencies: Path, etcd: EtcdStore, keys: Keys
) -> None:
    announce(etcd, keys, "defualt")
    code, findings = examined(cli, sound, dependencies)
    assert code == ExitCode.OK
    assert [each["subject"] for each in findings if "neither configured nor in" in each["found"]] == [
        "reporters defualt"
    ]


def test_everything_that_is_away_is_in_the_table_at_once(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "away.toml"
    config.write_text(
        '[etcd]\nendpoints = ["127.0.0.1:1"]\ntimeout = 0.5\n'
        '[environments.default]\nurl = "http://127.0.0.1:1"\nusername = "u"\npassword_env = "NOT_SET_AT_ALL"\n'
        '[environments.team_b]\nurl = "http://127.0.0.1:1"\nusername = "u"\npassword_env = "AIRFLOW_PASSWORD"\n'
    )
    dependencies = tmp_path / "dependencies.json"
    dependencies.write_text('{"a": ["team_c/b"]}')
    monkeypatch.setenv("AIRFLOW_PASSWORD", SECRET)
    result = cli("doctor", "-c", config, "-d", dependencies)
    assert result.exit_code == ExitCode.PROBLEM
    for subject in ("etcd 127.0.0.1:1", "environment default", "environment team_b", "environment team_c"):
        assert subject in result.stdout
    assert "NOT_SET_AT_ALL" in result.stdout
    assert SECRET not in result.output
    assert "Traceback" not in result.output
    told = cli("doctor", "-c", config, "-d", dependencies, "--json").stdout
    assert "no answer: Connection refused" in told
    assert "ConnectionRefusedError" not in told


def test_a_wrong_password_is_a_problem_and_is_never_shown(
    cli: Cli, with_airflow: Path, dependencies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_PASSWORD", SECRET)
    result = cli("doctor", "-c", with_airflow, "-d", dependencies)
    assert result.exit_code == ExitCode.PROBLEM
    assert "401" in result.stdout
    assert SECRET not in result.output
    _, findings = examined(cli, with_airflow, dependencies)
    (finding,) = (each for each in findings if each["subject"] == "environment default")
    assert "correct the username and the password" in finding["remedy"]


def test_each_fault_of_an_environment_is_told_with_what_mends_it(
    cli: Cli, sound: Path, dependencies: Path, airflow: StandInAirflow
) -> None:
    def told() -> str:
        _, findings = examined(cli, sound, dependencies)
        (finding,) = (each for each in findings if each["subject"] == "environment default")
        return f"{finding['found']}; {finding['remedy']}"

    airflow.api.scheduler_healthy = False
    assert "its scheduler is unhealthy" in told()
    assert "start its scheduler" in told()
    airflow.api.scheduler_healthy = True
    airflow.pause("two")
    assert "DAGs that are paused: two; unpause them" in told()
    airflow.faults.next("dags", Fault.answer(403))
    assert "to read DAGs; to read, create and edit DAG runs" in told()
    airflow.faults.next("public", Fault.answer(404))
    assert "expected that of an Airflow 3" in told()
    airflow.down()
    assert "start its API server" in told()


def test_files_with_secrets_that_everybody_may_read_are_named(
    cli: Cli, config: Path, dependencies: Path, tmp_path: Path, airflow: StandInAirflow
) -> None:
    places = [tmp_path / name for name in ("etcd-password", "password", "key.pem", "closed")]
    for place in places:
        place.write_text(SECRET)
        place.chmod(0o644)
    places[-1].chmod(0o600)
    text = config.read_text() + f'password_file = "{places[0]}"\n'
    text += f'[environments.default]\nurl = "{airflow.base_url}"\nusername = "x"\npassword_file = "{places[1]}"\n'
    text += f'[environments.team_b]\nurl = "{airflow.base_url}"\ntoken_file = "{places[3]}"\n'
    text += f'[http]\nlisten = ":0"\ncert = "/c"\nkey = "{places[2]}"\n'
    config.write_text(text)
    _, findings = examined(cli, config, dependencies)
    named = {(each["subject"], each["found"]) for each in findings if "readable by everybody" in each["found"]}
    assert named == {
        ("etcd", f"password_file {places[0]} is readable by everybody on this machine (mode 0644)"),
        ("environment default", f"password_file {places[1]} is readable by everybody on this machine (mode 0644)"),
        ("http", f"key {places[2]} is readable by everybody on this machine (mode 0644)"),
    }


@pytest.mark.parametrize(
    ("settings", "grade", "found"),
    [
        ('listen = "8600"', "ok", "127.0.0.1:8600, without TLS"),
        ('listen = "8600"\ncert = "/nowhere"\nkey = "/nowhere"', "problem", "http: cert, key or client_ca cannot be"),
    ],
)
def test_an_http_server_that_would_not_start_is_a_problem(
    cli: Cli, config: Path, dependencies: Path, settings: str, grade: str, found: str
) -> None:
    config.write_text(f"{config.read_text()}[http]\n{settings}\n")
    _, findings = examined(cli, config, dependencies)
    (finding,) = [each for each in findings if each["subject"] == "http"]
    assert finding["grade"] == grade
    assert finding["found"].startswith(found)


def test_a_bad_dependencies_file_is_shown_with_its_places(cli: Cli, with_airflow: Path, dependencies: Path) -> None:
    dependencies.write_text('{"a": [],\n "b": "b"}')
    code, findings = examined(cli, with_airflow, dependencies)
    assert code == ExitCode.PROBLEM
    assert [subject for subject, _ in problems(findings)] == [f"{dependencies}:1:7", f"{dependencies}:2:7"]


def test_a_bad_file_that_names_an_unknown_environment_is_told_of_both(
    cli: Cli, with_airflow: Path, dependencies: Path
) -> None:
    dependencies.write_text('{"02": 7, "03": "nowhere/01"}')
    result = cli("doctor", "--config", with_airflow, "--dependencies", dependencies, "--json")
    assert "unknown environment 'nowhere'" in result.stdout
    assert "02" in result.stdout


def test_dependencies_that_are_not_met_are_warned_of(
    cli: Cli, with_airflow: Path, dependencies: Path, etcd: EtcdStore, keys: Keys
) -> None:
    def by(upstream: str, window: str, timezone: str = "UTC") -> dict[str, Any]:
        mapping = {"mapper": "rollup", "window": window, "timezone": timezone}
        return {"upstream": {"pipeline": upstream, "partition": mapping}}

    document = {
        "daily": by("hourly", "day", "Europe/Berlin"),
        "weekly": by("daily", "week"),
        "sums": by("sales", "week"),
    }
    dependencies.write_text(json.dumps(document))
    for day in range(1, 8):
        sales = Target(PipelineRef("default", "sales"), f"2026-11-{day:02}T23:00:00Z")
        write_report(etcd, keys, sales, RunStateDocument(state=State.SUCCESS))
    warned = {
        one["subject"]: one["found"]
        for one in examined(cli, with_airflow, dependencies)[1]
        if one["grade"] == "warning"
    }
    assert "'daily by rollup of the week's days' is never met" in warned["dependencies of weekly"]
    assert "none of the newest partitions of sales is an input of any" in warned["dependencies of sums"]
    assert "dependencies of daily" not in warned, "nothing has been seen of hourly"
    sales = Target(PipelineRef("default", "sales"), "2026-11-08T00:00:00Z")
    write_report(etcd, keys, sales, RunStateDocument(state=State.SUCCESS))
    assert "dependencies of sums" not in {one["subject"] for one in examined(cli, with_airflow, dependencies)[1]}


def test_a_dependencies_file_that_is_not_there_is_a_problem(cli: Cli, with_airflow: Path, tmp_path: Path) -> None:
    code, findings = examined(cli, with_airflow, tmp_path / "nowhere.json")
    assert code == ExitCode.PROBLEM
    assert problems(findings) == [(str(tmp_path / "nowhere.json"), "cannot be read: No such file or directory")]


def test_without_a_file_the_published_dependencies_are_held_against_everything(
    cli: Cli,
    with_airflow: Path,
    airflow: StandInAirflow,
    etcd: EtcdStore,
    keys: Keys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COORDINATOR_DEPENDENCIES", raising=False)

    def findings() -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(cli("doctor", "-c", with_airflow, "--json").stdout)["findings"]
        return found

    (nothing,) = (one for one in findings() if one["subject"] == "published dependencies")
    assert (nothing["grade"], nothing["found"]) == ("warning", "there are none, and no dependencies.json here")
    document = parse_document('{"child": ["one", "two"]}', source="test")
    published = Put(keys.dependencies("default"), dump_publication(Publication(document, {})))
    etcd.commit(Transaction((), (published,)))
    airflow.dag("one")
    assert problems(findings()) == [("environment default", "DAGs that do not exist there: child, two")]
    (said,) = (one["found"] for one in findings() if one["subject"] == "published dependencies")
    assert "1 pipeline waits for others, in the documents of default; no file was looked at" in said
    (tmp_path / "dependencies.json").write_text('{"one": "zero"}')
    assert problems(findings()) == [("environment default", "DAGs that do not exist there: zero")]
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), b"rubbish"),)))
    (tmp_path / "dependencies.json").unlink()
    assert [subject for subject, _ in problems(findings())] == ["published dependencies"]


def test_a_configuration_that_cannot_be_read_is_a_wrong_command_line(cli: Cli, tmp_path: Path) -> None:
    result = cli("doctor", "-c", tmp_path / "nowhere.toml")
    assert result.exit_code == ExitCode.USAGE
    assert "nowhere.toml: no such file" in result.stderr


def test_an_alarm_of_a_full_etcd_is_a_problem(cli: Cli, tmp_path: Path, dependencies: Path) -> None:
    with EmbeddedEtcd(tmp_path / "etcd", arguments=("--quota-backend-bytes=65536",)) as server:
        config = tmp_path / "full.toml"
        config.write_text(f'[etcd]\nendpoints = ["{server.endpoint}"]\n')
        store = connect(server.settings)
        fill(store)
        store.close()
        _, findings = examined(cli, config, dependencies)
    assert (f"etcd {server.endpoint}", "alarm NOSPACE") in problems(findings)


def fill(store: EtcdStore) -> None:
    """Write until etcd raises the alarm; it notices with the next commit of its backend, not with the first write."""
    until = time.monotonic() + 60
    while not any(member.alarms for member in store.status()):
        assert time.monotonic() < until, "no alarm from an etcd that is over its quota"
        with contextlib.suppress(StoreError):
            store.commit(Transaction((), (Put("/fill", b"x" * 32_768),)))


def test_the_configuration_is_named_and_that_it_has_no_environment_is_said_once(
    cli: Cli, config: Path, dependencies: Path
) -> None:
    _, findings = examined(cli, config, dependencies)
    assert findings[0]["subject"] == "configuration"
    assert findings[0]["found"] == str(config)
    about = [each for each in findings if "environment" in each["subject"] or "default" in each["found"]]
    assert [(each["found"], each["remedy"]) for each in about] == [
        (f"no environment is configured in {config}", "add [environments.default] to it")
    ]
