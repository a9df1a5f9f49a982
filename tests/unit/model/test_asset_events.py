"""Asset events: their ids, where they come from, and what is written and read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.model import bounds
from coordinator.model.assets.events import (
    AssetEventDocument,
    AssetState,
    InvalidEvent,
    extra_to_send,
    new_event_id,
    read_asset_event,
)
from coordinator.model.partitions import Assets
from coordinator.model.partitions.assets import identity_in
from coordinator.model.runstate import State
from coordinator.model.stored import Unreadable

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONCE, EACH = Assets("*", once=True), Assets("*")


def event(**more: Any) -> AssetEventDocument:
    known = {"uri": "s3://lake/orders", "dag_id": "load", "run_id": "run", "task_id": "publish", "map_index": -1}
    return AssetEventDocument.model_validate({**known, "timestamp": NOON, **more})


@pytest.mark.parametrize("name", ["dag_id", "run_id", "partition_key"])
def test_a_name_that_is_too_long_for_a_key_is_refused(name: str) -> None:
    longest = event(**{name: "x" * bounds.NAME})
    assert isinstance(read_asset_event("1", longest.model_dump_json().encode()), AssetState)
    longer = event(**{name: "x" * (bounds.NAME + 1)})
    refused = read_asset_event("1", longer.model_dump_json().encode())
    assert isinstance(refused, Unreadable)
    assert f"{name} is too long; expected at most {bounds.NAME} characters" in refused.reason


def origin(document: AssetEventDocument) -> tuple[str, ...]:
    return ONCE.downstreams(new_event_id(document))


def test_each_event_has_an_id_of_its_own_in_the_order_of_time() -> None:
    ids = [new_event_id(event(timestamp=NOON + timedelta(seconds=second))) for second in (0, 0, 1, 59, 3600)]
    assert len(set(ids)) == 5
    assert ids[1:] == sorted(ids[1:])
    assert [EACH.downstreams(one) for one in ids] == [(one,) for one in ids]


def test_another_attempt_of_a_task_is_of_the_same_origin() -> None:
    assert origin(event()) == origin(event(timestamp=NOON + timedelta(hours=1), extra={"rows": 4}))


@pytest.mark.parametrize(
    "other",
    [
        {"uri": "s3://lake/other"},
        {"dag_id": "other"},
        {"run_id": "other"},
        {"task_id": "other"},
        {"map_index": 1},
        {"partition_key": "eu"},
    ],
)
def test_another_run_task_index_or_key_is_another_origin(other: dict[str, Any]) -> None:
    assert origin(event(**other)) != origin(event())


def test_events_that_no_task_has_emitted_are_all_of_different_origin() -> None:
    by_hand = {"dag_id": None, "run_id": None, "task_id": None, "extra": {"from_rest_api": True}}
    assert origin(event(**by_hand)) != origin(event(**by_hand))


def test_an_event_that_was_handed_on_keeps_its_origin_and_says_its_way() -> None:
    """Two events of one origin in sales are two of one origin in finance, too."""
    arrived = []
    for attempt in (1, 2):
        first = event(extra={"rows": attempt})
        sent = extra_to_send(first, new_event_id(first), "sales")
        assert sent["rows"] == attempt
        arrived.append(event(dag_id=None, run_id=None, task_id=None, extra={**sent, "from_rest_api": True}))
    assert origin(arrived[0]) == origin(arrived[1])
    event_id = new_event_id(arrived[0])
    assert extra_to_send(arrived[0], event_id, "finance")["coordinator"] == {
        "event": event_id,
        "path": ["sales", "finance"],
        "dag_id": "load",
        "run_id": "run",
        "task_id": "publish",
        "timestamp": "2026-11-20T12:00:00Z",
    }


@pytest.mark.parametrize("strange", ["text", 7, None, {}, {"path": "sales", "event": "x"}, {"path": [], "event": 3}])
def test_what_others_write_in_our_place_is_no_way(strange: Any) -> None:
    document = event(extra={"coordinator": strange})
    assert extra_to_send(document, "id", "sales")["coordinator"]["path"] == ["sales"]


def test_an_event_is_a_success_that_says_its_uri_and_its_way() -> None:
    document = event(extra={"coordinator": {"event": "a-b-c", "path": ["hr"]}})
    state = read_asset_event("id", document.to_value())
    assert isinstance(state, AssetState)
    assert (state.state, state.attempt.run_id, state.uri, state.path) == (
        State.SUCCESS,
        "id",
        "s3://lake/orders",
        ("hr",),
    )
    assert state.document() == document


@pytest.mark.parametrize("value", [b"success", b"{}", b'{"uri": "", "timestamp": "2026-11-20"}', b"\xff", b"[]"])
def test_what_is_no_event_is_unreadable(value: bytes) -> None:
    assert isinstance(read_asset_event("id", value), Unreadable)


def test_an_extra_that_is_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(InvalidEvent, match=f"expected at most {bounds.ASSET_EXTRA}"):
        event(extra={"text": "x" * bounds.ASSET_EXTRA}).to_value()
    assert event(extra={"text": "x" * (bounds.ASSET_EXTRA - 20)}).to_value()


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidEvent):
        event(extra={"text": "\ud800"}).to_value()


def test_an_event_names_those_that_it_is_for() -> None:
    told = AssetEventDocument(uri="s3://a", to=["finance"], timestamp=NOON)
    state = read_asset_event("x", told.to_value())
    assert isinstance(state, AssetState)
    assert [state.is_for(one, explicit=one == "finance") for one in ("finance", "hr")] == [True, False]
    heard = read_asset_event("x", AssetEventDocument(uri="s3://a", timestamp=NOON).to_value())
    assert isinstance(heard, AssetState)
    assert [heard.is_for("finance", explicit=explicit) for explicit in (False, True)] == [True, False]


@pytest.mark.promise("assets")
def test_a_task_cannot_give_its_event_the_origin_of_another_one() -> None:
    """It may write into ``extra`` what the coordinator writes; the listener says that a task has emitted it."""
    real = AssetEventDocument(uri="s3://a", dag_id="load", run_id="r", task_id="t", map_index=-1, timestamp=NOON)
    told = json.dumps(["load", "r", "t", -1, None])
    for event in (told, new_event_id(real)):
        forged = AssetEventDocument(
            uri="s3://a",
            dag_id="evil",
            run_id="r",
            task_id="t",
            extra={"coordinator": {"event": event, "path": ["finance"]}},
            timestamp=NOON,
            reported_by="airflow-listener/sales",
        )
        assert forged.origin is None
        assert identity_in(new_event_id(forged)) != identity_in(new_event_id(real))
