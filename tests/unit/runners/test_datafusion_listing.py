"""What is remembered of lists of runs, when lists of several threads cross."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.model.runstate import State
from coordinator.runners.datafusion import listing
from coordinator.runners.datafusion.arguments import Ours
from coordinator.runners.datafusion.attempts import Attempt
from coordinator.runners.datafusion.client import Record
from coordinator.runners.datafusion.listing import _Known

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def attempt(runid: str, status: str = "RUNNING", *, starting: float = 1000.0, run_id: str = "r") -> Attempt:
    return Attempt(Record(runid, status, starting), Ours(run_id, f"token of {runid}", NOW, None, {}))


def named(*attempts: Attempt) -> dict[str, Attempt]:
    return {one.record.runid: one for one in attempts}


def test_a_list_that_was_asked_for_before_removes_nothing_that_a_newer_one_shows() -> None:
    known = _Known()
    known.take(named(attempt("a")), 2.0, is_all=True)
    known.take({}, 1.0, is_all=True)
    known.take({}, 1.0, is_all=False)
    assert set(known.seen) == {"a"}
    known.take({}, 3.0, is_all=False)
    assert not known.seen
    assert not known.ids
    assert not known.going


def test_what_has_ended_stays_ended_and_is_removed_by_a_list_of_everything_only() -> None:
    known = _Known()
    known.take(named(attempt("a")), 1.0, is_all=True)
    known.take(named(attempt("a", "COMPLETED")), 2.0, is_all=False)
    known.take(named(attempt("a")), 3.0, is_all=False)
    known.take({}, 4.0, is_all=False)
    assert known.seen["a"].attempt.state is State.SUCCESS
    assert not known.going
    known.take({}, 5.0, is_all=True)
    assert not known.seen


def test_an_older_answer_does_not_take_the_place_of_a_newer_one() -> None:
    known = _Known()
    known.take(named(attempt("a", "RUNNING")), 2.0, is_all=True)
    known.take(named(attempt("a", "PENDING")), 1.0, is_all=False)
    assert known.seen["a"].attempt.record.status == "RUNNING"


def test_the_attempts_of_a_run_are_found_together() -> None:
    known = _Known()
    known.take(named(attempt("a", "FAILED"), attempt("b"), attempt("c", run_id="other")), 1.0, is_all=True)
    assert known.ids == {"r": {"a", "b"}, "other": {"c"}}


def test_the_next_list_reaches_back_to_what_goes_on_and_to_what_may_be_listed_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "boottime", lambda: 100.0)
    known = _Known()
    assert known.since(120.0) is None
    known.take(named(attempt("a", "FAILED", starting=10.0), attempt("b", starting=9000.0)), 90.0, is_all=True)
    assert known.since(120.0) is None  # it does not know CDAP's clock
    known.until = 10_000.0
    assert known.since(120.0) == 9000.0
    known.take(named(attempt("b", "COMPLETED", starting=9000.0)), 95.0, is_all=False)
    assert known.since(120.0) == 10_000.0 - 120.0 - 60.0
    monkeypatch.setattr(listing, "boottime", lambda: 90.0 + listing.ALL_EVERY)
    assert known.since(120.0) is None
