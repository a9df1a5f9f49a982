"""Days on which clocks are turned, weeks and months around the ends of years: worked out by hand, place by place."""

from __future__ import annotations

import pytest

from coordinator.model.partitions import FanOut, Offset, Period, Rollup, StartOf, Unit


def hours_of(zone: str, day: str) -> tuple[str, ...]:
    return Rollup(Period.DAY, Period.HOUR, zone).upstreams(day)


def every_hour(first: str, *hours: int) -> tuple[str, ...]:
    return tuple(f"{first}T{hour:02}:00:00Z" for hour in hours)


def test_berlin_has_a_day_of_23_hours() -> None:
    # 2026-03-29, from 23:00Z to 22:00Z: 02:00 becomes 03:00 at 01:00Z.
    expected = ("2026-03-28T23:00:00Z", *every_hour("2026-03-29", *range(22)))
    assert len(expected) == 23
    assert hours_of("Europe/Berlin", "2026-03-28T23:00:00Z") == expected


def test_berlin_has_a_day_of_25_hours() -> None:
    # 2026-10-25, from 22:00Z to 23:00Z: 03:00 becomes 02:00 at 01:00Z. Both hours "02" are there.
    expected = (*every_hour("2026-10-24", 22, 23), *every_hour("2026-10-25", *range(23)))
    assert len(expected) == 25
    assert hours_of("Europe/Berlin", "2026-10-24T22:00:00Z") == expected


def test_a_format_that_cannot_tell_the_two_hours_apart_has_24() -> None:
    day = Rollup(Period.DAY, Period.HOUR, "Europe/Berlin", input_format="%Y-%m-%dT%H", output_format="%Y-%m-%d")
    assert day.upstreams("2026-10-25") == tuple(f"2026-10-25T{hour:02}" for hour in range(24))
    assert day.upstreams("2026-03-29") == tuple(f"2026-03-29T{hour:02}" for hour in range(24) if hour != 2)
    assert day.downstreams("2026-03-29T02") == ()


def test_a_format_with_an_offset_tells_them_apart() -> None:
    day = Rollup(Period.DAY, Period.HOUR, "Europe/Berlin", input_format="%Y-%m-%dT%H%z", output_format="%Y-%m-%d")
    hours = day.upstreams("2026-10-25")
    assert len(hours) == 25
    assert hours[2:4] == ("2026-10-25T02+0200", "2026-10-25T02+0100")
    assert day.downstreams("2026-10-25T02+0100") == ("2026-10-25",)
    assert day.downstreams("2026-10-25T02+0300") == ()


def test_new_york_has_days_of_23_and_25_hours() -> None:
    # 2026-03-08, from 05:00Z to 04:00Z; 2026-11-01, from 04:00Z to 05:00Z.
    expected = (*every_hour("2026-03-08", *range(5, 24)), *every_hour("2026-03-09", *range(4)))
    assert len(expected) == 23
    assert hours_of("America/New_York", "2026-03-08T05:00:00Z") == expected
    expected = (*every_hour("2026-11-01", *range(4, 24)), *every_hour("2026-11-02", *range(5)))
    assert len(expected) == 25
    assert hours_of("America/New_York", "2026-11-01T04:00:00Z") == expected


def test_lord_howe_has_a_day_of_24_and_a_half_hours() -> None:
    # 2026-04-05: +11:00 until 15:00Z on the 4th, then +10:30: 02:00 becomes 01:30, an hour "01" of 30 minutes.
    hours = hours_of("Australia/Lord_Howe", "2026-04-04T13:00:00Z")
    assert len(hours) == 25
    assert hours[:5] == (
        "2026-04-04T13:00:00Z",
        "2026-04-04T14:00:00Z",
        "2026-04-04T15:00:00Z",
        "2026-04-04T15:30:00Z",
        "2026-04-04T16:30:00Z",
    )
    assert hours[-1] == "2026-04-05T12:30:00Z"  # and the next day begins at 13:30Z


def test_lord_howe_has_a_day_of_23_and_a_half_hours() -> None:
    # 2026-10-04: +10:30 until 15:30Z on the 3rd, then +11:00: 02:00 becomes 02:30, an hour "02" of 30 minutes.
    hours = hours_of("Australia/Lord_Howe", "2026-10-03T13:30:00Z")
    assert len(hours) == 24
    assert hours[:5] == (
        "2026-10-03T13:30:00Z",
        "2026-10-03T14:30:00Z",
        "2026-10-03T15:30:00Z",
        "2026-10-03T16:00:00Z",
        "2026-10-03T17:00:00Z",
    )
    assert hours[-1] == "2026-10-04T12:00:00Z"


@pytest.mark.parametrize(
    ("zone", "hour", "start"),
    [
        ("Asia/Kolkata", "2026-11-20T10:29:59Z", "2026-11-20T09:30:00Z"),  # +5:30
        ("Asia/Kolkata", "2026-11-20T10:30:00Z", "2026-11-20T10:30:00Z"),
        ("Asia/Kathmandu", "2026-11-20T10:20:00Z", "2026-11-20T10:15:00Z"),  # +5:45
        ("America/St_Johns", "2026-11-20T10:20:00Z", "2026-11-20T09:30:00Z"),  # -3:30
    ],
)
def test_hours_begin_where_the_wall_clock_shows_a_full_one(zone: str, hour: str, start: str) -> None:
    assert StartOf(Period.HOUR, zone).downstreams(hour) == (start,)


@pytest.mark.parametrize(
    ("zone", "noon", "start", "hours"),
    [
        # Midnights that do not exist: the day begins at 01:00.
        ("Asia/Beirut", "2026-03-29T09:00:00Z", "2026-03-28T22:00:00Z", 23),
        ("Africa/Cairo", "2026-04-24T09:00:00Z", "2026-04-23T22:00:00Z", 23),
        ("America/Sao_Paulo", "2018-11-04T14:00:00Z", "2018-11-04T03:00:00Z", 23),
        # Midnight twice: 2026-11-01, 01:00 becomes 00:00 at 05:00Z.
        ("America/Havana", "2026-11-01T17:00:00Z", "2026-11-01T04:00:00Z", 25),
        # 23:00 twice, the evening before: 2018-02-18, 00:00 becomes 23:00 of the 17th.
        ("America/Sao_Paulo", "2018-02-17T14:00:00Z", "2018-02-17T02:00:00Z", 25),
        ("America/Sao_Paulo", "2018-02-18T14:00:00Z", "2018-02-18T03:00:00Z", 24),
    ],
)
def test_midnights_that_are_missing_or_come_twice(zone: str, noon: str, start: str, hours: int) -> None:
    assert StartOf(Period.DAY, zone).downstreams(noon) == (start,)
    assert len(hours_of(zone, start)) == hours


def test_a_date_names_a_day_without_a_midnight() -> None:
    # Beirut: March 29, 2026 begins at 01:00 (22:00Z), the days around it at 00:00.
    week = FanOut(Period.WEEK, Period.DAY, "Asia/Beirut", input_format="%G-W%V")
    assert week.downstreams("2026-W13") == (
        "2026-03-22T22:00:00Z",
        "2026-03-23T22:00:00Z",
        "2026-03-24T22:00:00Z",
        "2026-03-25T22:00:00Z",
        "2026-03-26T22:00:00Z",
        "2026-03-27T22:00:00Z",
        "2026-03-28T22:00:00Z",
    )
    assert week.downstreams("2026-W14")[0] == "2026-03-29T21:00:00Z"


def test_clocks_turned_back_just_after_midnight() -> None:
    # St. John's, 2010-11-07: the day begins at 02:30Z; at 00:01 (02:31Z) clocks go back to 23:01 of the 6th, and
    # show midnight again at 03:30Z. The new day has begun; the hour that is shown again begins with the turn.
    assert StartOf(Period.DAY, "America/St_Johns").downstreams("2010-11-07T03:00:00Z") == ("2010-11-07T02:30:00Z",)
    hours = hours_of("America/St_Johns", "2010-11-07T02:30:00Z")
    assert hours[:4] == (
        "2010-11-07T02:30:00Z",
        "2010-11-07T02:31:00Z",
        "2010-11-07T03:30:00Z",
        "2010-11-07T04:30:00Z",
    )
    assert hours[-1] == "2010-11-08T02:30:00Z"
    assert len(hours) == 26


def test_a_midnight_amid_skipped_time() -> None:
    # Toronto, 1919-03-30: at 23:30 (04:30Z of the 31st) clocks went forward to 00:30. The 31st began there.
    toronto = "America/Toronto"
    assert StartOf(Period.DAY, toronto).downstreams("1919-03-31T16:00:00Z") == ("1919-03-31T04:30:00Z",)
    assert Offset(-1, Unit.DAY, toronto).upstreams("1919-04-01T04:00:00Z") == ("1919-03-31T04:30:00Z",)
    assert "1919-04-01T04:00:00Z" in Offset(-1, Unit.DAY, toronto).downstreams("1919-03-31T04:30:00Z")


def test_a_day_that_was_skipped_is_in_no_week() -> None:
    # Apia went from December 29 (-10) to December 31, 2011 (+14).
    week = Rollup(Period.WEEK, Period.DAY, "Pacific/Apia", input_format="%Y-%m-%d", output_format="%G-W%V")
    assert week.upstreams("2011-W52") == (
        "2011-12-26",
        "2011-12-27",
        "2011-12-28",
        "2011-12-29",
        "2011-12-31",
        "2012-01-01",
    )
    assert week.downstreams("2011-12-30") == ()


@pytest.mark.parametrize(
    ("day", "monday", "name"),
    [
        ("2020-12-31T00:00:00Z", "2020-12-28T00:00:00Z", "2020-W53"),
        ("2021-01-03T00:00:00Z", "2020-12-28T00:00:00Z", "2020-W53"),
        ("2021-01-04T00:00:00Z", "2021-01-04T00:00:00Z", "2021-W01"),
        ("2018-12-31T00:00:00Z", "2018-12-31T00:00:00Z", "2019-W01"),
        ("2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z", "2026-W53"),
    ],
)
def test_weeks_around_the_end_of_a_year_are_iso_weeks(day: str, monday: str, name: str) -> None:
    assert StartOf(Period.WEEK).downstreams(day) == (monday,)
    assert StartOf(Period.WEEK, output_format="%G-W%V").downstreams(day) == (name,)
    assert Rollup(Period.WEEK, Period.DAY, output_format="%G-W%V").downstreams(day) == (name,)


def test_a_year_with_a_leap_day_has_366_days() -> None:
    days = Rollup(Period.YEAR, Period.DAY, input_format="%Y-%m-%d", output_format="%Y")
    assert len(days.upstreams("2028")) == 366
    assert days.upstreams("2028")[59] == "2028-02-29"
    assert len(days.upstreams("2100")) == 365


@pytest.mark.parametrize(
    ("end", "quarter", "year"),
    [
        ("2026-12-31T22:59:59Z", "2026-09-30T22:00:00Z", "2025-12-31T23:00:00Z"),  # Berlin: +2 in October, +1 in winter
        ("2026-12-31T23:00:00Z", "2026-12-31T23:00:00Z", "2026-12-31T23:00:00Z"),
        ("2026-03-31T21:59:59Z", "2025-12-31T23:00:00Z", "2025-12-31T23:00:00Z"),
        ("2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z", "2025-12-31T23:00:00Z"),
    ],
)
def test_quarters_and_years_end_at_the_places_midnight(end: str, quarter: str, year: str) -> None:
    assert StartOf(Period.QUARTER, "Europe/Berlin").downstreams(end) == (quarter,)
    assert StartOf(Period.YEAR, "Europe/Berlin").downstreams(end) == (year,)


def test_a_day_earlier_is_the_same_time_on_the_wall() -> None:
    berlin = Offset(-1, Unit.DAY, "Europe/Berlin")
    # 06:00 on March 29 is 04:00Z; 06:00 on March 28 is 05:00Z.
    assert berlin.upstreams("2026-03-29T04:00:00Z") == ("2026-03-28T05:00:00Z",)
    assert berlin.downstreams("2026-03-28T05:00:00Z") == ("2026-03-29T04:00:00Z",)
    assert Offset(-24, Unit.HOUR, "Europe/Berlin").upstreams("2026-03-29T04:00:00Z") == ("2026-03-28T04:00:00Z",)


def test_the_start_of_a_day_goes_to_the_start_of_a_day() -> None:
    # Beirut: March 28 begins at 22:00Z of the 27th (00:00), the 29th at 22:00Z (01:00), the 30th at 21:00Z (00:00).
    beirut = Offset(-1, Unit.DAY, "Asia/Beirut")
    assert beirut.upstreams("2026-03-28T22:00:00Z") == ("2026-03-27T22:00:00Z",)
    assert beirut.upstreams("2026-03-29T21:00:00Z") == ("2026-03-28T22:00:00Z",)
    assert beirut.downstreams("2026-03-28T22:00:00Z")[0] == "2026-03-29T21:00:00Z"


def test_a_time_that_clocks_skip_moves_on() -> None:
    # Berlin: 02:30 on March 30 (00:30Z), a day earlier: 02:30 is skipped, it is 03:30 (01:30Z).
    berlin = Offset(-1, Unit.DAY, "Europe/Berlin")
    assert berlin.upstreams("2026-03-30T00:30:00Z") == ("2026-03-29T01:30:00Z",)
    # So 02:30 and 03:30 both need it.
    assert berlin.downstreams("2026-03-29T01:30:00Z") == ("2026-03-30T00:30:00Z", "2026-03-30T01:30:00Z")


def test_a_time_that_clocks_show_twice_is_the_first() -> None:
    # Berlin: 02:30 on October 26 (01:30Z), a day earlier: 00:30Z and 01:30Z show 02:30.
    berlin = Offset(-1, Unit.DAY, "Europe/Berlin")
    assert berlin.upstreams("2026-10-26T01:30:00Z") == ("2026-10-25T00:30:00Z",)
    assert berlin.downstreams("2026-10-25T01:30:00Z") == ()
    # The second 02:30 needs the second one of a day that has two (2020-10-25 was a Sunday, too).
    assert Offset(-6, Unit.YEAR, "Europe/Berlin").upstreams("2026-10-25T01:30:00Z") == ("2020-10-25T01:30:00Z",)
    # And both need 02:30 of the day before (00:30Z).
    assert berlin.downstreams("2026-10-24T00:30:00Z") == ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")
