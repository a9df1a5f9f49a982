"""What the scheduler's side does with a DAG run, and what it never does."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import structlog

from coordinator.airflow_plugin.outbox import EmittedEvent, Outbox, default_outbox
from coordinator.airflow_plugin.reporter import EmittedAsset, Reporter, event_of
from coordinator.airflow_plugin.spawning import SenderProcess
from coordinator.model.runstate import State

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


@dataclass
class DagRun:
    """Airflow's columns."""

    dag_id: str = "quick"
    run_id: str = "manual__1"
    queued_at: datetime | None = NOON
    logical_date: datetime | None = NOON
    partition_key: str | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    start_date: datetime | None = NOON
    end_date: datetime | None = None
    conf: object = None


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """No sender is started; what would have been is noted."""
    woken: list[tuple[str, Path]] = []
    monkeypatch.setattr(SenderProcess, "wake", lambda self: woken.append(("wake", self.directory)))
    monkeypatch.setattr(SenderProcess, "renew", lambda self: woken.append(("renew", self.directory)))
    return woken


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    for name in ("COORDINATOR_CONFIG", "COORDINATOR_REPORTER__ENVIRONMENT", "COORDINATOR_REPORTER__OUTBOX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", '["127.0.0.1:1"]')
    return tmp_path


def partition_of(run: DagRun) -> str:
    return event_of(run, State.SUCCESS, environment="e", observed_at=NOON).partition


def test_the_partition_is_what_the_coordinator_started_the_run_for() -> None:
    run = DagRun(
        run_id="coordinator__2026-W47__3", conf={"coordinator": {"partition": "2026-W47"}}, partition_key="key"
    )
    assert partition_of(run) == "2026-W47"


@pytest.mark.promise("items")
def test_the_run_of_an_item_is_reported_as_that() -> None:
    """And a run of the same DAG that somebody else has made with that conf is reported as one of the DAG."""
    conf = {"coordinator": {"partition": "eu/west", "item": "orders", "row": "7ae61027"}, "item": {"name": "orders"}}
    event = event_of(
        DagRun(run_id="coordinator__eu~2fwest~5borders-7ae61027~5d__2", logical_date=None, conf=conf),
        State.SUCCESS,
        environment="e",
        observed_at=NOON,
    )
    assert (event.dag_id, event.partition) == ("quick[orders]", "eu/west")
    copied = event_of(DagRun(conf=conf), State.SUCCESS, environment="e", observed_at=NOON)
    assert (copied.dag_id, copied.partition) == ("quick", "2026-11-20T12:00:00Z")


def test_a_conf_that_somebody_chose_for_a_run_of_his_own_changes_no_partition() -> None:
    assert partition_of(DagRun(conf={"coordinator": {"partition": "2026-W47"}}, partition_key="key")) == "key"


def test_else_airflows_partition_key() -> None:
    assert partition_of(DagRun(partition_key="key", conf={"coordinator": 1})) == "key"


def test_else_the_logical_date_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert partition_of(DagRun(logical_date=datetime(2026, 11, 20, 9, tzinfo=tokyo))) == "2026-11-20T00:00:00Z"


def test_else_the_run_id() -> None:
    assert partition_of(DagRun(logical_date=None)) == "manual__1"


def test_a_run_of_airflow_2_has_no_partition_key() -> None:
    columns = {name: value for name, value in vars(DagRun()).items() if name != "partition_key"}
    event = event_of(cast(DagRun, SimpleNamespace(**columns)), State.SUCCESS, environment="e", observed_at=NOON)
    assert (event.partition, event.document.partition_key) == ("2026-11-20T12:00:00Z", None)


def test_an_event_carries_the_columns_that_tell_attempts_apart() -> None:
    document = event_of(DagRun(end_date=NOON), State.FAILED, environment="team_b", observed_at=NOON).document
    assert document.state is State.FAILED
    assert (document.run_id, document.queued_at) == ("manual__1", NOON)
    assert (document.observed_at, document.end_date) == (NOON, NOON)
    assert document.reported_by == "airflow-listener/team_b"


def test_the_end_of_a_run_that_was_made_as_running_stands_for_its_queued_at() -> None:
    """``airflow dags test`` gives it none, and its logical date as its start."""
    begun = event_of(DagRun(queued_at=None), State.RUNNING, environment="e", observed_at=NOON)
    ended = event_of(DagRun(queued_at=None, end_date=LATER), State.SUCCESS, environment="e", observed_at=LATER)
    assert (begun.document.queued_at, ended.document.queued_at) == (None, LATER)


def test_a_run_is_kept_first_and_somebody_woken_then(home: Path, woken: list[tuple[str, Path]]) -> None:
    Reporter().report(DagRun(), "running")
    outbox = Outbox(home / "coordinator-outbox")
    (name,) = outbox.pending()
    assert outbox.read(name).environment == "default"
    assert woken == [("wake", outbox.directory)]


@pytest.mark.promise("reporting")
def test_a_full_disk_is_told_and_somebody_woken_all_the_same(
    home: Path, woken: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody delivers, nothing would ever make room."""

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Outbox, "put", full)
    with pytest.raises(OSError, match="No space left"):
        Reporter().report(DagRun(), "success")
    assert woken == [("wake", home / "coordinator-outbox")]


def test_environment_and_outbox_are_configurable(
    home: Path, woken: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = home / "coordinator.toml"
    config.write_text(f'[reporter]\nenvironment = "from_file"\noutbox = "{home}/elsewhere"\n')
    monkeypatch.setenv("COORDINATOR_CONFIG", str(config))
    monkeypatch.setenv("COORDINATOR_REPORTER__ENVIRONMENT", "team_b")
    Reporter().report(DagRun(), "success")
    outbox = Outbox(home / "elsewhere")
    (name,) = outbox.pending()
    assert outbox.read(name).environment == "team_b"
    assert woken == [("wake", outbox.directory)]


def test_it_is_inactive_where_nothing_names_an_etcd_and_says_so_once(
    home: Path, woken: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COORDINATOR_ETCD__ENDPOINTS")
    with structlog.testing.capture_logs() as logs:
        reporter = Reporter()
        reporter.resume(stays=False)
        reporter.report(DagRun(), "running")
        reporter.report(DagRun(), "success")
    assert [entry["event"] for entry in logs] == ["reporter.inactive"]
    assert list(home.iterdir()) == []
    assert woken == []


@pytest.mark.usefixtures("home", "woken")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COORDINATOR_CONFIG", "/no/such/file.toml"),
        ("COORDINATOR_ETCD__ENDPOINTS", "not json"),
        ("COORDINATOR_ETCD__ENDPOINTS", '["no port"]'),
    ],
)
def test_a_broken_configuration_is_loud_and_keeps_the_events(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with structlog.testing.capture_logs() as logs:
        reporter = Reporter()
        reporter.report(DagRun(), "running")
        reporter.report(DagRun(), "success")
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["reporter.misconfigured"]
    outbox = Outbox(default_outbox())
    events = [outbox.read(name) for name in outbox.pending()]
    assert [event.about["state"] for event in events] == [State.RUNNING, State.SUCCESS]
    assert {event.environment for event in events} == {None}, "the sender fills it in once it is known"


@pytest.mark.usefixtures("woken")
def test_a_repaired_configuration_is_noticed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = home / "coordinator.toml"
    monkeypatch.setenv("COORDINATOR_CONFIG", str(config))
    now = 1000.0
    monkeypatch.setattr("coordinator.airflow_plugin.reporter.time.monotonic", lambda: now)
    reporter = Reporter()
    reporter.report(DagRun(), "running")
    config.write_text('[reporter]\nenvironment = "team_b"\n')
    now += 3600
    reporter.report(DagRun(), "success")
    outbox = Outbox(default_outbox())
    assert [outbox.read(name).environment for name in outbox.pending()] == [None, "team_b"]


def test_a_start_renews_the_sender_of_whatever_is_left_over(home: Path, woken: list[tuple[str, Path]]) -> None:
    Reporter().resume(stays=False)
    assert woken == []
    Reporter().report(DagRun(), "success")
    woken.clear()
    Reporter().resume(stays=False)
    assert woken == [("renew", home / "coordinator-outbox")]


def test_a_scheduler_that_starts_has_a_sender_before_anything_happens(
    home: Path, woken: list[tuple[str, Path]]
) -> None:
    """So that it can be seen that this Airflow reports."""
    Reporter().resume(stays=True)
    assert woken == [("renew", home / "coordinator-outbox")]


def test_a_start_finds_also_what_a_broken_configuration_left_in_the_default_place(
    home: Path, woken: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Reporter().report(DagRun(), "success")
    woken.clear()
    monkeypatch.setenv("COORDINATOR_REPORTER__OUTBOX", str(home / "elsewhere"))
    Reporter().resume(stays=False)
    assert woken == [("renew", home / "coordinator-outbox")]


@pytest.mark.usefixtures("home", "woken")
def test_an_outbox_that_grows_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.airflow_plugin.reporter.MANY", 3)
    monkeypatch.setattr("coordinator.airflow_plugin.reporter._COUNT_EVERY", 2)
    reporter = Reporter()
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            reporter.report(DagRun(), "running")
    assert [entry["waiting"] for entry in logs if entry["event"] == "outbox.grows"] == [4]


_IMPORTS = """
import sys
import coordinator.airflow_plugin.reporter
loaded = [name for name in sys.modules if name.split(".")[0] in ("grpc", "etcd3", "requests")]
loaded += [name for name in sys.modules if name in ("coordinator.commands.report", "coordinator.store.connection")]
sys.exit(f"loaded in the scheduler: {loaded}" if loaded else 0)
"""


def test_the_schedulers_side_imports_no_grpc_and_no_network() -> None:
    done = subprocess.run([sys.executable, "-c", _IMPORTS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@dataclass
class Emitted:
    """Airflow's ``AssetEvent``."""

    asset: object = field(default_factory=lambda: SimpleNamespace(name="orders", uri="s3://lake/orders", group="asset"))
    extra: dict[str, object] = field(default_factory=lambda: {"rows": 3})
    source_dag_id: str | None = "load"
    source_task_id: str | None = "publish"
    source_run_id: str | None = "manual__1"
    source_map_index: int | None = -1
    partition_key: str | None = None


@pytest.mark.promise("assets")
@pytest.mark.usefixtures("home")
def test_an_asset_event_gets_its_id_once_and_keeps_it_on_the_disk(woken: list[tuple[str, Path]]) -> None:
    reporter = Reporter()
    reporter.emitted(cast(EmittedAsset, Emitted()))
    reporter.emitted(cast(EmittedAsset, Emitted()))
    outbox = Outbox(default_outbox())
    first, second = [outbox.read(name) for name in outbox.pending()]
    assert isinstance(first, EmittedEvent)
    assert isinstance(second, EmittedEvent)
    assert first.event_id != second.event_id, "each emission is an event of its own"
    assert outbox.read(outbox.pending()[0]) == first, "however often it is read"
    assert (first.environment, first.asset.uri, first.asset.extra) == ("default", "s3://lake/orders", {"rows": 3})
    assert (first.asset.dag_id, first.asset.task_id, first.asset.run_id) == ("load", "publish", "manual__1")
    assert [what for what, _ in woken] == ["wake", "wake"]
