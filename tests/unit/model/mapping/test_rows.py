"""The rows of the documentation's table of partition mappings, one test each; every expectation worked out by hand."""

from __future__ import annotations

import pytest

from coordinator.model.partitions import (
    AllowedKey,
    Chain,
    FanOut,
    FixedKey,
    Identity,
    Latest,
    Offset,
    Period,
    Product,
    Rollup,
    SameInstant,
    Segments,
    StartOf,
    Unit,
    gathers,
)

# Midnight in Berlin: 23:00Z the evening before in winter, 22:00Z in summer.
BERLIN_20_NOVEMBER = "2026-11-19T23:00:00Z"


def test_identity() -> None:
    assert Identity().upstreams("eu/2026") == ("eu/2026",)
    assert Identity().downstreams("eu/2026") == ("eu/2026",)


@pytest.mark.parametrize(
    ("period", "start"),
    [
        (Period.HOUR, "2026-11-20T10:00:00Z"),
        (Period.DAY, "2026-11-20T00:00:00Z"),
        (Period.WEEK, "2026-11-16T00:00:00Z"),  # November 20, 2026 is a Friday
        (Period.MONTH, "2026-11-01T00:00:00Z"),
        (Period.QUARTER, "2026-10-01T00:00:00Z"),
        (Period.YEAR, "2026-01-01T00:00:00Z"),
    ],
)
def test_start_of_each_period(period: Period, start: str) -> None:
    assert StartOf(period).downstreams("2026-11-20T10:42:15.500000Z") == (start,)
    assert StartOf(period).feeds("2026-11-20T10:42:15.500000Z", start)
    assert not StartOf(period).feeds("2026-11-20T10:42:15.500000Z", "2026-11-20T10:42:15.500000Z")


def test_start_of_day_in_a_time_zone() -> None:
    berlin = StartOf(Period.DAY, "Europe/Berlin")
    assert berlin.downstreams("2026-11-20T22:59:59Z") == (BERLIN_20_NOVEMBER,)
    assert berlin.downstreams("2026-11-20T23:00:00Z") == ("2026-11-20T23:00:00Z",)


def test_start_of_day_with_formats() -> None:
    # As Airflow's StartOfDayMapper(timezone="Europe/Berlin") by its own defaults: local time in, a date out.
    berlin = StartOf(Period.DAY, "Europe/Berlin", input_format="%Y-%m-%dT%H:%M:%S", output_format="%Y-%m-%d")
    assert berlin.downstreams("2026-11-20T23:30:00") == ("2026-11-20",)
    assert berlin.downstreams("2026-11-20T23:30:00Z") == ()


def test_rollup_day_of_hours() -> None:
    day = Rollup(Period.DAY, Period.HOUR)
    hours = day.upstreams("2026-11-20T00:00:00Z")
    assert hours == tuple(f"2026-11-20T{hour:02}:00:00Z" for hour in range(24))
    assert day.downstreams("2026-11-20T23:00:00Z") == ("2026-11-20T00:00:00Z",)
    assert day.downstreams("2026-11-20T23:30:00Z") == ()  # no hour begins there
    assert day.upstreams("2026-11-20T01:00:00Z") == ()  # nor a day there


def test_rollup_day_of_hours_in_a_time_zone() -> None:
    day = Rollup(Period.DAY, Period.HOUR, "Europe/Berlin")
    hours = day.upstreams(BERLIN_20_NOVEMBER)
    assert hours == (BERLIN_20_NOVEMBER, *(f"2026-11-20T{hour:02}:00:00Z" for hour in range(23)))
    assert day.upstreams("2026-11-20T00:00:00Z") == ()
    assert day.downstreams("2026-11-20T22:00:00Z") == (BERLIN_20_NOVEMBER,)


def test_rollup_week_of_days() -> None:
    week = Rollup(Period.WEEK, Period.DAY)
    assert week.upstreams("2026-11-16T00:00:00Z") == tuple(f"2026-11-{day}T00:00:00Z" for day in range(16, 23))
    assert week.downstreams("2026-11-22T00:00:00Z") == ("2026-11-16T00:00:00Z",)
    assert week.upstreams("2026-11-17T00:00:00Z") == ()


def test_rollup_month_of_days_in_words() -> None:
    month = Rollup(Period.MONTH, Period.DAY, "Asia/Tokyo", input_format="%Y-%m-%d", output_format="%Y-%m")
    assert month.upstreams("2028-02") == tuple(f"2028-02-{day:02}" for day in range(1, 30))
    assert month.downstreams("2028-02-29") == ("2028-02",)
    assert month.downstreams("2027-02-29") == ()


def test_rollup_quarter_of_months() -> None:
    quarter = Rollup(Period.QUARTER, Period.MONTH, output_format="%Y-Q{quarter}", input_format="%Y-%m")
    assert quarter.upstreams("2026-Q4") == ("2026-10", "2026-11", "2026-12")
    assert quarter.downstreams("2027-01") == ("2027-Q1",)
    assert quarter.upstreams("2026-Q5") == ()


def test_rollup_year_of_months() -> None:
    year = Rollup(Period.YEAR, Period.MONTH)
    assert year.upstreams("2026-01-01T00:00:00Z") == tuple(f"2026-{month:02}-01T00:00:00Z" for month in range(1, 13))
    assert year.downstreams("2026-12-01T00:00:00Z") == ("2026-01-01T00:00:00Z",)


def test_rollup_hour_of_minutes() -> None:
    hour = Rollup(Period.HOUR, Period.MINUTE)
    assert hour.upstreams("2026-11-20T10:00:00Z") == tuple(f"2026-11-20T10:{minute:02}:00Z" for minute in range(60))
    assert hour.downstreams("2026-11-20T10:59:00Z") == ("2026-11-20T10:00:00Z",)


def test_rollup_month_of_weeks_takes_those_that_begin_in_it() -> None:
    # Mondays: November 2, 9, 16, 23, 30, 2026. The last week goes on into December.
    month = Rollup(Period.MONTH, Period.WEEK, input_format="%G-W%V", output_format="%Y-%m")
    assert month.upstreams("2026-11") == ("2026-W45", "2026-W46", "2026-W47", "2026-W48", "2026-W49")
    assert month.downstreams("2026-W49") == ("2026-11",)


@pytest.mark.parametrize(
    ("wait", "members", "needed"),
    [("all", 24, 24), (20, 24, 20), (25, 24, 24), (1, 24, 1), (-1, 24, 23), (-1, 25, 24), (-30, 24, 1)],
)
def test_rollup_waits_for_enough(wait, members: int, needed: int) -> None:
    assert Rollup(Period.DAY, Period.HOUR, wait=wait).needed(members) == needed


def test_fan_out_day_to_hours_in_a_time_zone() -> None:
    hours = FanOut(Period.DAY, Period.HOUR, "Europe/Berlin")
    expected = (BERLIN_20_NOVEMBER, *(f"2026-11-20T{hour:02}:00:00Z" for hour in range(23)))
    assert hours.downstreams(BERLIN_20_NOVEMBER) == expected
    assert hours.upstreams("2026-11-20T22:00:00Z") == (BERLIN_20_NOVEMBER,)
    assert hours.upstreams("2026-11-20T22:30:00Z") == ()
    assert hours.downstreams("2026-11-20T00:00:00Z") == ()


def test_fan_out_week_to_days_in_words() -> None:
    days = FanOut(Period.WEEK, Period.DAY, input_format="%Y-%m-%d (W%V)", output_format="%Y-%m-%d")
    assert days.downstreams("2026-11-16 (W47)") == tuple(f"2026-11-{day}" for day in range(16, 23))
    assert days.upstreams("2026-11-22") == ("2026-11-16 (W47)",)
    assert days.downstreams("2026-11-16 (W46)") == ()


def test_offset_of_a_day() -> None:
    day_before = Offset(-1, Unit.DAY)
    assert day_before.upstreams("2028-03-01T06:00:00Z") == ("2028-02-29T06:00:00Z",)
    assert day_before.downstreams("2028-02-29T06:00:00Z") == ("2028-03-01T06:00:00Z",)
    assert day_before.upstreams("2028-03-01") == ()


def test_offset_of_hours() -> None:
    later = Offset(2, Unit.HOUR)
    assert later.upstreams("2026-12-31T23:00:00Z") == ("2027-01-01T01:00:00Z",)
    assert later.downstreams("2027-01-01T01:00:00Z") == ("2026-12-31T23:00:00Z",)


def test_offset_with_formats() -> None:
    day_before = Offset(-1, Unit.DAY, input_format="%Y-%m-%d", output_format="%Y-%m-%d")
    assert day_before.upstreams("2028-03-01") == ("2028-02-29",)
    assert day_before.downstreams("2028-02-29") == ("2028-03-01",)


def test_offset_of_a_month_is_not_invertible_everywhere() -> None:
    month_before = Offset(-1, Unit.MONTH)
    assert month_before.upstreams("2026-03-31T00:00:00Z") == ("2026-02-28T00:00:00Z",)
    assert month_before.downstreams("2026-02-28T00:00:00Z") == tuple(
        f"2026-03-{day}T00:00:00Z" for day in range(28, 32)
    )
    assert month_before.downstreams("2026-03-31T00:00:00Z") == ()
    assert month_before.downstreams("2026-01-15T00:00:00Z") == ("2026-02-15T00:00:00Z",)


def test_offset_of_a_year_on_a_leap_day() -> None:
    year_before = Offset(-1, Unit.YEAR)
    assert year_before.upstreams("2028-02-29T00:00:00Z") == ("2027-02-28T00:00:00Z",)
    assert year_before.downstreams("2027-02-28T00:00:00Z") == ("2028-02-28T00:00:00Z", "2028-02-29T00:00:00Z")
    assert year_before.downstreams("2028-02-29T00:00:00Z") == ()


def test_fixed_key() -> None:
    fixed = FixedKey("all_regions")
    assert fixed.downstreams("eu") == fixed.downstreams("us") == ("all_regions",)
    assert fixed.feeds("eu", "all_regions")
    assert not fixed.feeds("eu", "eu")


def test_latest_has_no_directions() -> None:
    assert not hasattr(Latest(), "upstreams")
    assert not hasattr(Latest(), "downstreams")
    assert Latest() == Latest()


def test_identity_in_another_spelling() -> None:
    keys = SameInstant(input_format="%Y-%m-%dT%H:%M:%S")
    assert keys.downstreams("2026-11-20T00:00:00") == ("2026-11-20T00:00:00Z",)
    assert keys.upstreams("2026-11-20T00:00:00Z") == ("2026-11-20T00:00:00",)
    assert keys.downstreams("2026-11-20T00:00:00Z") == ()
    days = SameInstant("Europe/Berlin", output_format="%Y-%m-%d")
    assert days.downstreams(BERLIN_20_NOVEMBER) == ("2026-11-20",)
    assert days.downstreams("2026-11-20T00:00:00Z") == ()  # no day begins there
    assert days.upstreams("2026-11-20") == (BERLIN_20_NOVEMBER,)


def test_an_hour_that_clocks_show_twice_is_two_moments() -> None:
    hours = SameInstant("Europe/Berlin", input_format="%Y-%m-%dT%H")
    assert hours.downstreams("2026-10-25T02") == ("2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z")
    assert hours.upstreams("2026-10-25T01:00:00Z") == ("2026-10-25T02",)


def test_allowed_key() -> None:
    keys = AllowedKey(("us", "eu"))
    assert keys == AllowedKey(("eu", "us"))
    assert (keys.upstreams("eu"), keys.downstreams("eu")) == (("eu",), ("eu",))
    assert (keys.upstreams("apac"), keys.downstreams("apac")) == ((), ())


def test_segments() -> None:
    regions = Segments(("us", "eu", "apac"), "all_regions")
    assert regions == Segments(("apac", "eu", "us"), "all_regions")
    assert regions.upstreams("all_regions") == ("apac", "eu", "us")
    assert regions.upstreams("us") == ()
    assert regions.downstreams("us") == ("all_regions",)
    assert regions.downstreams("mars") == ()


@pytest.mark.parametrize(("wait", "needed"), [("all", 3), (2, 2), (-1, 2), (-5, 1)])
def test_segments_wait_for_enough(wait, needed: int) -> None:
    assert Segments(("us", "eu", "apac"), "all", wait).needed(3) == needed


def test_product_of_a_region_and_a_day() -> None:
    days = Product((Identity(), Rollup(Period.DAY, Period.HOUR)))
    hours = days.upstreams("eu|2026-11-20T00:00:00Z")
    assert hours == tuple(f"eu|2026-11-20T{hour:02}:00:00Z" for hour in range(24))
    assert days.downstreams("us|2026-11-20T23:00:00Z") == ("us|2026-11-20T00:00:00Z",)
    for partition in ("2026-11-20T00:00:00Z", "eu|2026-11-20T00:00:00Z|x", "eu", ""):
        assert (days.upstreams(partition), days.downstreams(partition)) == ((), ())


def test_product_that_gathers() -> None:
    # As Airflow's ProductMapper(IdentityMapper(), StartOfDayMapper()), with its formats.
    start = StartOf(Period.DAY, input_format="%Y-%m-%dT%H:%M:%S", output_format="%Y-%m-%d")
    days = Product((Identity(), start))
    assert gathers(days)
    assert days.downstreams("us|2026-06-14T03:00:00") == ("us|2026-06-14",)
    assert days.downstreams("us|2026-06-14") == ()
    all_regions = Product((FixedKey("all"), Identity()))
    assert gathers(all_regions)
    assert all_regions.downstreams("us|2026-06-14") == ("all|2026-06-14",)


def test_product_with_another_delimiter() -> None:
    product = Product((AllowedKey(("eu",)), Offset(-1, Unit.DAY)), delimiter="/")
    assert product.upstreams("eu/2026-11-20T00:00:00Z") == ("eu/2026-11-19T00:00:00Z",)
    assert product.downstreams("us/2026-11-20T00:00:00Z") == ()
    assert Product((Identity(), Identity()), "||").downstreams("a|||b") == ("a|||b",)


def test_chain_of_two_rollups() -> None:
    weeks = Chain((Rollup(Period.DAY, Period.HOUR), Rollup(Period.WEEK, Period.DAY)))
    hours = weeks.upstreams("2026-11-16T00:00:00Z")
    assert (len(hours), hours[0], hours[-1]) == (168, "2026-11-16T00:00:00Z", "2026-11-22T23:00:00Z")
    assert weeks.downstreams("2026-11-22T23:00:00Z") == ("2026-11-16T00:00:00Z",)
    assert weeks.downstreams("2026-11-22T23:30:00Z") == ()


def test_chain_of_an_offset_and_another_spelling() -> None:
    yesterday = Chain((SameInstant(input_format="%Y-%m-%d"), Offset(-1, Unit.DAY)))
    assert yesterday.upstreams("2026-11-20T00:00:00Z") == ("2026-11-19",)
    assert yesterday.downstreams("2026-11-19") == ("2026-11-20T00:00:00Z",)


def test_chain_that_gathers() -> None:
    # As Airflow's ChainMapper(StartOfHourMapper(), StartOfDayMapper(input_format="%Y-%m-%dT%H")).
    days = Chain(
        (
            StartOf(Period.HOUR, input_format="%Y-%m-%dT%H:%M:%S", output_format="%Y-%m-%dT%H"),
            StartOf(Period.DAY, input_format="%Y-%m-%dT%H", output_format="%Y-%m-%d"),
        )
    )
    assert gathers(days)
    assert days.downstreams("2026-11-20T10:42:15") == ("2026-11-20",)
