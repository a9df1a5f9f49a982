"""Run states: what can be read, and which of two reports is the newer one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model import bounds
from coordinator.model.runstate import (
    Attempt,
    RunState,
    RunStateDocument,
    State,
    Unreadable,
    Verdict,
    evaluate_report,
    read_run_state,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


@pytest.mark.parametrize("value", [b"success", b'"success"', b" success\n", b'{"state": "success"}'])
def test_a_bare_word_and_json_say_the_same(value: bytes) -> None:
    assert read_run_state(value) == RunState(State.SUCCESS)


def test_one_instant_is_one_attempt_however_it_is_spelled() -> None:
    one = read_run_state(b'{"state": "success", "run_id": "r", "queued_at": "2026-11-20T12:00:00Z"}')
    other = read_run_state(b'{"state": "success", "run_id": "r", "queued_at": "2026-11-20T13:00:00+01:00", "x": [1]}')
    assert isinstance(one, RunState)
    assert isinstance(other, RunState)
    assert one.attempt.same_as(other.attempt)


@pytest.mark.parametrize("more", [{}, {"of_another_writer": 1}])
@pytest.mark.parametrize(
    ("seen_after", "marked", "ended_at"),
    [
        pytest.param(timedelta(days=10), None, NOON, id="long after"),
        pytest.param(timedelta(seconds=61), None, NOON, id="after more than a minute"),
        pytest.param(timedelta(seconds=60), None, NOON + timedelta(seconds=60), id="at once"),
        pytest.param(timedelta(hours=-1), None, NOON - timedelta(hours=1), id="before it, by another clock"),
        pytest.param(timedelta(days=10), True, NOON + timedelta(days=10), id="marked by a person"),
    ],
)
def test_the_end_is_kept_where_it_was_seen_late(
    more: dict[str, Any], seen_after: timedelta, *, marked: bool | None, ended_at: datetime
) -> None:
    """Both readers of a run state agree: the one of known fields, and the one of all others."""
    seen = NOON + seen_after
    document = RunStateDocument(state=State.SUCCESS, end_date=NOON, observed_at=seen, marked=marked, **more)
    read = read_run_state(document.to_value())
    assert read == document.to_run_state() == RunState(State.SUCCESS, Attempt(), seen, bool(marked), ended_at)
    assert isinstance(read, RunState)
    assert read.completed_at == ended_at


def test_an_end_that_nobody_has_said_is_when_it_was_seen() -> None:
    read = read_run_state(b'{"state": "success", "observed_at": "2026-11-20T12:00:00Z"}')
    assert read == RunState(State.SUCCESS, observed_at=NOON)
    assert read.completed_at == NOON


def test_an_end_alone_is_when_it_was_seen() -> None:
    read = read_run_state(b'{"state": "success", "end_date": "2026-11-20T12:00:00Z"}')
    assert read == RunState(State.SUCCESS, observed_at=NOON, ended_at=NOON)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"done",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b"null",
        b'{"state": "SUCCESS"}',
        b'{"state": "success", "queued_at": 7}',
        b'{"state": "success", "attempt": "two"}',
        b"x" * (bounds.RUN_STATE + 1),
        b"[" * 5000,
    ],
)
def test_what_cannot_be_read_says_why_and_raises_nothing(value: bytes) -> None:
    read = read_run_state(value)
    assert isinstance(read, Unreadable)
    assert read.reason


@pytest.mark.promise("rubbish")
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_reading_never_raises(value: bytes) -> None:
    assert isinstance(read_run_state(value), RunState | Unreadable)


def state(
    word: str, run_id: str | None = "r", queued_at: datetime | None = NOON, observed_at: datetime | None = None
) -> RunState:
    return RunState(State(word), Attempt(run_id, queued_at), observed_at)


@pytest.mark.promise("late-reports")
@pytest.mark.parametrize(
    ("present", "report", "verdict"),
    [
        (None, state("queued"), Verdict.NEW),
        (Unreadable("?"), state("queued"), Verdict.NEW),
        (state("queued"), state("running"), Verdict.NEW),
        (state("running"), state("success"), Verdict.NEW),
        (state("success"), state("success"), Verdict.REPEAT),
        (state("success"), state("running"), Verdict.OUTDATED),
        (state("running"), state("queued"), Verdict.OUTDATED),
        (state("success"), state("failed"), Verdict.NEW),
        (state("failed", observed_at=LATER), state("success", observed_at=NOON), Verdict.OUTDATED),
        (state("failed", observed_at=NOON), state("success", observed_at=LATER), Verdict.NEW),
        (state("success", queued_at=LATER), state("success"), Verdict.OUTDATED),
        (state("running", queued_at=LATER), state("success"), Verdict.OUTDATED),
        (state("success"), state("running", queued_at=LATER), Verdict.NEW),
        (state("running", "other", LATER), state("success"), Verdict.OUTDATED),
        (state("success", "other"), state("running", "r", LATER), Verdict.NEW),
        (state("success", None, None), state("success", None, None), Verdict.NEW),
        (state("success"), state("success", None, None), Verdict.NEW),
    ],
)
def test_the_older_never_overwrites_the_newer(
    present: RunState | Unreadable | None, report: RunState, verdict: Verdict
) -> None:
    assert evaluate_report(present, report) is verdict


@pytest.mark.promise("late-reports")
@pytest.mark.parametrize(
    ("present", "report", "verdict"), [(1, 1, Verdict.REPEAT), (1, 2, Verdict.NEW), (2, 1, Verdict.OUTDATED)]
)
def test_attempts_are_counted_where_there_is_no_queued_at(present: int, report: int, verdict: Verdict) -> None:
    def of(number: int) -> RunState:
        return RunState(State.SUCCESS, Attempt("r", None, number))

    assert evaluate_report(of(present), of(report)) is verdict


@pytest.mark.promise("late-reports")
@given(
    st.permutations([state(word, queued_at=at) for at in (NOON, LATER) for word in ("queued", "running", "success")])
)
def test_any_order_of_arrival_ends_at_the_newest(reports: list[RunState]) -> None:
    present: RunState | None = None
    for report in reports:
        if evaluate_report(present, report) is Verdict.NEW:
            present = report
    assert present == state("success", queued_at=LATER)


def marked(word: str, at: datetime = NOON) -> RunState:
    return RunState(State(word), Attempt("r", at), LATER, marked=True)


@pytest.mark.parametrize(
    ("present", "report", "verdict"),
    [
        (marked("success"), state("failed", observed_at=LATER), Verdict.OUTDATED),
        (marked("success"), state("running"), Verdict.OUTDATED),
        (marked("success"), state("success"), Verdict.REPEAT),
        (marked("success"), marked("failed"), Verdict.NEW),
        (state("failed", observed_at=LATER), marked("success"), Verdict.NEW),
        (state("running"), marked("failed"), Verdict.NEW),
        # Another attempt is none of the mark's business.
        (marked("success"), state("running", queued_at=LATER), Verdict.NEW),
        (marked("success", LATER), state("failed"), Verdict.OUTDATED),
        (state("running", queued_at=LATER), marked("success"), Verdict.OUTDATED),
        # Without an attempt nothing can be compared.
        (RunState(State.SUCCESS, marked=True), state("failed"), Verdict.NEW),
    ],
)
def test_only_a_newer_attempt_or_another_mark_overrules_a_persons_mark(
    present: RunState, report: RunState, verdict: Verdict
) -> None:
    assert evaluate_report(present, report) is verdict


def test_a_mark_is_read_back() -> None:
    read = read_run_state(b'{"state": "success", "run_id": "r", "queued_at": "2026-11-20T12:00:00Z", "marked": true}')
    assert read == RunState(State.SUCCESS, Attempt("r", NOON), marked=True)


def test_a_run_id_that_is_longer_than_any_name_makes_a_state_unreadable() -> None:
    """Each is kept in memory, four bytes a character: with a few thousand of them one writer would end the watchers."""
    longest = RunStateDocument(state=State.SUCCESS, run_id="r" * bounds.NAME).to_value()
    assert isinstance(read_run_state(longest), RunState)
    refused = read_run_state(longest.replace(b"rrr", b"rrrr", 1))
    assert isinstance(refused, Unreadable)
    assert "run_id" in refused.reason
    assert "1000 characters" in refused.reason
