"""An asset of one real Airflow is the upstream of a pipeline in another one; and an operator emits an event."""

from __future__ import annotations

import pytest

from coordinator.store.connection import EtcdStore
from tests.e2e.assets.conftest import Two
from tests.e2e.assets.test_handed_on import WITHIN, arrived, coordinator, events_of, patiently, publish, watcher
from tests.e2e.conftest import eventually
from tests.e2e.test_main_job import WatcherProcess

__all__ = ["watcher"]

DAY = "2026-11-20T00:00:00Z"
EVENTS = "/coordinator/asset/sales/"


def emitted(store: EtcdStore) -> int:
    """How many events of refunds etcd has."""
    return sum(b"s3://lake/refunds/eu" in item.value for item in store.list(EVENTS).items)


def reported(two: Two, times: int) -> bool:
    """Whether the one run of ``refund_report`` has succeeded, for the so-manieth time."""
    runs = patiently(lambda: two.finance.api.runs("refund_report"))
    assert len(runs) <= 1
    return [run["state"] for run in runs] == ["success"] and attempts(two) == times


def attempts(two: Two) -> int:
    (run,) = patiently(lambda: two.finance.api.runs("refund_report"))
    path = f"/dags/refund_report/dagRuns/{run['dag_run_id']}/taskInstances/work/tries"
    return len(patiently(lambda: two.finance.api.call("GET", path))["task_instances"])


@pytest.mark.promise("once", "asset-upstreams")
def test_an_asset_starts_a_pipeline_in_another_airflow_once_a_wave(
    two: Two, watcher: WatcherProcess, store: EtcdStore
) -> None:
    """Its run emits it twice. Once cleared, it does so again, and the same run of the other pipeline runs again."""
    del watcher
    run_id = patiently(lambda: two.sales.api.trigger("refunds", DAY, run_id="test-refunds"))["dag_run_id"]
    eventually(lambda: reported(two, 1), "refund_report has run", within=WITHIN)
    assert emitted(store) == 2
    (run,) = patiently(lambda: two.finance.api.runs("refund_report"))
    assert run["logical_date"] == DAY
    (used,) = run["conf"]["coordinator"]["inputs"]
    assert [used["asset"], used["run_id"]] == ["s3://lake/refunds/eu", run_id]
    explained = coordinator(two, "explain", "finance/refund_report", DAY)
    assert f"by sales/refunds in run {run_id}" in explained.stdout
    patiently(lambda: two.sales.api.clear("refunds", run_id))
    eventually(lambda: reported(two, 2), "refund_report has run again", within=WITHIN)
    assert emitted(store) == 4
    assert coordinator(two, "doctor").stdout.count("whose own schedule names assets") == 0


@pytest.mark.promise("assets")
def test_an_operator_emits_an_event_for_one_environment(two: Two, watcher: WatcherProcess, store: EtcdStore) -> None:
    del watcher
    run_id = publish(two, "hand_over")
    arrived(two, store, run_id)
    (event,) = events_of(two, run_id)
    assert [event["uri"], event["extra"]["rows"]] == ["s3://lake/handed/eu", 4]
    assert event["extra"]["coordinator"]["task_id"] == "tell"
    runs = eventually(
        lambda: patiently(lambda: two.finance.api.runs("consume_handed")), "consume_handed has a run", within=WITHIN
    )
    assert len(runs) == 1
