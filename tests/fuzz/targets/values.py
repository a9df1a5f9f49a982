"""Every value that stands in etcd: reading never raises, and what is read can be written and read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coordinator.commands.acts import Act, put_of, read_act
from coordinator.controller.state.heartbeat import dump_heartbeat, read_heartbeat
from coordinator.model.assets.events import AssetState, InvalidEvent, extra_to_send, new_event_id, read_asset_event
from coordinator.model.hold import dump_hold, read_hold
from coordinator.model.order import dump_order, read_order
from coordinator.model.retention.sweep import dump_sweep, read_sweep
from coordinator.model.retention.watermark import dump_watermark, read_watermark
from coordinator.model.runstate import RunStateDocument, Unreadable, evaluate_report, read_run_state
from coordinator.model.trigger import dump_record, read_record
from coordinator.store.keys import Keys
from coordinator.store.presence import read_presence
from tests.fuzz.tape import Tape, as_json, tape_of

LONGEST_REASON = 2000
"""Characters: a reason stands in a log line and in ``status``."""

NOW = "2026-11-20T06:00:00Z"
STATE: dict[str, Any] = {
    "state": "success",
    "run_id": "scheduled__2026-11-20T00:00:00+00:00",
    "queued_at": NOW,
    "attempt": 2,
    "logical_date": "2026-11-20T00:00:00Z",
    "partition_key": "k",
    "start_date": NOW,
    "end_date": NOW,
    "observed_at": NOW,
    "reported_by": "airflow-listener/default",
    "note": "n",
    "marked": True,
    "colour": {"unknown": ["kept"]},
}
INPUT: dict[str, Any] = {
    "pipeline": "default/a",
    "partition": "2026-11-20T00:00:00Z",
    "revision": 17,
    "state": "success",
    "run_id": "r",
    "queued_at": NOW,
    "attempt": 1,
}
RECORD: dict[str, Any] = {
    "status": "sent",
    "sequence": 1,
    "action": "create",
    "run_id": "coordinator__2026-11-20T00:00:00Z__1",
    "token": "t",
    "wave": 17,
    "before": NOW,
    "attempt": NOW,
    "inputs": [INPUT],
    "consumed": [INPUT],
    "more_consumed": {
        "count": 8,
        "names": "eNqLjlYqSU3MjU/Sz8gvLcqpjE+tKClKTC7JzM9T0jE0AAIjU0ud6GgDHSUjAyMLXQNDIAoxMLACoyilWJ1oQyMdJUM0vhEa3xiN"
        "b4LGN0Xjm6HxzeF8IAAAthEsAQ==",
        "hashes": "I5mtDthrdI7JcDnQ0SPtaI13F3h4Cja1ZkoIp0FMJL4=",
    },
    "who": "watcher-1",
    "when": NOW,
    "last_error": "e",
    "order": 1,
    "ordered": 2,
    "skipped": True,
    "blocked_since": NOW,
}
ASSET: dict[str, Any] = {
    "uri": "s3://lake/orders",
    "name": "orders",
    "group": "asset",
    "dag_id": "load",
    "run_id": "scheduled__2026-11-20T00:00:00+00:00",
    "task_id": "publish",
    "map_index": -1,
    "partition_key": "eu",
    "extra": {"rows": 3, "coordinator": {"event": "a-b-c", "path": ["team_b"], "run_id": "r", "timestamp": NOW}},
    "timestamp": NOW,
    "reported_by": "airflow-listener/default",
    "colour": "kept",
}
HOLD = {"why": "w", "who": "ann", "since": NOW}
ORDER = {"order": "rerun", "who": "ann", "when": NOW, "why": "w"}
ACT = {"act": "mark", "pipeline": "default/a", "partition": "k", "what": "success", "who": "a", "when": NOW, "why": "w"}
WATERMARK = {"queued_at": NOW, "revision": 12}
SWEEP = {
    "when": NOW,
    "removed": 1,
    "kept": 2,
    "expired": 3,
    "acts": 4,
    "held_back_pipelines": 1,
    "held_back": [{"pipeline": "default/a", "partition": "k", "reason": "held"}],
}
HEARTBEAT = {"revision": 12, "when": NOW}
PRESENCE = {"id": "w", "host": "h", "pid": 1, "since": NOW}

WORDS = (
    *dict.fromkeys(
        name
        for form in (STATE, RECORD, INPUT, ASSET, HOLD, ORDER, ACT, WATERMARK, SWEEP, HEARTBEAT, PRESENCE)
        for name in form
    ),
    *("success", "failed", "queued", "running", "intent", "done", "blocked", "withdrawn", "clear", "release"),
)


def almost(data: bytes, form: Mapping[str, Any]) -> bytes:
    """The bytes as they are, or a value of this form, spoiled as the tape says."""
    tape = tape_of(data)
    return data if tape is None else spoiled_json(tape, form)


def spoiled_json(tape: Tape, form: Mapping[str, Any]) -> bytes:
    text = as_json(tape.spoiled(dict(form), WORDS))
    return text[: -1 - tape.below(len(text))] if tape.below(16) == 1 else text


def unreadable(value: object) -> bool:
    """Whether it is; and if so, that what is said of it can be shown."""
    if not isinstance(value, Unreadable):
        return False
    assert value.reason
    assert len(value.reason) <= LONGEST_REASON, f"a reason of {len(value.reason)} characters"
    value.reason.encode()
    return True


def _round_trip(
    form: Mapping[str, Any], read: Callable[[bytes], Any], dump: Callable[[Any], bytes]
) -> Callable[..., None]:
    def check(data: bytes) -> None:
        value = read(almost(data, form))
        if not unreadable(value):
            assert read(dump(value)) == value

    return check


def run_state(data: bytes) -> None:
    value = almost(data, STATE)
    state = read_run_state(value)
    if unreadable(state):
        return
    assert not isinstance(state, Unreadable)
    evaluate_report(state, state)
    if value.strip().startswith(b"{"):
        document = RunStateDocument.model_validate_json(value)
        assert read_run_state(document.to_value()) == state


def asset_event(data: bytes) -> None:
    state = read_asset_event("id", almost(data, ASSET))
    if unreadable(state):
        return
    assert isinstance(state, AssetState)
    document = state.document()
    event_id = new_event_id(document)
    assert extra_to_send(document, event_id, "sales")["coordinator"]["path"] == [*state.path, "sales"]
    try:
        again = read_asset_event("id", document.to_value())
    except InvalidEvent:
        return  # another writer's is not handed on where it is too large to be written
    assert isinstance(again, AssetState)
    assert (again.uri, again.path, again.attempt) == (state.uri, state.path, state.attempt)


def act(data: bytes) -> None:
    value = read_act(almost(data, ACT))
    if not unreadable(value):
        assert isinstance(value, Act)
        assert read_act(put_of(Keys(), value).value) == value


def presence(data: bytes) -> None:
    found = read_presence(almost(data, PRESENCE))
    str(found).encode()
    assert len(str(found)) <= LONGEST_REASON
    assert read_presence(found.to_value()) == found


record = _round_trip(RECORD, read_record, dump_record)
hold = _round_trip(HOLD, read_hold, dump_hold)
order = _round_trip(ORDER, read_order, dump_order)
watermark = _round_trip(WATERMARK, read_watermark, dump_watermark)
sweep = _round_trip(SWEEP, read_sweep, dump_sweep)
heartbeat = _round_trip(HEARTBEAT, read_heartbeat, dump_heartbeat)

SMALL = {
    "hold": hold,
    "order": order,
    "act": act,
    "watermark": watermark,
    "sweep": sweep,
    "heartbeat": heartbeat,
    "presence": presence,
    "asset event": asset_event,
}


def small(data: bytes) -> None:
    """The values that hold little: the first byte says which."""
    kinds = list(SMALL.values())
    if data:
        kinds[data[0] % len(kinds)](data[1:])
