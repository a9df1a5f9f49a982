"""An environment that nobody reports for is noticed, and a moment without etcd is not taken for its silence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model import bounds
from coordinator.model.reporters import (
    LEASE,
    SEEN_EVERY,
    Hearing,
    LastSeen,
    ReportedRun,
    ReporterStatus,
    hear,
    problems_of,
    read_last_seen,
    read_reporter,
)
from coordinator.model.runstate import Unreadable

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN = ReportedRun(dag_id="load", run_id="r", state="success", at=NOON)
SEEN = LastSeen(at=NOON, reporter="r1", host="h")


def status(**fields: Any) -> ReporterStatus:
    return ReporterStatus(**{"host": "h", "pid": 1, "since": NOON, "written_at": NOON, **fields})


def hearing(
    *,
    seen: LastSeen | None,
    after: timedelta,
    reachable_for: timedelta | None = timedelta(days=1),
    present: bool = False,
) -> Hearing:
    now = NOON + after
    reporters = {"r1": status()} if present else {}
    since = None if reachable_for is None else now - reachable_for
    return hear("sales", reporters, seen, now=now, reachable_since=since).hearing


LONG = timedelta(hours=1)


def test_whoever_is_there_is_heard_whatever_was_seen_last() -> None:
    assert hearing(seen=None, after=LONG, present=True) is Hearing.HEARD
    assert hearing(seen=SEEN, after=LONG, present=True) is Hearing.HEARD


def test_never_heard_is_told_from_fallen_silent() -> None:
    assert hearing(seen=None, after=LONG) is Hearing.NEVER
    assert hearing(seen=SEEN, after=LONG) is Hearing.SILENT


def test_silence_counts_only_after_etcd_was_reachable_for_two_leases() -> None:
    assert hearing(seen=SEEN, after=LONG, reachable_for=2 * LEASE) is Hearing.UNSURE
    assert hearing(seen=SEEN, after=LONG, reachable_for=2 * LEASE + timedelta(seconds=1)) is Hearing.SILENT


def test_a_reporter_that_has_just_left_is_not_silent_yet() -> None:
    at_most = SEEN_EVERY + 2 * LEASE
    for reachable_for in (None, timedelta(days=1)):
        assert hearing(seen=SEEN, after=at_most, reachable_for=reachable_for) is Hearing.UNSURE
        assert hearing(seen=SEEN, after=at_most + timedelta(seconds=1), reachable_for=reachable_for) is Hearing.SILENT


def test_a_last_sign_that_cannot_be_read_still_tells_that_somebody_was_there() -> None:
    unreadable = Unreadable("?")
    assert hear("sales", {}, unreadable, now=NOON, reachable_since=None).hearing is Hearing.SILENT


def test_a_sign_from_the_future_does_not_hide_silence() -> None:
    ahead = LastSeen(at=datetime.max.replace(tzinfo=UTC), reporter="r1", host="h")
    assert hearing(seen=ahead, after=LONG) is Hearing.SILENT
    assert hearing(seen=ahead, after=LONG, reachable_for=LEASE) is Hearing.UNSURE


def problems(*reporters: ReporterStatus, seen: LastSeen | None = None, after: timedelta = LONG) -> list[str]:
    named = {f"r{number}": one for number, one in enumerate(reporters)}
    return problems_of(hear("sales", named, seen, now=NOON + after, reachable_since=NOON), now=NOON + after)


def test_who_is_not_heard_from_is_a_problem_that_names_the_remedy() -> None:
    (never,) = problems()
    assert "COORDINATOR_REPORTER__ENVIRONMENT=sales" in never
    assert "environments.sales.plugin = false" in never
    (silent,) = problems(seen=SEEN)
    assert "2026-11-20T12:00:00Z (h)" in silent
    assert problems(seen=SEEN, after=timedelta(seconds=1)) == []


def test_a_reporter_without_trouble_is_no_problem() -> None:
    assert problems(status(backlog=3, oldest=NOON + LONG, recent=(RUN,), airflow_url="http://a")) == []


def test_parked_events_and_an_old_backlog_are_problems() -> None:
    (parked,) = problems(status(parked=2, outbox="/out"))
    assert parked.startswith("2 events are parked in /out on h: ")
    (backlog,) = problems(status(backlog=7, oldest=NOON))
    assert backlog.startswith("7 events wait in its outbox on h, the oldest for 60 min")


def test_two_airflows_under_one_name_are_a_problem() -> None:
    one, other = status(airflow_url="http://a"), status(airflow_url="http://b", host="k")
    (found,) = problems(one, other)
    assert "http://a (h), http://b (k)" in found
    assert problems(one, one) == [], "two schedulers of one Airflow"


def test_what_is_written_is_read_back() -> None:
    full = status(version="1", airflow_version="3.3.2", backlog=1, oldest=NOON, recent=(RUN,), parked=1)
    assert read_reporter(full.to_value()) == full
    assert read_last_seen(SEEN.to_value()) == SEEN
    assert full.says_the_same_as(full.model_copy(update={"written_at": NOON + LONG}))
    assert not full.says_the_same_as(full.model_copy(update={"backlog": 2}))


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000, b" " * (bounds.REPORTER + 1)])
def test_what_cannot_be_read_is_shown_and_never_raises(value: bytes) -> None:
    assert isinstance(read_reporter(value), Unreadable)
    assert isinstance(read_last_seen(value), Unreadable)


instants = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
words = st.text() | st.integers() | st.none() | instants
documents = st.fixed_dictionaries(
    {"host": words, "pid": words, "since": instants, "written_at": instants},
    optional={"oldest": words, "backlog": st.integers(), "recent": st.lists(st.dictionaries(st.text(), words))},
)


@given(documents)
def test_whatever_a_reporter_says_can_be_checked_and_written_again(document: dict[str, Any]) -> None:
    found = read_reporter(json.dumps(document).encode())
    if isinstance(found, ReporterStatus):
        assert read_reporter(found.to_value()) == found
        problems(found)


@given(instants)
def test_whatever_time_a_sign_of_life_names_can_be_checked(at: str) -> None:
    seen = read_last_seen(json.dumps({"at": at, "reporter": "r", "host": "h"}).encode())
    assert isinstance(seen, LastSeen)
    assert len(problems(seen=seen)) <= 1


def test_text_of_a_reporter_can_do_nothing_to_a_terminal() -> None:
    assert status(host="\x1b[31m\ud800").host == "\\x1b[31m\\ud800"
