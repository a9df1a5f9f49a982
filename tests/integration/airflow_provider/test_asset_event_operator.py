"""``AssetEventOperator``: each attempt of its run emits one event, for the environments that it names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from coordinator.airflow_plugin.outbox import EmittedEvent, Outbox
from coordinator.airflow_plugin.plugin import _reporter
from coordinator.airflow_plugin.spawning import SenderProcess
from coordinator.airflow_provider import AssetEventOperator
from coordinator.airflow_provider.info import get_provider_info
from coordinator.config.etcd import EtcdSettings
from coordinator.model.assets.events import AssetEventDocument, AssetState, read_asset_event
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import StoreUnavailable
from tests.worlds.asset_cases import ORDERS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, etcd_settings: EtcdSettings) -> None:
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", json.dumps(etcd_settings.endpoints))
    monkeypatch.setenv("COORDINATOR_ETCD__PREFIX", etcd_settings.prefix)
    monkeypatch.setenv("COORDINATOR_REPORTER__ENVIRONMENT", "sales")


def context(*, clear_number: int = 0, events: tuple[Any, ...] = (), map_index: int = -1) -> dict[str, object]:
    run = SimpleNamespace(
        dag_id="load",
        run_id="manual__1",
        logical_date=None,
        start_date=NOON,
        clear_number=clear_number,
        consumed_asset_events=events,
    )
    return {"dag_run": run, "ti": SimpleNamespace(dag_id="load", task_id="tell", map_index=map_index)}


def written(etcd: EtcdStore, keys: Keys) -> dict[str, AssetEventDocument]:
    found = {}
    for item in etcd.list(keys.every("asset", "sales")).items:
        state = read_asset_event("", item.value)
        assert isinstance(state, AssetState)
        found[item.key.rpartition("/")[2]] = state.document()
    return found


@pytest.mark.promise("assets")
def test_a_retry_emits_nothing_twice_and_a_cleared_run_emits_again(etcd: EtcdStore, keys: Keys) -> None:
    operator = AssetEventOperator(task_id="tell", asset=ORDERS, to=["finance"], extra={"rows": 3}, partition_key="eu")
    (first,) = operator.execute(context())
    assert operator.execute(context()) == [first]
    (event,) = written(etcd, keys).values()
    assert [event.uri, event.extra, event.partition_key, event.to] == [ORDERS, {"rows": 3}, "eu", ["finance"]]
    assert [event.dag_id, event.run_id, event.task_id] == ["load", "manual__1", "tell"]
    (cleared,) = operator.execute(context(clear_number=1))
    assert {*written(etcd, keys)} == {first, cleared}
    assert first.split("-")[1] == cleared.split("-")[1], "of one origin: a bridge that hands on once takes one of them"
    assert operator.execute(context(map_index=7)) != [first]


def test_an_empty_asset_is_refused(etcd: EtcdStore, keys: Keys) -> None:
    """As a template gives it that has nothing to name: it must not forward everything, nor emit what has no name."""
    with pytest.raises(AirflowFailException, match="asset is empty"):
        AssetEventOperator(task_id="tell", asset="").execute(context())
    assert written(etcd, keys) == {}


@pytest.mark.promise("assets")
def test_what_has_started_the_run_is_handed_on(etcd: EtcdStore, keys: Keys) -> None:
    ours = {"event": "x", "path": ["hr"], "dag_id": "first", "run_id": "r", "task_id": "t"}
    events = tuple(
        SimpleNamespace(
            asset=SimpleNamespace(uri=uri),
            extra=extra,
            source_dag_id=dag_id,
            source_run_id=dag_id and "run",
            source_task_id=dag_id and "publish",
            source_map_index=-1,
            partition_key=key,
            timestamp=NOON,
        )
        for uri, extra, dag_id, key in (
            (ORDERS, {"rows": 1}, "extract", "eu"),
            ("gs://b", {"coordinator": ours}, None, None),
        )
    )
    operator = AssetEventOperator(task_id="tell", to=["finance"], extra={"by": "hand"})
    found = operator.execute(context(events=events))
    assert operator.execute(context(events=events)) == found
    one, other = (written(etcd, keys)[event] for event in found)
    assert [one.uri, one.dag_id, one.run_id, one.task_id, one.partition_key] == [
        ORDERS,
        "extract",
        "run",
        "publish",
        "eu",
    ]
    assert [one.extra, one.to] == [{"rows": 1, "by": "hand"}, ["finance"]]
    assert [other.uri, other.dag_id] == ["gs://b", "load"]
    assert other.origin is not None
    assert other.origin.path == ["hr"], "where it was emitted first is kept"


def test_what_is_wrong_fails_at_once(etcd: EtcdStore, keys: Keys) -> None:
    with pytest.raises(AirflowFailException, match="'sales' is the environment of this task"):
        AssetEventOperator(task_id="tell", asset=ORDERS, to=["sales"]).execute(context())
    with pytest.raises(AirflowFailException, match="expected at most"):
        AssetEventOperator(task_id="tell", asset=ORDERS, extra={"x": "y" * 20_000}).execute(context())
    with pytest.raises(ValueError, match="expected a list of environments"):
        AssetEventOperator(task_id="tell", asset=ORDERS, to="finance")
    with pytest.raises(ValueError, match="expected no etcd_conn_id"):
        AssetEventOperator(task_id="tell", asset=ORDERS, keep_in_outbox=True, etcd_conn_id="etcd_default")
    assert written(etcd, keys) == {}


@pytest.mark.promise("assets")
def test_without_etcd_the_event_waits_in_the_outbox_or_the_task_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outbox = tmp_path / "outbox"
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", '["127.0.0.1:1"]')
    monkeypatch.setenv("COORDINATOR_ETCD__TIMEOUT", "0.5")
    monkeypatch.setenv("COORDINATOR_REPORTER__OUTBOX", str(outbox))
    monkeypatch.setattr(SenderProcess, "wake", lambda _: None)
    _reporter.cache_clear()
    with pytest.raises(StoreUnavailable):
        AssetEventOperator(task_id="tell", asset=ORDERS).execute(context())
    (event_id,) = AssetEventOperator(task_id="tell", asset=ORDERS, keep_in_outbox=True).execute(context())
    (name,) = Outbox(outbox).pending()
    kept = Outbox(outbox).read(name)
    assert isinstance(kept, EmittedEvent)
    assert [kept.event_id, kept.environment, kept.asset.uri] == [event_id, "sales", ORDERS]
    _reporter.cache_clear()


def test_the_provider_names_the_operator() -> None:
    (operators,) = get_provider_info()["operators"]
    assert AssetEventOperator.__module__ in operators["python-modules"]
