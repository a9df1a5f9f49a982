"""A run of Airflow leads to the explanation of its partition: by the key that names it, else by its run_id."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from coordinator.model.partitions.instants import coordinator_run_id
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from tests.integration.ui.conftest import EVIL, Etcd, K, Ui

WEEK = "week 47/2026 ~ä"


@pytest.fixture(scope="module", autouse=True)
def runs(world: Etcd) -> None:
    world.report("runs/daily", State.SUCCESS, partition="2026-11-19T00:00:00Z", run_id="by hand")
    # With data intervals, Airflow 3 puts the end of the interval into the run_id.
    world.report("runs/daily", State.SUCCESS, partition=K, run_id="scheduled__2026-11-21T00:00:00+00:00")
    world.report("runs/daily", State.SUCCESS, partition="manual__x", run_id="manual__x")
    world.report("runs/upstream", State.SUCCESS, partition="2026-11-25T00:00:00Z", run_id="u")
    world.publish({"runs/daily": "runs/upstream"})
    record = TriggerRecord(Status.SENT, 1, Action.CREATE, "odd name", "token", 7)
    world.put(world.keys.trigger(Target(PipelineRef("runs", "daily"), "2026-11-18T00:00:00Z")), dump_record(record))


def path(run_id: str, dag_id: str = "daily") -> str:
    return f"/runs/runs/{dag_id}/{quote(run_id, safe='')}"


@pytest.mark.parametrize(
    ("run_id", "partition"),
    [
        ("by hand", "2026-11-19T00:00:00Z"),
        ("scheduled__2026-11-21T00:00:00+00:00", K),
        ("manual__x", "manual__x"),
        ("odd name", "2026-11-18T00:00:00Z"),
        (coordinator_run_id("2026-11-25T00:00:00Z", 3), "2026-11-25T00:00:00Z"),
        (coordinator_run_id(WEEK, 1), WEEK),
    ],
)
def test_a_run_leads_to_its_partition(ui: Ui, run_id: str, partition: str) -> None:
    answer = ui.get(path(run_id))
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/explain/runs/daily/{quote(partition, safe='')}"
    looked_up = ui.get(f"/api/v1{path(run_id)}").json()
    assert (looked_up["partition"], looked_up["is_certain"]) == (partition, True)


def test_a_run_that_nothing_names_yet_leads_to_the_partition_of_its_date_and_the_page_is_told_so(ui: Ui) -> None:
    run_id = "scheduled__2026-11-25T00:00:00+00:00"
    answer = ui.get(path(run_id))
    assert answer.status_code == 303
    assert answer.headers["Location"] == (
        "/explain/runs/daily/2026-11-25T00%3A00%3A00Z?run=scheduled__2026-11-25T00%3A00%3A00%2B00%3A00"
    )
    assert ui.get(f"/api/v1{path(run_id)}").json()["is_certain"] is False


@pytest.mark.parametrize(
    ("run_id", "says"),
    [
        ("scheduled__2026-11-20T00:00:00+00:00", f"the run_id has the date {K}, and that partition belongs to the run"),
        ("scheduled__2020-01-01T00:00:00+00:00", "which is no partition of runs/daily"),
        ("manual__2026-11-20T00:00:00+00:00_aBcD12", "the run_id names no date"),
        (EVIL, "the run_id names no date"),
    ],
)
def test_an_unknown_run_is_said_with_what_was_looked_for(ui: Ui, run_id: str, says: str) -> None:
    answer = ui.get(f"/api/v1{path(run_id)}")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["kind"] == "unknown_run"
    assert any(says in one for one in error["looked_for"])
    assert f"names the run {run_id} (4 partitions of it that are known)" in error["looked_for"][0]
    assert error["newest"][0] == K
    page = ui.get(path(run_id))
    assert page.status_code == 404
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.content == ui.get("/").content, "the page asks itself what to say"


def test_a_run_of_an_unknown_pipeline_is_said_with_those_that_may_be_meant(ui: Ui) -> None:
    answer = ui.get(f"/api/v1{path('r1', 'dayly')}")
    assert answer.status_code == 404
    assert {"environment": "runs", "dag_id": "daily"} in answer.json()["error"]["near"]
