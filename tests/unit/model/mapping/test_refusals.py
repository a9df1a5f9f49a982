"""Mappings that cannot be are refused when they are made, with what was expected; partitions only match as spelled."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.model.partitions import (
    AllowedKey,
    Chain,
    FanOut,
    FixedKey,
    Identity,
    Latest,
    Mapping,
    Offset,
    Period,
    Product,
    Rollup,
    SameInstant,
    Segments,
    StartOf,
    Unit,
    parse_offset,
    usual_every,
)

DAY, HOUR, MINUTE, WEEK, MONTH, QUARTER, YEAR = (
    Period.DAY,
    Period.HOUR,
    Period.MINUTE,
    Period.WEEK,
    Period.MONTH,
    Period.QUARTER,
    Period.YEAR,
)

LATEST: Any = Latest()


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: StartOf(MINUTE), "period: expected hour or day"),
        (lambda: StartOf(DAY, "Europe/Berln"), "timezone: .* found 'Europe/Berln' .did you mean 'Europe/Berlin'"),
        (lambda: StartOf(DAY, "localtime"), "found 'localtime'"),
        (lambda: StartOf(DAY, output_format="%Y-%m"), "output_format: '%Y-%m' does not tell one day from another"),
        (lambda: StartOf(DAY, input_format="%H:%M"), "input_format: '%H:%M' holds no year"),
        (lambda: StartOf(WEEK, output_format="%Y-W%V"), "does not tell one week from another"),
        (lambda: StartOf(QUARTER, output_format="%Y-{q}"), "holds '{q}'"),
        (lambda: StartOf(DAY, output_format="%d %B %Y"), "holds '%B'"),
        (lambda: StartOf(DAY, output_format="%Y%m%d%"), "holds '%'"),
        (lambda: Rollup(DAY, DAY), "every: a day is not made of days; expected 'hour' or 'minute'"),
        (lambda: Rollup(DAY, WEEK), "every: a day is not made of weeks"),
        (lambda: Rollup(WEEK, MONTH), "a week is not made of months"),
        (lambda: Rollup(YEAR, HOUR), "a year has more than 1500 hours"),
        (lambda: Rollup(QUARTER, HOUR), "a quarter has more than 1500 hours"),
        (lambda: Rollup(WEEK, MINUTE), "a week has more than 1500 minutes"),
        (lambda: FanOut(MONTH, MINUTE), "a month has more than 1500 minutes"),
        (lambda: FanOut(MINUTE, MINUTE), "window: expected hour or day"),
        (lambda: Rollup(DAY, HOUR, wait=0), "wait: 0 would never wait"),
        (lambda: Rollup(DAY, HOUR, wait=26), "expected at most 25, as no day has more hours; found 26"),
        (lambda: Rollup(DAY, HOUR, input_format="%Y-%m-%d"), "input_format: .* does not tell one hour from another"),
        (lambda: Rollup(DAY, HOUR, output_format="%Y"), "output_format: .* does not tell one day from another"),
        (lambda: FanOut(DAY, HOUR, input_format="%Y"), "input_format: .* does not tell one day from another"),
        (lambda: FanOut(DAY, HOUR, output_format="%Y-%m-%d"), "output_format: .* does not tell one hour"),
        (lambda: Offset(0, Unit.DAY), "by: an offset of nothing"),
        (lambda: Offset(100_001, Unit.DAY), "by: expected at most 100000 days; found 100001"),
        (lambda: Offset(1, Unit.DAY, "Nowhere"), "timezone: .* found 'Nowhere'"),
        (lambda: FixedKey(""), "downstream_key: .* empty"),
        (lambda: SameInstant(), "timezone: says nothing, .* expected 'identity'"),
        (lambda: SameInstant("UTC", "%Y-%m-%d", "%Y-%m-%d"), "output_format: says nothing"),
        (lambda: SameInstant("UTC", "%H"), "input_format: '%H' holds no year"),
        (lambda: AllowedKey(()), "allowed_keys: expected at least one"),
        (lambda: AllowedKey(("eu", "")), r"allowed_keys\[1\]: .* empty"),
        (lambda: AllowedKey(("eu", "us", "eu")), r"allowed_keys\[2\]: 'eu' is given twice"),
        (lambda: AllowedKey(tuple(map(str, range(1501)))), "at most 1500 partitions; found 1501"),
        (lambda: Segments(("eu",), ""), "downstream_key: .* empty"),
        (lambda: Segments(("eu", "eu"), "all"), r"segments\[1\]: 'eu' is given twice"),
        (lambda: Segments(("eu", "us"), "all", 3), "wait: expected at most 2, as there are 2 segments; found 3"),
        (lambda: Segments(("eu", "us"), "all", 0), "wait: 0 would never wait"),
        (lambda: Chain((Identity(),)), "mappers: expected two mappings or more; found 1"),
        (lambda: Chain((LATEST, Identity())), r"mappers\[0\]: 'latest' names no partition .*; write it alone"),
        (lambda: Chain((StartOf(DAY), FixedKey("x"))), r"mappers\[1\]: a chain with 'fixed_key' .* 'segments' with"),
        (lambda: Chain((StartOf(HOUR), Rollup(DAY, HOUR))), r"mappers\[0\]: names no inputs, .* a pipeline in between"),
        (lambda: Chain((Rollup(DAY, HOUR, wait=2), Identity())), r"mappers\[0\]: a roll-up among .* 'wait' out"),
        (lambda: Chain((Rollup(DAY, HOUR), Rollup(QUARTER, DAY))), "up to 2300 others; .* a pipeline in between"),
        (lambda: Chain((FanOut(MONTH, DAY), FanOut(DAY, MINUTE))), "up to 46500 others"),
        (
            lambda: Chain((StartOf(DAY), StartOf(MONTH, input_format="%Y-%m-%d"))),
            r"mappers\[1\]: reads nothing of what the one before gives, such as '2026-07-20T00:00:00Z'; let both name",
        ),
        (lambda: Chain((AllowedKey(("eu",)), Offset(-1, Unit.DAY))), "gives, such as 'eu'"),
        (lambda: Chain((Rollup(DAY, HOUR, "Asia/Tokyo"), Rollup(WEEK, DAY))), "such as '2026-07-19T15:00:00Z'"),
        (lambda: Product((Identity(),)), "mappers: expected two mappings or more"),
        (lambda: Product((Identity(), LATEST)), r"mappers\[1\]: 'latest'"),
        (lambda: Product((Identity(), Identity()), ""), "delimiter: .* empty"),
        (lambda: Product((FixedKey("a"), FixedKey("b"))), r"write 'fixed_key' with 'a\|b'"),
        (lambda: Product((Identity(), AllowedKey(("a|b",)))), r"mappers\[1\]: the delimiter '\|' .* such as 'a\|b'"),
        (lambda: Product((Identity(), StartOf(DAY)), "-"), "the delimiter '-' is in its keys, such as '2026-07-20T00"),
        (
            lambda: Product((Identity(), Product((Identity(), Identity())))),
            r"mappers\[1\]: the delimiter '\|' is",
        ),
        (lambda: Product((Rollup(WEEK, HOUR), Rollup(DAY, HOUR))), "up to 4225 others"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(build, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build()


@pytest.mark.parametrize(
    "partition",
    [
        "2026-11-20T00:00:00+00:00",
        "2026-11-20T00:00Z",
        "2026-11-20 00:00:00Z",
        "2026-11-20T00:00:00.000000Z",
        "2026-11-20T01:00:00+01:00",
        "2026-11-20",
        "manual__2026-11-20T00:00:00+00:00",
        "",
    ],
)
def test_another_spelling_of_an_instant_is_another_partition(partition: str) -> None:
    for mapping in (Rollup(DAY, HOUR), FanOut(DAY, HOUR), Offset(-1, Unit.DAY)):
        assert mapping.upstreams(partition) == ()
        assert mapping.downstreams(partition) == ()
    assert StartOf(DAY).downstreams(partition) == ()


@pytest.mark.parametrize(
    "partition", ["26-11-20", "2026-1-20", "2026-11-20 ", "2026-02-30", "２０２６-11-20", "0000-01-01"]
)
def test_a_partition_matches_a_format_only_as_it_would_be_written(partition: str) -> None:
    assert StartOf(DAY, input_format="%Y-%m-%d").downstreams(partition) == ()


def test_the_years_at_both_ends_of_the_calendar_are_no_partitions_of_time() -> None:
    for partition in ("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "9999-01-01T00:00:00Z"):
        for mapping in (Rollup(YEAR, MONTH, "Asia/Tokyo"), FanOut(DAY, HOUR), Offset(100, Unit.YEAR)):
            assert mapping.upstreams(partition) == ()
            assert mapping.downstreams(partition) == ()
    # On the last day of 9998 the wall clock in the east shows 9999, of which Python knows no end.
    for east in (StartOf(YEAR, "Asia/Tokyo"), Rollup(YEAR, MONTH, "Asia/Tokyo"), FanOut(YEAR, MONTH, "Asia/Tokyo")):
        assert east.downstreams("9998-12-31T15:00:00Z") == ()
    assert Offset(-100, Unit.YEAR).upstreams("0050-01-01T00:00:00Z") == ()
    # 400 years are 20,871 weeks.
    assert Offset(-4 * 20_871, Unit.WEEK).upstreams("2026-01-01T00:00:00Z") == ("0426-01-01T00:00:00Z",)
    assert Offset(-100_000, Unit.MONTH).upstreams("2026-01-01T00:00:00Z") == ()


@pytest.mark.parametrize(
    ("window", "every"), [(HOUR, MINUTE), (DAY, HOUR), (WEEK, DAY), (MONTH, DAY), (QUARTER, MONTH), (YEAR, MONTH)]
)
def test_a_window_is_usually_made_of_what_airflows_are(window: Period, every: Period) -> None:
    assert usual_every(window) is every


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        (Identity(), "identity"),
        (Latest(), "latest"),
        (FixedKey("all"), "fixed key 'all'"),
        (StartOf(WEEK), "start of week"),
        (StartOf(WEEK, "Europe/Berlin"), "start of week (Europe/Berlin)"),
        (Rollup(DAY, HOUR), "rollup of the day's hours"),
        (Rollup(DAY, HOUR, "Europe/Berlin", 23), "rollup of the day's hours (Europe/Berlin), at least 23"),
        (Rollup(WEEK, DAY, wait=-1), "rollup of the week's days, 1 may be missing"),
        (FanOut(MONTH, DAY), "fan-out to the month's days"),
        (Offset(-1, Unit.DAY), "-1 day"),
        (Offset(2, Unit.HOUR), "+2 hours"),
        (Offset(-3, Unit.MONTH, "Asia/Tokyo"), "-3 months (Asia/Tokyo)"),
        (StartOf(DAY, output_format="%Y-%m-%d"), "start of day, downstream as '%Y-%m-%d'"),
        (Offset(-1, Unit.DAY, input_format="%F"), "-1 day, upstream as '%F'"),
        (SameInstant(input_format="%F"), "identity, upstream as '%F'"),
        (SameInstant("Asia/Tokyo", output_format="%F"), "identity (Asia/Tokyo), downstream as '%F'"),
        (AllowedKey(("us", "eu")), "the keys 'eu', 'us'"),
        (Segments(("us", "eu"), "all"), "rollup of the segments 'eu', 'us' to 'all'"),
        (Segments(("us", "eu"), "all", -1), "rollup of the segments 'eu', 'us' to 'all', 1 may be missing"),
        (Product((Identity(), StartOf(DAY))), "product of (identity) and (start of day)"),
        (Product((Identity(), StartOf(DAY)), "/"), "product of (identity) and (start of day), divided by '/'"),
        (Chain((StartOf(HOUR), StartOf(DAY))), "chain of (start of hour), then (start of day)"),
    ],
)
def test_a_mapping_reads_as_people_say_it(mapping: Mapping, text: str) -> None:
    assert str(mapping) == text


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("-1 day", Offset(-1, Unit.DAY)),
        ("+2 hours", Offset(2, Unit.HOUR)),
        ("+1month", Offset(1, Unit.MONTH)),
        ("-90 seconds", Offset(-90, Unit.SECOND)),
    ],
)
def test_an_offset_is_read_as_people_write_it(text: str, offset: Offset) -> None:
    assert Offset(*parse_offset(text)) == offset


@pytest.mark.parametrize("offset", [Offset(count, unit) for unit in Unit for count in (-100_000, -1, 1, 2)])
def test_an_offset_is_read_back(offset: Offset) -> None:
    assert Offset(*parse_offset(offset.by)) == offset


@pytest.mark.parametrize("text", ["", "1 day", "-1", "day", "-1 d", "-1.5 days", "- 1 day", "-1  day", "-1 dayss"])
def test_what_is_no_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as '-1 day'"):
        parse_offset(text)
