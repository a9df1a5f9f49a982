"""Reading values of etcd: the fast way and the whole one say the same of every value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordinator.model import bounds
from coordinator.model.runstate import RunState, RunStateDocument, Unreadable, read_run_state
from coordinator.model.stored import read_stored

TIMES = [
    "2026-11-20T12:00:00Z",
    "2026-11-20T12:00:00.123456789Z",
    "2026-11-20 12:00:00+0130",
    "2026-11-20t12:00:00z",
    "2026-11-20",
    "2026-W47-5",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-11-20T24:00:00Z",
    "2026-11-20T23:59:60Z",
    "1700000000",
    "tomorrow",
    "",
]
TIME_FIELDS = [
    "queued_at",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "start_date",
    "end_date",
    "observed_at",
]
TEXT_FIELDS = ["run_id", "partition_key", "reported_by", "note"]

anything: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({"a": 1})
)
mostly_right = st.fixed_dictionaries(
    {"state": st.sampled_from(["queued", "running", "success", "failed"]) | anything},
    optional=dict.fromkeys(TIME_FIELDS, st.sampled_from(TIMES) | anything)
    | dict.fromkeys(TEXT_FIELDS, st.text(max_size=8) | anything)
    | {"attempt": st.integers(0, 3) | st.integers() | anything, "marked": st.booleans() | anything, "else": anything},
)


def whole(value: bytes) -> RunState | Unreadable:
    """As the document that writers use reads it."""
    return read_stored(
        value,
        lambda value: RunStateDocument.model_validate_json(value).to_run_state(),
        most=bounds.RUN_STATE,
        what="a run state",
        expected="; expected a state (queued, running, success, failed)",
    )


@pytest.mark.slow
@settings(max_examples=300)
@given(mostly_right.map(json.dumps).map(str.encode))
@example(b'{"state": "success", "run_id": "\\ud800"}')
@example(b'{"state": "success", "run_id": "\\ud800\\u0041"}')
@example(b'{"state": "success", "run_id": "\\ud83d\\ude00 \\u0000"}')
@example(b'{"state": "success", "run_id": "\xff"}')
@example(b'{"state": "success", "note": "a\nb"}')
@example(b'{"state": "failed", "state": "success", "attempt": 1, "attempt": 2}')
@example(b'{"state": "success", "attempt": 1.0}')
@example(b'{"state": "success", "attempt": -0}')
@example(b'{"state": "success", "attempt": 99999999999999999999}')
@example(b'{"state": "success", "attempt": 1' + b"0" * 5000 + b"}")
@example(b'{"state": "success", "else": ' + b"[" * 300 + b"]" * 300 + b"}")
@example(b'{"state": "success", "else": NaN}')
@example(b'{"state": "success"} {}')
@example(b'\xef\xbb\xbf{"state": "success"}')
def test_a_run_state_is_read_as_the_document_of_its_writers_reads_it(value: bytes) -> None:
    assert read_run_state(value) == whole(value)


@pytest.mark.slow
@given(mostly_right.map(json.dumps).map(str.encode), st.data())
def test_also_where_a_byte_is_wrong(value: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(value) - 1))
    broken = value[:place] + data.draw(st.binary(max_size=2)) + value[place + 1 :]
    assert read_run_state(broken) == whole(broken)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("no reference"), "ValueError: no reference"),
        (OverflowError("too far"), "OverflowError: too far"),
        (RecursionError("too deep"), "RecursionError: too deep"),
    ],
)
def test_what_cannot_be_made_of_a_document_is_told(raised: Exception, said: str) -> None:
    def make(_: bytes) -> bytes:
        raise raised

    assert read_stored(b"{}", make, most=10, what="a thing") == Unreadable(said)


def test_a_value_beyond_its_bound_is_not_looked_into() -> None:
    def look(_: bytes) -> bytes:
        raise AssertionError("it was")

    assert read_stored(b"x" * 11, look, most=10, what="a thing") == Unreadable(
        "more than 10 bytes, the most that a thing has: put a shorter one, or delete the key"
    )
