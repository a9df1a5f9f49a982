"""The plugin in a real Airflow 2.11: what it reports, and what Airflow 2 does not tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from coordinator.model.partitions.instants import coordinator_run_id
from coordinator.model.reporters import ReporterStatus, read_reporter
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from examples.demo.airflow import AirflowProcess
from tests.e2e.conftest import PAGE, eventually
from tests.e2e.several.environments import LEGACY, Environments
from tests.e2e.several.reports import AllReports


@pytest.fixture
def legacy(environments: Environments) -> AirflowProcess:
    return environments[LEGACY]


@pytest.fixture(scope="module", autouse=True)
def the_listener_never_fails(environments: Environments) -> Iterator[None]:
    """What went wrong unseen in these tests is in the logs."""
    yield
    legacy = environments[LEGACY]
    for component in legacy.components:
        assert "was not reported" not in legacy.log_of(component)
        assert "coordinator.not_resumed" not in legacy.log_of(component)
    assert "Traceback" not in (legacy.outbox / "sender.log").read_text()
    assert not (legacy.outbox / "parked").exists()


@pytest.fixture
def reports(store: EtcdStore) -> AllReports:
    return AllReports(store)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def ended(airflow: AirflowProcess, dag_id: str, run_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        run = airflow.api.run(dag_id, run_id)
        return run if run["state"] in ("success", "failed") else None

    return eventually(look, f"{dag_id} {run_id} has ended in Airflow")


def states(reports: AllReports, pipeline: str, partition: datetime | str) -> list[str]:
    return [str(document.state) for document in reports.reported(pipeline, partition)]


def test_its_scheduler_alone_makes_it_seen(legacy: AirflowProcess, store: EtcdStore) -> None:
    def look() -> ReporterStatus | None:
        (item,) = store.list(Keys().every("reporter", LEGACY)).items or (None,)
        status = read_reporter(item.value) if item is not None else None
        return status if isinstance(status, ReporterStatus) else None

    there = eventually(look, "it is there")
    assert there.airflow_version is not None
    assert there.airflow_version.startswith("2.11.")
    assert there.airflow_url == legacy.url


@pytest.mark.promise("reporting")
def test_start_and_end_of_a_run_arrive_under_its_key_and_again_after_a_clear(
    legacy: AirflowProcess, reports: AllReports, logical_date: datetime
) -> None:
    run_id = legacy.api.trigger("quick", logical_date.isoformat())["dag_run_id"]
    first = reports.wait("legacy/quick", logical_date, "success")
    run = legacy.api.run("quick", run_id)
    assert (first.run_id, first.logical_date) == (run_id, logical_date)
    assert (first.start_date, first.end_date) == (instant(run["start_date"]), instant(run["end_date"]))
    assert first.reported_by == "airflow-listener/legacy"
    assert states(reports, "legacy/quick", logical_date) == ["running", "success"]

    legacy.api.clear("quick", run_id)
    second = reports.wait("legacy/quick", logical_date, "success", attempt=2)
    assert first.queued_at is not None
    assert second.queued_at is not None
    assert (second.run_id, second.queued_at > first.queued_at) == (run_id, True)
    assert states(reports, "legacy/quick", logical_date) == ["running", "success", "running", "success"]


def test_each_task_has_a_link_to_the_explanation_of_its_run(
    legacy: AirflowProcess, reports: AllReports, logical_date: datetime
) -> None:
    """Airflow 2 has no external views."""
    run_id = legacy.api.trigger("quick", logical_date.isoformat())["dag_run_id"]
    reports.wait("legacy/quick", logical_date, "success")
    (task,) = legacy.api.call("GET", f"/dags/quick/dagRuns/{run_id}/taskInstances")["task_instances"]
    links = legacy.api.call("GET", f"/dags/quick/dagRuns/{run_id}/taskInstances/{task['task_id']}/links")
    assert links == {"Explanation": f"{PAGE}/runs/legacy/quick/{quote(run_id, safe='')}"}


def test_a_failed_run_is_reported_as_failed(
    legacy: AirflowProcess, reports: AllReports, logical_date: datetime
) -> None:
    legacy.api.trigger("failing", logical_date.isoformat())
    reports.wait("legacy/failing", logical_date, "failed")


def test_a_run_of_the_coordinator_has_its_partition_and_any_other_its_logical_date(
    legacy: AirflowProcess, reports: AllReports, next_date: Callable[[], datetime]
) -> None:
    partition, own, forged = "week 47/2026", next_date(), next_date()
    conf = {"coordinator": {"partition": partition}}
    legacy.api.trigger("quick", own.isoformat(), run_id=coordinator_run_id(partition, 1), conf=conf)
    reports.wait("legacy/quick", partition, "success")
    assert reports.reported("legacy/quick", own) == []
    legacy.api.trigger("quick", forged.isoformat(), conf={"coordinator": {"partition": "forged"}})
    reports.wait("legacy/quick", forged, "success")
    assert reports.reported("legacy/quick", "forged") == []


def test_a_run_without_a_logical_date_gets_the_present_moment_for_one(
    legacy: AirflowProcess, reports: AllReports
) -> None:
    run = legacy.api.trigger("quick", None)
    reports.wait("legacy/quick", instant(run["logical_date"]), "success")


def test_a_state_set_by_hand_is_not_told_to_listeners(
    legacy: AirflowProcess, reports: AllReports, logical_date: datetime
) -> None:
    """What docs/airflow-plugin.md says of Airflow 2. Should it report one day, the page is to be changed."""
    run_id = legacy.api.trigger("quick", logical_date.isoformat())["dag_run_id"]
    reports.wait("legacy/quick", logical_date, "success")
    legacy.api.set_state("quick", run_id, "failed")
    assert legacy.api.run("quick", run_id)["state"] == "failed"
    after = legacy.api.trigger("quick", None)
    reports.wait("legacy/quick", instant(after["logical_date"]), "success")  # the outbox keeps its order
    assert states(reports, "legacy/quick", logical_date) == ["running", "success"]


def test_a_clear_of_a_run_that_is_under_way_is_no_new_attempt(
    legacy: AirflowProcess, reports: AllReports, logical_date: datetime
) -> None:
    run_id = legacy.api.trigger("slow", logical_date.isoformat(), conf={"seconds": 3})["dag_run_id"]
    before = reports.wait("legacy/slow", logical_date, "running")
    legacy.api.clear("slow", run_id)
    ended(legacy, "slow", run_id)
    after = reports.wait("legacy/slow", logical_date, "success")
    assert (after.queued_at, after.start_date) == (before.queued_at, before.start_date)


def test_a_task_starts_no_sender_and_the_scheduler_has_no_grpc(
    legacy: AirflowProcess, reports: AllReports, logical_date: datetime
) -> None:
    """Airflow 2 calls on_starting for each task, as for the scheduler."""
    sender = (legacy.outbox / "sender.lock").read_text()
    legacy.api.trigger("quick", logical_date.isoformat())
    reports.wait("legacy/quick", logical_date, "success")
    assert (legacy.outbox / "sender.lock").read_text() == sender
    assert (legacy.outbox / "sender.log").read_text().count("sender.ready") == 1
    assert "cygrpc" in Path(f"/proc/{int(sender)}/maps").read_text(), "or this test would prove nothing"
    assert "cygrpc" not in Path(f"/proc/{legacy.scheduler_pid}/maps").read_text()
