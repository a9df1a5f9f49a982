"""Every run of a real Airflow is reported, whatever is down meanwhile, and the scheduler is never held up."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from coordinator.model.partitions.instants import coordinator_run_id, format_instant
from coordinator.store.embedded import EmbeddedEtcd
from examples.demo.airflow import AirflowProcess
from tests.e2e.conftest import PAGE, PLAYGROUND, Reports, eventually


@pytest.fixture(autouse=True)
def etcd_runs_again(airflow_etcd: EmbeddedEtcd) -> Iterator[None]:
    """The next test needs it."""
    yield
    if airflow_etcd.pid is None:
        airflow_etcd.start()


def run_to_its_end(airflow: AirflowProcess, dag_id: str, logical_date: datetime | None, **more: Any) -> dict[str, Any]:
    """Trigger, and wait until Airflow (not etcd) says that it has ended."""
    run = airflow.api.trigger(dag_id, logical_date.isoformat() if logical_date else None, **more)
    return wait_for_end(airflow, dag_id, run["dag_run_id"])


def wait_for_end(airflow: AirflowProcess, dag_id: str, run_id: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        run = airflow.api.run(dag_id, run_id)
        return run if run["state"] in ("success", "failed") else None

    return eventually(ended, f"{dag_id} {run_id} has ended in Airflow")


def instant(text: str | None) -> datetime:
    assert text is not None
    return datetime.fromisoformat(text).astimezone(UTC)


def sender_pid(airflow: AirflowProcess) -> int:
    return int((airflow.outbox / "sender.lock").read_text())


def test_an_airflow_shows_itself_and_names_its_last_run(
    airflow: AirflowProcess, reports: Reports, logical_date: datetime
) -> None:
    """The first test of this file: nothing has been reported yet, and the scheduler alone makes it seen."""
    (there,) = eventually(reports.reporters, "it is there")
    assert (there.airflow_version, there.airflow_url) == (version("apache-airflow"), airflow.url)
    assert (there.backlog, there.parked, there.outbox) == (0, 0, str(airflow.outbox))
    run = run_to_its_end(airflow, "quick", logical_date)

    def named() -> bool:
        return any(
            (one.run_id, one.state) == (run["dag_run_id"], "success")
            for reporter in reports.reporters()
            for one in reporter.recent
        )

    eventually(named, "it names the run that it reported last")


def test_start_and_end_of_a_run_arrive_under_its_key(
    airflow: AirflowProcess, reports: Reports, logical_date: datetime
) -> None:
    run = run_to_its_end(airflow, "quick", logical_date)
    partition = format_instant(logical_date)
    document = reports.wait("quick", partition, "success")
    assert document.run_id == run["dag_run_id"]
    assert document.queued_at == instant(run["queued_at"])
    assert document.logical_date == logical_date
    assert document.start_date == instant(run["start_date"])
    assert document.end_date == instant(run["end_date"])
    assert document.reported_by == "airflow-listener/default"
    assert reports.history("quick", partition) == ["running", "success"]


def test_a_failed_run_is_reported_as_failed(airflow: AirflowProcess, reports: Reports, logical_date: datetime) -> None:
    run_to_its_end(airflow, "failing", logical_date)
    reports.wait("failing", format_instant(logical_date), "failed")


def test_a_clear_is_a_new_attempt_of_the_same_run(
    airflow: AirflowProcess, reports: Reports, logical_date: datetime
) -> None:
    run = run_to_its_end(airflow, "quick", logical_date)
    partition = format_instant(logical_date)
    first = reports.wait("quick", partition, "success")
    airflow.api.clear("quick", run["dag_run_id"])
    second = reports.wait("quick", partition, "success", after=first.queued_at)
    assert second.run_id == first.run_id
    assert reports.history("quick", partition) == ["running", "success", "running", "success"]


def test_a_state_set_by_hand_is_reported_from_the_api_server(
    airflow: AirflowProcess, reports: Reports, logical_date: datetime
) -> None:
    run = run_to_its_end(airflow, "quick", logical_date)
    partition = format_instant(logical_date)
    reports.wait("quick", partition, "success")
    airflow.api.set_state("quick", run["dag_run_id"], "failed")
    failed = reports.wait("quick", partition, "failed")
    assert failed.queued_at == instant(run["queued_at"]), "the same attempt, set by hand"
    airflow.api.set_state("quick", run["dag_run_id"], "success")
    reports.wait("quick", partition, "success")
    airflow.api.set_state("quick", run["dag_run_id"], "success")  # Airflow calls listeners for this one too
    other = run_to_its_end(airflow, "quick", None)
    reports.wait("quick", other["dag_run_id"], "success")  # the outbox keeps its order: the one before is through
    assert reports.history("quick", partition) == ["running", "success", "failed", "success"]


def test_a_run_without_a_logical_date_has_its_run_id_for_a_partition(airflow: AirflowProcess, reports: Reports) -> None:
    run = run_to_its_end(airflow, "quick", None)
    document = reports.wait("quick", run["dag_run_id"], "success")
    assert document.logical_date is None


def test_a_run_that_the_coordinator_started_has_the_partition_it_was_started_for(
    airflow: AirflowProcess, reports: Reports, logical_date: datetime
) -> None:
    partition = "week 47/2026"
    conf = {"coordinator": {"partition": partition}}
    run_to_its_end(airflow, "quick", logical_date, run_id=coordinator_run_id(partition, 1), conf=conf)
    reports.wait("quick", partition, "success")
    assert reports.entry("quick", format_instant(logical_date)) is None


def test_a_conf_that_somebody_gives_to_a_run_of_his_own_does_not_change_its_partition(
    airflow: AirflowProcess, reports: Reports, logical_date: datetime
) -> None:
    run_to_its_end(airflow, "quick", logical_date, conf={"coordinator": {"partition": "forged"}})
    reports.wait("quick", format_instant(logical_date), "success")
    assert reports.entry("quick", "forged") is None


@pytest.mark.promise("reporting")
def test_an_end_while_etcd_is_away_arrives_when_it_is_back(
    airflow: AirflowProcess, airflow_etcd: EmbeddedEtcd, reports: Reports, logical_date: datetime
) -> None:
    airflow_etcd.kill()
    run_to_its_end(airflow, "quick", logical_date)
    airflow_etcd.start()
    partition = format_instant(logical_date)
    reports.wait("quick", partition, "success")
    assert reports.history("quick", partition) == ["running", "success"]


@pytest.mark.promise("reporting")
def test_an_end_survives_a_scheduler_killed_while_etcd_is_away(
    airflow: AirflowProcess, airflow_etcd: EmbeddedEtcd, reports: Reports, logical_date: datetime
) -> None:
    airflow_etcd.kill()
    run_to_its_end(airflow, "quick", logical_date)
    sender = sender_pid(airflow)
    airflow.kill_scheduler()
    airflow.start_scheduler()
    airflow_etcd.start()
    reports.wait("quick", format_instant(logical_date), "success")
    assert sender_pid(airflow) != sender, "the new scheduler starts one of its own, with its configuration"


@pytest.mark.promise("reporting")
def test_an_end_survives_scheduler_and_sender_killed_together(
    airflow: AirflowProcess, airflow_etcd: EmbeddedEtcd, reports: Reports, logical_date: datetime
) -> None:
    """As when the machine is switched off; here without an event afterwards that would start a sender."""
    airflow_etcd.kill()
    run_to_its_end(airflow, "quick", logical_date)
    airflow.kill_scheduler()
    os.kill(sender_pid(airflow), signal.SIGKILL)
    airflow_etcd.start()
    assert reports.entry("quick", format_instant(logical_date)) is None
    airflow.start_scheduler()
    reports.wait("quick", format_instant(logical_date), "success")


@pytest.mark.promise("reporting")
def test_a_frozen_sender_holds_nothing_up(airflow: AirflowProcess, reports: Reports, logical_date: datetime) -> None:
    before = run_to_its_end(airflow, "quick", None)
    reports.wait("quick", before["dag_run_id"], "success")
    frozen = sender_pid(airflow)
    os.kill(frozen, signal.SIGSTOP)
    try:
        for _ in range(2):
            run_to_its_end(airflow, "quick", None)
        run_to_its_end(airflow, "quick", logical_date)
        assert reports.entry("quick", format_instant(logical_date)) is None
    finally:
        os.kill(frozen, signal.SIGCONT)
    reports.wait("quick", format_instant(logical_date), "success")


@pytest.mark.promise("reporting")
def test_the_scheduler_has_no_grpc_and_the_sender_has(airflow: AirflowProcess, reports: Reports) -> None:
    run = run_to_its_end(airflow, "quick", None)
    reports.wait("quick", run["dag_run_id"], "success")
    assert "cygrpc" in _mapped(sender_pid(airflow)), "or this test would prove nothing"
    assert "cygrpc" not in _mapped(airflow.scheduler_pid)


def _mapped(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def test_an_event_takes_the_scheduler_a_few_milliseconds(airflow: AirflowProcess, reports: Reports) -> None:
    run = run_to_its_end(airflow, "quick", None)
    reports.wait("quick", run["dag_run_id"], "success")
    kept = [line for line in airflow.log_of("scheduler").splitlines() if "event.kept" in line]
    took = sorted(float(found.group(1)) for line in kept if (found := re.search(r"milliseconds=([\d.]+)", line)))
    assert took, "the listener logs what it keeps"
    assert took[len(took) // 2] < 50.0


def test_airflow_reads_the_playgrounds_dags(airflow: AirflowProcess) -> None:
    assert airflow.api.import_errors() == []
    assert airflow.api.dag_ids() >= set(PLAYGROUND)
    assert airflow.api.call("GET", "/dags/00_watcher")["is_paused"]


def test_the_listener_never_failed(airflow: AirflowProcess) -> None:
    """Runs last in this file: what went wrong unseen in the tests above is in the logs."""
    for component in ("scheduler", "api-server", "dag-processor"):
        assert "Error while calling listener" not in airflow.log_of(component)
        assert "was not reported" not in airflow.log_of(component)
    assert "Traceback" not in (airflow.outbox / "sender.log").read_text()
    assert not (airflow.outbox / "parked").exists()


def test_a_dag_and_a_run_have_a_tab_that_leads_to_the_explanation(airflow: AirflowProcess) -> None:
    """As Airflow's own pages ask for it; they put the names in."""
    plugins = airflow.api.call("GET", "/plugins")["plugins"]
    (ours,) = [one for one in plugins if one["name"] == "coordinator"]
    views = {view["destination"]: (view["href"], view["url_route"]) for view in ours["external_views"]}
    assert views == {
        "dag_run": (f"{PAGE}/runs/default/{{DAG_ID}}/{{RUN_ID}}", "coordinator-run"),
        "dag": (f"{PAGE}/explain/default/{{DAG_ID}}", "coordinator-dag"),
    }
