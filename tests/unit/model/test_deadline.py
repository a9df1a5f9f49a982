"""Deadlines: a time of day is one on the wall clock of a place, also on days on which clocks are turned."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from coordinator.model.deadline import AfterFirstInput, TimeOfDay
from coordinator.model.partitions.instants import format_instant

SIX = time(6)


def moment(deadline: TimeOfDay, partition: str) -> str | None:
    found = deadline.for_partition(partition)
    return None if found is None else format_instant(found)


@pytest.mark.parametrize(
    ("deadline", "partition", "expected"),
    [
        (TimeOfDay(SIX), "2026-11-20T00:00:00Z", "2026-11-20T06:00:00Z"),
        (TimeOfDay(SIX, days=1), "2026-12-31T00:00:00Z", "2027-01-01T06:00:00Z"),
        (TimeOfDay(SIX, days=1), "2028-02-28T12:34:56.5Z", "2028-02-29T06:00:00Z"),
        # 23:00Z in Berlin is midnight of the next date: winter and summer.
        (TimeOfDay(SIX, timezone="Europe/Berlin"), "2026-11-19T23:00:00Z", "2026-11-20T05:00:00Z"),
        (TimeOfDay(SIX, timezone="Europe/Berlin"), "2026-06-30T22:00:00Z", "2026-07-01T04:00:00Z"),
        # The night in which clocks go forward, and back: 06:00 is 5 and 7 hours after midnight.
        (TimeOfDay(SIX, timezone="Europe/Berlin"), "2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z"),
        (TimeOfDay(SIX, days=1, timezone="Europe/Berlin"), "2026-03-27T23:00:00Z", "2026-03-29T04:00:00Z"),
        (TimeOfDay(SIX, timezone="Europe/Berlin"), "2026-10-24T22:00:00Z", "2026-10-25T05:00:00Z"),
        (TimeOfDay(SIX, days=2, timezone="America/New_York"), "2026-03-06T05:00:00Z", "2026-03-08T10:00:00Z"),
        (TimeOfDay(time(6, 30, 15), timezone="Asia/Kolkata"), "2026-11-19T18:30:00Z", "2026-11-20T01:00:15Z"),
    ],
)
def test_a_time_of_day_is_one_on_the_wall(deadline: TimeOfDay, partition: str, expected: str) -> None:
    assert moment(deadline, partition) == expected


def test_a_time_that_clocks_skip_is_the_moment_of_the_turn() -> None:
    # Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00Z.
    assert moment(TimeOfDay(time(2, 30), timezone="Europe/Berlin"), "2026-03-28T23:00:00Z") == "2026-03-29T01:00:00Z"


def test_a_time_that_clocks_show_twice_is_the_first() -> None:
    # Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00Z; 02:30 is 00:30Z and 01:30Z.
    assert moment(TimeOfDay(time(2, 30), timezone="Europe/Berlin"), "2026-10-24T22:00:00Z") == "2026-10-25T00:30:00Z"


@pytest.mark.parametrize(
    ("deadline", "moment", "expected"),
    [
        (TimeOfDay(SIX, days=3), "2026-11-20T05:59:59Z", "2026-11-20T06:00:00Z"),
        (TimeOfDay(SIX), "2026-11-20T06:00:00Z", "2026-11-21T06:00:00Z"),
        (TimeOfDay(SIX, timezone="Europe/Berlin"), "2026-11-20T23:30:00Z", "2026-11-21T05:00:00Z"),
        # Berlin, 2026-10-25: 02:30 is 00:30Z and 01:30Z, and means the first; between the two it is the next day's.
        (TimeOfDay(time(2, 30), timezone="Europe/Berlin"), "2026-10-25T01:00:00Z", "2026-10-26T01:30:00Z"),
    ],
)
def test_the_next_such_hour_is_one_on_the_wall(deadline: TimeOfDay, moment: str, expected: str) -> None:
    found = deadline.first_after(datetime.fromisoformat(moment))
    assert found is not None
    assert format_instant(found) == expected


def test_after_the_last_day_there_is_no_next_hour() -> None:
    assert TimeOfDay(SIX).first_after(datetime(9999, 12, 31, 7, tzinfo=UTC)) is None


def test_a_date_is_the_date_at_the_place() -> None:
    assert moment(TimeOfDay(SIX, timezone="Asia/Tokyo"), "2026-11-20") == "2026-11-19T21:00:00Z"


@pytest.mark.parametrize("partition", ["eu", "", "20261120", "2026-W47-5", "2026-02-30", "9999-12-31", "2026-11"])
def test_a_partition_without_a_date_has_no_time_of_day(partition: str) -> None:
    assert TimeOfDay(SIX, days=1).for_partition(partition) is None


def test_a_duration_counts_from_the_first_input() -> None:
    arrived = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert AfterFirstInput(timedelta(hours=2)).since(arrived) == datetime(2026, 3, 29, 2, 30, tzinfo=UTC)


def test_after_an_input_from_the_end_of_time_nothing_is_late() -> None:
    arrived = datetime(9999, 12, 31, 23, tzinfo=UTC)
    assert AfterFirstInput(timedelta(hours=2)).since(arrived) == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: TimeOfDay(time(6, tzinfo=UTC)), "wall clock"),
        (lambda: TimeOfDay(SIX, days=-1), "days: expected 0 to 366; found -1"),
        (lambda: TimeOfDay(SIX, days=367), "days: expected 0 to 366; found 367"),
        (lambda: TimeOfDay(SIX, timezone="Mars/Base"), "found 'Mars/Base'"),
        (lambda: AfterFirstInput(timedelta()), "longer than nothing"),
    ],
)
def test_a_deadline_that_cannot_be_is_refused(build, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build()


def test_a_deadline_reads_as_people_say_it() -> None:
    assert str(TimeOfDay(SIX)) == "06:00 (UTC)"
    assert str(TimeOfDay(SIX, days=1, timezone="Europe/Berlin")) == "06:00 on the day after (Europe/Berlin)"
    assert str(TimeOfDay(time(6, 0, 30), days=3)) == "06:00:30 3 days after (UTC)"
    assert str(AfterFirstInput(timedelta(minutes=90))) == "90 minutes after the first input"
