"""Asset events of one real Airflow start DAGs in another one, once, whatever is down."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.assets.conftest import Two
from tests.e2e.conftest import eventually
from tests.e2e.test_main_job import WatcherProcess

WITHIN = 180.0
_numbers = itertools.count(1)


@pytest.fixture
def watcher(two: Two) -> Iterator[WatcherProcess]:
    watcher = WatcherProcess(two.folder)
    watcher.start()
    yield watcher
    watcher.stop()


def publish(two: Two, dag_id: str = "publish") -> str:
    """A run that emits an event; returns its run_id."""
    run_id = f"test-{next(_numbers)}"
    two.sales.api.trigger(dag_id, None, run_id=run_id)
    return run_id


def events_of(two: Two, run_id: str) -> list[dict[str, Any]]:
    """The events in finance that a run of sales has emitted."""
    found = two.finance.api.call("GET", "/assets/events", params={"limit": 100})["asset_events"]
    return [event for event in found if event["extra"].get("coordinator", {}).get("run_id") == run_id]


@pytest.mark.promise("assets")
def test_an_event_starts_a_dag_in_another_airflow_once(two: Two, watcher: WatcherProcess) -> None:
    before = len(two.finance.api.runs("consume"))
    run_id = publish(two)
    (event,) = eventually(lambda: events_of(two, run_id), "finance has the event", within=WITHIN)
    assert event["uri"] == "s3://lake/orders/eu"
    assert event["extra"]["rows"] == 3
    ours = event["extra"]["coordinator"]
    assert ours["path"] == ["sales"]
    assert [ours["dag_id"], ours["task_id"]] == ["publish", "publish"]
    eventually(lambda: len(two.finance.api.runs("consume")) == before + 1, "a run of consume", within=WITHIN)
    watcher.await_rest()
    assert len(events_of(two, run_id)) == 1
