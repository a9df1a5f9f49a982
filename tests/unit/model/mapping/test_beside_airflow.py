"""What a completion feeds, and what a partition needs, is what Airflow's own mappers say of the same keys.

Airflow is asked with its own formats: its mappers read local times without a zone, ours read what they are told to.
Where the two part on purpose, the test says how.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pytest
from airflow.partition_mappers import (
    allowed_key,
    base,
    chain,
    fixed_key,
    identity,
    product,
    temporal,
    wait_policy,
    window,
)
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.partitions import (
    AllowedKey,
    Chain,
    FanOut,
    FixedKey,
    Identity,
    Mapping,
    Period,
    Product,
    Rollup,
    Segments,
    StartOf,
)

IN = "%Y-%m-%dT%H:%M:%S"
OUT = {
    Period.HOUR: "%Y-%m-%dT%H",
    Period.DAY: "%Y-%m-%d",
    Period.WEEK: "%Y-%m-%d (W%V)",
    Period.MONTH: "%Y-%m",
    Period.QUARTER: "%Y-Q{quarter}",
    Period.YEAR: "%Y",
}
STARTS = {
    Period.HOUR: temporal.StartOfHourMapper,
    Period.DAY: temporal.StartOfDayMapper,
    Period.WEEK: temporal.StartOfWeekMapper,
    Period.MONTH: temporal.StartOfMonthMapper,
    Period.QUARTER: temporal.StartOfQuarterMapper,
    Period.YEAR: temporal.StartOfYearMapper,
}
WINDOWS = {
    Period.HOUR: (window.HourWindow, Period.MINUTE),
    Period.DAY: (window.DayWindow, Period.HOUR),
    Period.WEEK: (window.WeekWindow, Period.DAY),
    Period.MONTH: (window.MonthWindow, Period.DAY),
    Period.QUARTER: (window.QuarterWindow, Period.MONTH),
    Period.YEAR: (window.YearWindow, Period.MONTH),
}
REGIONS = ["us", "eu", "apac"]

moments = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2060, 1, 1)).map(lambda one: one.strftime(IN))
periods = st.sampled_from(list(STARTS))
regions = st.sampled_from([*REGIONS, "mars", ""])


def feeds(mapper: base.PartitionMapper, key: str) -> set[str]:
    """What Airflow maps a key to. An error means that it maps it to nothing."""
    try:
        found = mapper.to_downstream(key)
    except ValueError:
        return set()
    return {found} if isinstance(found, str) else set(found)


def same(mapping: Mapping, mapper: base.PartitionMapper, keys: Iterable[str]) -> None:
    for key in keys:
        assert set(mapping.downstreams(key)) == feeds(mapper, key)  # type: ignore[union-attr]


@given(periods, moments, st.sampled_from(["UTC", "Asia/Tokyo", "Asia/Kolkata"]))
def test_starts_of_periods(period: Period, moment: str, zone: str) -> None:
    same(StartOf(period, zone, IN, OUT[period]), STARTS[period](timezone=zone), [moment, "x"])


@given(periods, moments)
def test_rollups_and_fan_outs(period: Period, moment: str) -> None:
    of, every = WINDOWS[period]
    start = STARTS[period]
    theirs = base.RollupMapper(upstream_mapper=start(), window=of())
    ours = Rollup(period, every, input_format=IN, output_format=OUT[period])
    (downstream,) = feeds(theirs, moment)
    needed = theirs.to_upstream(downstream)
    assert set(ours.upstreams(downstream)) == needed
    same(ours, theirs, needed)
    if period is not Period.HOUR:
        fan_out = temporal.FanOutMapper(upstream_mapper=start(), window=of())
        begin = min(needed)
        same(FanOut(period, every, input_format=IN, output_format=OUT[every]), fan_out, [begin])


@given(regions)
def test_keys(region: str) -> None:
    same(Identity(), identity.IdentityMapper(), [region])
    same(FixedKey("all"), fixed_key.FixedKeyMapper("all"), [region])
    same(AllowedKey(tuple(REGIONS)), allowed_key.AllowedKeyMapper(REGIONS), [region])


@pytest.mark.parametrize(("wait", "policy"), [("all", None), (2, 2), (-1, -1), (-5, -5)])
def test_segments(wait: int | str, policy: int | None) -> None:
    theirs = base.RollupMapper(
        upstream_mapper=fixed_key.FixedKeyMapper("all"),
        window=window.SegmentWindow(REGIONS),
        wait_policy=None if policy is None else wait_policy.MinimumCount(policy),
    )
    ours = Segments(tuple(REGIONS), "all", wait)  # type: ignore[arg-type]
    assert set(ours.upstreams("all")) == theirs.to_upstream("all")
    same(ours, theirs, REGIONS)
    # Airflow maps any other key to the same partition, and then does not count it; ours touches nothing.
    assert (feeds(theirs, "mars"), ours.downstreams("mars")) == ({"all"}, ())
    for arrived in range(len(REGIONS) + 1):
        matched = frozenset(REGIONS[:arrived])
        satisfied = theirs.wait_policy.is_satisfied_by_keys(matched=matched, expected=frozenset(REGIONS)).satisfied
        assert satisfied == (arrived >= ours.needed(len(REGIONS))) or (policy == -5 and arrived == 0)


@given(regions, moments, st.sampled_from(["|", "/"]))
def test_products(region: str, moment: str, delimiter: str) -> None:
    theirs = product.ProductMapper(
        allowed_key.AllowedKeyMapper(REGIONS), temporal.StartOfDayMapper(), delimiter=delimiter
    )
    ours = Product((AllowedKey(tuple(REGIONS)), StartOf(Period.DAY, "UTC", IN, OUT[Period.DAY])), delimiter)
    keys = [f"{region}{delimiter}{moment}", region, moment, f"{region}|{moment}|x"]
    same(ours, theirs, keys)
    any_region = product.ProductMapper(fixed_key.FixedKeyMapper("all"), identity.IdentityMapper(), delimiter=delimiter)
    same(Product((FixedKey("all"), Identity()), delimiter), any_region, keys)


@given(moments)
def test_chains(moment: str) -> None:
    hours, days = temporal.StartOfHourMapper(), temporal.StartOfDayMapper(input_format=OUT[Period.HOUR])
    hour = StartOf(Period.HOUR, "UTC", IN, OUT[Period.HOUR])
    day = StartOf(Period.DAY, "UTC", OUT[Period.HOUR], OUT[Period.DAY])
    same(Chain((hour, day)), chain.ChainMapper(hours, days), [moment, "x"])
    week = temporal.FanOutMapper(upstream_mapper=temporal.StartOfWeekMapper(), window=window.WeekWindow())
    of_days = temporal.StartOfMonthMapper(input_format=OUT[Period.DAY])
    theirs = chain.ChainMapper(temporal.StartOfWeekMapper(output_format=IN), week, of_days)
    ours = Chain(
        (
            StartOf(Period.WEEK, "UTC", IN, IN),
            FanOut(Period.WEEK, Period.DAY, "UTC", IN, OUT[Period.DAY]),
            StartOf(Period.MONTH, "UTC", OUT[Period.DAY], OUT[Period.MONTH]),
        )
    )
    same(ours, theirs, [moment])


@given(regions, moments)
def test_chains_of_products(region: str, moment: str) -> None:
    day = temporal.StartOfDayMapper()
    theirs = chain.ChainMapper(
        product.ProductMapper(identity.IdentityMapper(), day),
        product.ProductMapper(allowed_key.AllowedKeyMapper(REGIONS), identity.IdentityMapper()),
    )
    start = StartOf(Period.DAY, "UTC", IN, OUT[Period.DAY])
    ours = Chain((Product((Identity(), start)), Product((AllowedKey(tuple(REGIONS)), Identity()))))
    same(ours, theirs, [f"{region}|{moment}", moment])
