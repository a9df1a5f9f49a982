"""Asset events of one real Airflow start DAGs in another one, once, whatever is down."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
import requests
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from coordinator.model.documents import parse_document
from coordinator.model.publishing import resuming as publishing
from coordinator.model.publishing.publication import dump_publication
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, Put, Transaction
from examples.demo.airflow_api import AirflowApiError
from tests.airflow_model import bodies
from tests.airflow_model.assets import Assets
from tests.e2e.assets.conftest import HERE, Two
from tests.e2e.conftest import eventually
from tests.e2e.test_main_job import WatcherProcess
from tests.faults.line import Way

WITHIN = 180.0
ORDERS, NEW = "s3://lake/orders/eu", "s3://lake/orders/new"
_numbers = itertools.count(1)
T = TypeVar("T")


@pytest.fixture
def watcher(two: Two) -> Iterator[WatcherProcess]:
    watcher = WatcherProcess(two.folder)
    watcher.start()
    yield watcher
    watcher.stop()


def publish(two: Two, dag_id: str = "publish") -> str:
    """A run that emits an event; returns its run_id."""
    run_id = f"test-{next(_numbers)}"
    patiently(lambda: two.sales.api.trigger(dag_id, None, run_id=run_id))
    return run_id


def patiently(ask: Callable[[], T]) -> T:
    """Ask a question, again where the connection breaks: a server may end one that nobody has used for a while, and
    Airflow 3.3 breaks it, or answers 500, where it shall show an event that has created a run which is still queued."""
    broken = retry_if_exception(
        lambda error: (
            isinstance(error, requests.ConnectionError)
            or (isinstance(error, AirflowApiError) and "answered 500" in str(error))
        )
    )
    for attempt in Retrying(retry=broken, stop=stop_after_delay(WITHIN), wait=wait_fixed(0.2)):
        with attempt:
            return ask()
    raise AssertionError


def consumed(two: Two) -> int:
    """How many runs of ``consume`` there are."""
    return len(patiently(lambda: two.finance.api.runs("consume")))


def events_of(two: Two, run_id: str) -> list[dict[str, Any]]:
    """The events in finance that a run of sales has emitted."""
    query = {"limit": 100, "order_by": "-timestamp"}
    found = patiently(lambda: two.finance.api.call("GET", "/assets/events", params=query)["asset_events"])
    return [event for event in found if event["extra"].get("coordinator", {}).get("run_id") == run_id]


def records(store: EtcdStore, run_id: str) -> list[TriggerRecord]:
    """The records of the deliveries of what a run of sales has emitted."""
    found = []
    for item in store.list("/coordinator/asset/sales/").items:
        if json.loads(item.value)["run_id"] == run_id:
            event = item.key.rpartition("/")[2]
            recorded = store.get(f"/coordinator/trigger/finance/assets from sales/{event}")
            record = read_record(recorded.value) if recorded is not None else None
            if isinstance(record, TriggerRecord):
                found.append(record)
    return found


def arrived(two: Two, store: EtcdStore, run_id: str, *, events: int = 1) -> None:
    """Wait for so many events of a run in finance, and until nothing is open about them: there are no more."""
    eventually(lambda: len(events_of(two, run_id)) >= events, f"finance has what {run_id} has emitted", within=WITHIN)

    def all_done() -> bool:
        found = records(store, run_id)
        return len(found) == events and all(record.status is Status.DONE for record in found)

    eventually(all_done, "the deliveries are done", within=WITHIN)
    assert len(events_of(two, run_id)) == events


def coordinator(two: Two, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coordinator.cli", *arguments, "--config", str(two.folder / "coordinator.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )


@pytest.mark.promise("assets")
def test_an_event_starts_a_dag_in_another_airflow_once(two: Two, watcher: WatcherProcess, store: EtcdStore) -> None:
    del watcher
    before = consumed(two)
    hidden, run_id = publish(two, "private"), publish(two)
    arrived(two, store, run_id)
    (event,) = events_of(two, run_id)
    assert event["uri"] == ORDERS
    assert event["extra"]["rows"] == 3
    ours = event["extra"]["coordinator"]
    assert ours["path"] == ["sales"]
    assert [ours["dag_id"], ours["task_id"]] == ["publish", "publish"]
    eventually(lambda: consumed(two) == before + 1, "a run of consume", within=WITHIN)
    assert events_of(two, hidden) == [], "no bridge matches it"
    assert patiently(lambda: two.finance.api.runs("consume_private")) == []


@pytest.mark.promise("assets")
def test_what_a_cleared_run_emits_is_handed_on_too(two: Two, watcher: WatcherProcess, store: EtcdStore) -> None:
    del watcher
    run_id = publish(two)
    arrived(two, store, run_id)

    def has_ended() -> bool:
        return bool(patiently(lambda: two.sales.api.run("publish", run_id))["state"] == "success")

    eventually(has_ended, "the scheduler has ended the run, and does not overwrite the clear", within=WITHIN)
    patiently(lambda: two.sales.api.clear("publish", run_id))
    arrived(two, store, run_id, events=2)
    second, first = (event["extra"]["coordinator"]["event"] for event in events_of(two, run_id))
    assert first != second


@pytest.mark.promise("assets")
def test_the_consumer_is_away_for_a_while(two: Two, watcher: WatcherProcess, store: EtcdStore) -> None:
    del watcher
    before = consumed(two)
    two.finance.kill_api_server()
    try:
        run_id = publish(two)
        eventually(lambda: records(store, run_id), "the delivery has begun", within=WITHIN)
    finally:
        two.finance.start_api_server()
    arrived(two, store, run_id)
    eventually(lambda: consumed(two) == before + 1, "a run of consume", within=WITHIN)


@pytest.mark.promise("assets")
def test_the_watcher_is_killed_between_request_and_answer(two: Two, watcher: WatcherProcess, store: EtcdStore) -> None:
    arrived(two, store, publish(two))  # the watcher has logged in, and knows the asset
    two.line.set(Way.DEAF)
    try:
        run_id = publish(two)
        eventually(lambda: events_of(two, run_id), "finance has carried it out", within=WITHIN)
        assert [record.status for record in records(store, run_id)] == [Status.INTENT]
        assert watcher.process is not None
        watcher.process.send_signal(signal.SIGKILL)
        watcher.process.wait()
    finally:
        two.line.set(Way.OPEN)
    watcher.start()
    arrived(two, store, run_id)


@pytest.mark.promise("assets")
def test_an_unknown_asset_is_parked_and_replayed(two: Two, watcher: WatcherProcess, store: EtcdStore) -> None:
    del watcher
    run_id = publish(two, "unheard_of")
    eventually(
        lambda: [record.status for record in records(store, run_id)] == [Status.BLOCKED], "it is parked", within=WITHIN
    )
    listed = coordinator(two, "assets", "list")
    assert listed.returncode == 1, listed.stderr
    assert NEW in listed.stdout
    assert f"knows no asset {NEW}" in coordinator(two, "status").stdout
    shutil.copy(HERE / "later.py", two.finance.dags_folder)

    def is_known() -> bool:
        return bool(patiently(lambda: two.finance.api.call("GET", "/assets", params={"uri_pattern": NEW}))["assets"])

    eventually(is_known, "finance knows the asset", within=WITHIN)
    coordinator(two, "assets", "replay", "--all")
    arrived(two, store, run_id)
    assert coordinator(two, "assets", "list").returncode == 0


@pytest.mark.promise("assets")
def test_what_is_handed_on_does_not_come_back(two: Two, watcher: WatcherProcess, store: EtcdStore) -> None:
    """Another document leads from finance to sales, which nobody has noticed: it is written by hand."""
    del watcher
    back = json.dumps({"assets": [{"from": "finance", "to": ["sales"], "match": ["s3://lake/orders/*"]}]})
    publication = publishing.publish(parse_document(back, source="back"), None, 0, publishing.Terms(datetime.now(UTC)))
    key = Keys().dependencies("sales")
    store.commit(Transaction((), (Put(key, dump_publication(publication)),)))
    try:
        run_id = publish(two)
        arrived(two, store, run_id)

        def reported() -> bool:
            told = [json.loads(item.value) for item in store.list("/coordinator/asset/finance/").items]
            return any(one["extra"].get("coordinator", {}).get("run_id") == run_id for one in told)

        eventually(reported, "the plugin of finance has heard of the event", within=WITHIN)
        arrived(two, store, publish(two))  # what came before has been decided about
        assert store.list("/coordinator/trigger/sales/assets from finance/").items == []
        query = {"limit": 100, "order_by": "-timestamp"}
        events = patiently(lambda: two.sales.api.call("GET", "/assets/events", params=query)["asset_events"])
        assert [event for event in events if "coordinator" in event["extra"]] == []
    finally:
        store.commit(Transaction((), (Delete(key),)))


def test_the_model_answers_as_airflow_does(two: Two, store: EtcdStore, watcher: WatcherProcess) -> None:
    del watcher
    arrived(two, store, publish(two))
    api, model = two.finance.api, Assets()
    model.add(ORDERS)
    real = api.call("GET", "/assets", params={"uri_pattern": ORDERS, "order_by": "id", "limit": 100, "offset": 0})
    ours = bodies.assets_body(model, [*model.uris.items()], 1)
    assert real.keys() == ours.keys()
    assert [one["uri"] for one in real["assets"]] == [ORDERS]
    assert real["assets"][0].keys() == ours["assets"][0].keys()
    asset_id = real["assets"][0]["id"]
    posted = api.call("POST", "/assets/events", json={"asset_id": asset_id, "extra": {"coordinator": {"event": "x"}}})
    event = model.emit(
        1, at=datetime.fromisoformat(posted["timestamp"]), extra={"coordinator": {"event": "x"}, "from_rest_api": True}
    )
    assert posted.keys() == bodies.asset_event_body(model, event).keys()
    assert posted["extra"] == event.extra
    listed = api.call("GET", "/assets/events", params={"asset_id": asset_id, "order_by": "-timestamp", "limit": 1})
    assert listed.keys() == bodies.asset_events_body(model, [event], 1).keys()
    assert listed["asset_events"][0]["id"] == posted["id"], "the newest first"
    with pytest.raises(AirflowApiError, match=r"404.*Asset with ID: `999` was not found"):
        api.call("POST", "/assets/events", json={"asset_id": 999})
