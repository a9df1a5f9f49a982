"""The two directions of a mapping are one: whatever a partition feeds needs it, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coordinator.model.partitions import (
    MOST_MEMBERS,
    AllowedKey,
    Chain,
    ExactMapping,
    FanOut,
    Identity,
    Mapping,
    Offset,
    Period,
    Product,
    Rollup,
    SameInstant,
    Segments,
    StartOf,
    Unit,
    gathers,
    time_zone,
)
from coordinator.model.partitions.calendar import next_start, start_of, starts_between
from coordinator.model.partitions.instants import format_instant
from tests.unit.model.mappings import FORMATS, WINDOWS, composed, lists_of_keys, simple, texts

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
# Clocks turned at midnight, just after it, by half an hour, by a whole day, in Ramadan; offsets of :30 and :45.
ODD_ZONES = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kwajalein",
    "UTC",
]
zones = st.one_of(st.sampled_from(ODD_ZONES), st.sampled_from(ZONES))
instants = st.datetimes(
    min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
) | st.datetimes(min_value=datetime(1985, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC))


def near_a_turn(zone: str, instant: datetime) -> datetime | None:
    """The next moment after an instant, within a year, at which the clocks of a place are turned, to the second."""
    place = time_zone(zone)
    offset = instant.astimezone(place).utcoffset()
    for days in range(1, 366):
        later = instant + timedelta(days=days)
        if later.astimezone(place).utcoffset() != offset:
            earlier = later - timedelta(days=1)
            while later - earlier > timedelta(seconds=1):
                middle = earlier + (later - earlier) / 2
                if middle.astimezone(place).utcoffset() == offset:
                    earlier = middle
                else:
                    later = middle
            return later.replace(microsecond=0)
    return None


@st.composite
def places_and_moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """A place, and a moment there; half of them close to where its clocks are turned."""
    zone, instant = draw(zones), draw(instants)
    if draw(st.booleans()):
        turn = near_a_turn(zone, instant)
        if turn is not None:
            instant = turn + draw(st.integers(-180, 180)) * timedelta(minutes=draw(st.sampled_from([1, 30])))
    return zone, instant


@st.composite
def windows(draw: st.DrawFn) -> tuple[ExactMapping, list[str], list[str]]:
    """A roll-up or fan-out, and upstream and downstream partitions around a moment."""
    (window, every), (zone, moment) = draw(st.sampled_from(WINDOWS)), draw(places_and_moments())
    coarse_format, fine_format = draw(st.sampled_from(FORMATS[window])), draw(st.sampled_from(FORMATS[every]))
    place = time_zone(zone)
    start = start_of(window, moment, place)
    coarse = {moment, start, start_of(every, moment, place), next_start(window, start, place)}
    fine = {moment, start, *starts_between(every, moment - timedelta(hours=3), moment + timedelta(hours=3), place)}
    fine |= {start_of(every, start, place), next_start(every, start_of(every, moment, place), place)}
    coarse_keys = [spelled(one, zone, coarse_format) for one in sorted(coarse)]
    fine_keys = [spelled(one, zone, fine_format) for one in sorted(fine)]
    if draw(st.booleans()):
        return (
            Rollup(window, every, zone, input_format=fine_format, output_format=coarse_format),
            fine_keys,
            coarse_keys,
        )
    return FanOut(window, every, zone, input_format=coarse_format, output_format=fine_format), coarse_keys, fine_keys


def spelled(instant: datetime, zone: str, pattern: str | None) -> str:
    if pattern is None:
        return format_instant(instant)
    wall = instant.astimezone(time_zone(zone))
    return wall.strftime(pattern).replace("{quarter}", str((wall.month + 2) // 3))


def agree(mapping: ExactMapping, upstream: str, downstream: str) -> None:
    assert (upstream in mapping.upstreams(downstream)) == (downstream in mapping.downstreams(upstream))


@pytest.mark.slow
@given(windows())
def test_the_directions_of_windows_agree(drawn: tuple[ExactMapping, list[str], list[str]]) -> None:
    mapping, upstreams, downstreams = drawn
    for downstream in downstreams:
        for upstream in upstreams:
            agree(mapping, upstream, downstream)
        for upstream in mapping.upstreams(downstream):
            assert downstream in mapping.downstreams(upstream)
    for upstream in upstreams:
        for downstream in mapping.downstreams(upstream):
            assert upstream in mapping.upstreams(downstream)


offsets = st.builds(
    Offset,
    st.integers(-40, 40).filter(bool),
    st.sampled_from(Unit),
    input_format=st.sampled_from([None, "%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    output_format=st.sampled_from([None, "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M%z"]),
    timezone=zones,
)


@given(offsets, st.data())
def test_the_directions_of_offsets_agree(offset: Offset, data: st.DataObject) -> None:
    moment = data.draw(instants)
    turn = near_a_turn(offset.timezone, moment)
    if turn is not None and data.draw(st.booleans()):
        moment = turn + data.draw(st.integers(-90, 90)) * timedelta(minutes=1)
        days = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30, Unit.QUARTER: 91, Unit.YEAR: 365}.get(offset.unit, 0)
        moment -= data.draw(st.sampled_from([0, offset.count * days])) * timedelta(days=1)
    for instant in (moment, start_of(Period.DAY, moment, time_zone(offset.timezone))):
        downstream = spelled(instant, offset.timezone, offset.output_format)
        for upstream in offset.upstreams(downstream):
            assert downstream in offset.downstreams(upstream)
        upstream = spelled(instant, offset.timezone, offset.input_format)
        for downstream in offset.downstreams(upstream):
            assert upstream in offset.upstreams(downstream)


@given(st.one_of(windows().map(lambda drawn: drawn[0]), offsets), st.text(max_size=25))
def test_a_partition_that_is_no_date_time_is_not_mapped(mapping: ExactMapping, partition: str) -> None:
    assert mapping.upstreams(partition) == ()
    assert mapping.downstreams(partition) == ()


@given(st.text(), st.text())
def test_the_directions_of_identity_agree(one: str, other: str) -> None:
    agree(Identity(), one, other)
    agree(Identity(), one, one)


spellings = st.sampled_from([None, "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z"])


@given(spellings, spellings, places_and_moments())
def test_the_directions_of_another_spelling_agree(one: str | None, other: str | None, at: tuple[str, datetime]) -> None:
    assume(one != other)
    zone, moment = at
    mapping = SameInstant(zone, one, other)
    for instant in (moment, start_of(Period.DAY, moment, time_zone(zone)), moment + timedelta(hours=1)):
        both_ways(mapping, [spelled(instant, zone, one)], [spelled(instant, zone, other)])


@given(lists_of_keys, texts, texts)
def test_the_directions_of_keys_agree(keys: tuple[str, ...], key: str, other: str) -> None:
    both_ways(AllowedKey(keys), [*keys, other], [*keys, other])
    both_ways(Segments(keys, key), [*keys, key, other], [*keys, key, other])


def both_ways(mapping: ExactMapping, upstreams: list[str], downstreams: list[str]) -> None:
    """Whatever these partitions belong to belongs to them, and each pair belongs together both ways or not at all."""
    for downstream in downstreams:
        for upstream in mapping.upstreams(downstream)[:50]:
            assert downstream in mapping.downstreams(upstream)
        for upstream in upstreams:
            agree(mapping, upstream, downstream)
    for upstream in upstreams:
        for downstream in mapping.downstreams(upstream)[:50]:
            assert upstream in mapping.upstreams(downstream)


MOMENTS = ["2026-11-16T00:00:00Z", "2026-11-01T00:00:00Z", "2026-11-20T10:00:00Z", "2026-10-25T01:00:00Z", "2026-11-20"]


def some_of(mapping: Mapping, draw: st.DataObject) -> list[str]:
    """Partitions that a mapping may read: moments in its spelling, its keys, and others."""
    match mapping:
        case Chain(mappers):
            return some_of(mappers[0], draw)
        case Product(mappers, delimiter):
            parts = [draw.draw(st.sampled_from(some_of(member, draw))) for member in mappers]
            return [delimiter.join(parts), delimiter.join([*parts, "x"]), parts[0]]
        case AllowedKey(keys) | Segments(keys):
            return [*keys[:3], "x"]
        case StartOf() | Rollup() | FanOut() | Offset() | SameInstant():
            return [spelled(at(one), mapping.timezone, mapping.input_format) for one in MOMENTS[:4]]
        case _:
            return [*MOMENTS, "x"]


def at(partition: str) -> datetime:
    return datetime.fromisoformat(partition)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.filter_too_much])  # many compositions are refused, or gather
@given(composed(st.one_of(simple, composed(simple))), st.data())
def test_the_directions_of_chains_and_products_agree(mapping: ExactMapping, data: st.DataObject) -> None:
    assume(not gathers(mapping))
    upstreams = some_of(mapping, data)
    downstreams = [down for up in upstreams for down in mapping.downstreams(up)[:3]]
    both_ways(mapping, upstreams, [*downstreams, *MOMENTS, "x"])


@pytest.mark.parametrize(
    "mapping",
    [
        Chain((Rollup(Period.DAY, Period.HOUR), Rollup(Period.MONTH, Period.DAY))),
        Chain((Rollup(Period.DAY, Period.HOUR, "Europe/Berlin"), Rollup(Period.WEEK, Period.DAY, "Europe/Berlin"))),
        Chain((FanOut(Period.DAY, Period.HOUR), Offset(-1, Unit.HOUR))),
        Chain((Offset(-1, Unit.MONTH), SameInstant(output_format="%Y-%m-%d"))),
        Chain((AllowedKey(("eu", "us")), Segments(("eu", "us"), "all"))),
        Product((Identity(), Rollup(Period.DAY, Period.HOUR))),
        Product((AllowedKey(("eu", "us")), FanOut(Period.DAY, Period.HOUR, "Asia/Tokyo"))),
        Product((Segments(("eu", "us"), "all"), Offset(-1, Unit.MONTH, "Europe/Berlin")), "/"),
        Chain(
            (
                Product((Identity(), SameInstant(output_format="%Y-%m-%d"))),
                Product((Segments(("eu", "us"), "all"), Identity())),
            )
        ),
    ],
)
@given(data=st.data())
def test_the_directions_of_what_people_write_agree(mapping: ExactMapping, data: st.DataObject) -> None:
    upstreams = some_of(mapping, data)
    downstreams = [down for up in upstreams for down in mapping.downstreams(up)]
    both_ways(mapping, upstreams, [*downstreams, *MOMENTS])


@given(st.sampled_from(list(MOST_MEMBERS)), places_and_moments())
def test_the_start_of_a_period_is_its_own_start(period: Period, drawn: tuple[str, datetime]) -> None:
    zone, moment = drawn
    mapping = StartOf(period, zone)
    (start,) = mapping.downstreams(format_instant(moment))
    assert mapping.downstreams(start) == (start,)
    assert mapping.feeds(start, start)


@given(st.sampled_from(Period), places_and_moments())
def test_periods_follow_one_another_without_a_gap(period: Period, drawn: tuple[str, datetime]) -> None:
    zone, moment = drawn
    place = time_zone(zone)
    start = start_of(period, moment, place)
    end = next_start(period, start, place)
    assert start <= moment < end
    assert start_of(period, end, place) == end
    assert start_of(period, end - timedelta(microseconds=1), place) == start
