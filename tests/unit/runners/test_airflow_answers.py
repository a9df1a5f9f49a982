"""Reading what Airflow says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model import bounds
from coordinator.model.runstate import State
from coordinator.runners.airflow.answers import Answer, RunAnswer, read_retry_after
from coordinator.runners.airflow.listing import MAX_TERMS, PAGE, batches, usable_as_prefix
from coordinator.runners.port import EnvironmentUnavailable

RECORDED = Path(__file__).parents[2] / "airflow_model" / "recorded" / "airflow-3.3.2.json"


def answer(body: bytes, status: int = 200) -> Answer:
    return Answer(question="GET http://airflow/x", status=status, body=body)


def test_every_recorded_run_can_be_read() -> None:
    read = 0
    for step in json.loads(RECORDED.read_text())["steps"]:
        body = step.get("answer", {}).get("body")
        if isinstance(body, dict) and "dag_run_id" in body:
            run = answer(json.dumps(body).encode()).read(RunAnswer).observed()
            assert run.queued_at is not None
            assert run.queued_at.tzinfo is UTC
            assert run.state in State
            read += 1
    assert read > 15


@given(st.binary(max_size=200))
def test_rubbish_is_an_answer_that_settles_nothing(body: bytes) -> None:
    with pytest.raises(EnvironmentUnavailable):
        answer(body).read(RunAnswer)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_detail_of_any_shape_becomes_bounded_text(detail: object) -> None:
    text = answer(json.dumps({"detail": detail}).encode(), 422).detail()
    assert len(text) <= bounds.DETAIL


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("20", 20.0), ("120", 60.0), ("0", 0.0), ("-5", 0.0), (None, None), ("", None), ("soon", None), ("inf", None)],
)
def test_retry_after_in_seconds(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header) == seconds


def test_retry_after_as_a_date() -> None:
    now = datetime.now(UTC)
    assert 30 < (read_retry_after(format_datetime(now + timedelta(seconds=40), usegmt=True)) or 0) <= 40
    assert read_retry_after(format_datetime(now - timedelta(minutes=1), usegmt=True)) == 0


@given(st.lists(st.text(min_size=1, max_size=250), max_size=300))
def test_batches_hold_every_name_once_and_fit_into_an_address(names: list[str]) -> None:
    cut = list(batches(names, parts=lambda name: (name,)))
    assert [name for batch in cut for name in batch] == names
    for batch in cut:
        assert len(batch) <= PAGE
        if len(batch) > 1:
            assert len(quote("|".join(sorted(set(batch))), safe="")) <= MAX_TERMS


@pytest.mark.parametrize("name", ["a|b", " a", "a ", "", "__", "~", "ä1", "a\n1"])
def test_names_that_a_list_would_misread_are_not_put_into_one(name: str) -> None:
    assert not usable_as_prefix(name)
