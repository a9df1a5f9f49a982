"""Partitions: one instant, one spelling; and run ids that Airflow takes and that never meet."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.partitions.instants import (
    RUN_ID_LIMIT,
    coordinator_run_id,
    date_in_run_id,
    format_instant,
    parse_instant,
    partition_in_run_id,
    partition_of_run,
)

DAY = datetime(2026, 11, 20, tzinfo=UTC)


def test_an_instant_has_one_spelling() -> None:
    assert format_instant(DAY) == "2026-11-20T00:00:00Z"
    assert format_instant(DAY.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2026-11-20T00:00:00Z"
    assert format_instant(DAY.replace(microsecond=7)) == "2026-11-20T00:00:00.000007Z"
    with pytest.raises(ValueError, match="time zone"):
        format_instant(DAY.replace(tzinfo=None))


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_instants_come_back(instant: datetime) -> None:
    assert parse_instant(format_instant(instant)) == instant


@pytest.mark.parametrize("partition", ["2026-11-20", "2026-11-20T00:00:00", "eu/2026", "", "2026-13-01T00:00:00Z", "7"])
def test_what_is_no_instant_is_none(partition: str) -> None:
    assert parse_instant(partition) is None


def test_the_partition_of_a_run() -> None:
    ours = {"coordinator": {"partition": "p"}}
    assert partition_of_run(run_id="coordinator__p__1", logical_date=DAY, partition_key="k", conf=ours) == "p"
    assert partition_of_run(run_id="r", logical_date=DAY, partition_key="k", conf={}) == "k"
    assert partition_of_run(run_id="r", logical_date=DAY, partition_key=None, conf=None) == "2026-11-20T00:00:00Z"
    assert partition_of_run(run_id="r", logical_date=None, partition_key=None, conf={"coordinator": 3}) == "r"


@pytest.mark.parametrize(
    "run_id",
    [
        *("r", "", "manual__p", "coordinator__p", "coordinator__p__", "coordinator__p__x", "coordinator__p__٣"),
        *("coordinator__q__1", "coordinator__p__1__1", "coordinator__p__01", "coordinator__p__" + "9" * 5000),
    ],
)
def test_what_a_conf_says_of_the_partition_counts_only_under_a_run_id_that_says_the_same(run_id: str) -> None:
    """Anybody may choose a conf, and a run that is triggered again has the one of the first."""
    ours = {"coordinator": {"partition": "p", "token": "t"}}
    assert partition_of_run(run_id=run_id, logical_date=None, partition_key="k", conf=ours) == "k"


@given(st.text(min_size=1), st.integers(min_value=0, max_value=10**17))
def test_a_run_that_the_coordinator_made_has_the_partition_it_was_made_for(partition: str, sequence: int) -> None:
    run_id = coordinator_run_id(partition, sequence)
    conf = {"coordinator": {"partition": partition}}
    assert partition_of_run(run_id=run_id, logical_date=DAY, partition_key="k", conf=conf) == partition


def test_a_dated_run_id_is_readable() -> None:
    assert coordinator_run_id("2026-11-20T00:00:00Z", 2) == "coordinator__2026-11-20T00:00:00Z__2"


@given(st.text(max_size=400), st.integers(1, 10**6))
def test_airflow_takes_every_run_id(partition: str, sequence: int) -> None:
    run_id = coordinator_run_id(partition, sequence)
    assert re.fullmatch(r"[A-Za-z0-9_.~:+-]+", run_id)
    assert len(run_id) <= RUN_ID_LIMIT


@given(st.text(max_size=300), st.text(max_size=300))
def test_two_partitions_never_meet_in_a_run_id(one: str, other: str) -> None:
    assert (coordinator_run_id(one, 1) == coordinator_run_id(other, 1)) == (one == other)


@given(
    partition=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15), sequence=st.integers(1, 9999)
)
def test_a_run_id_of_ours_gives_its_partition_back(partition: str, sequence: int) -> None:
    assert partition_in_run_id(coordinator_run_id(partition, sequence)) == partition


@pytest.mark.parametrize(
    "run_id",
    [
        coordinator_run_id("x" * 300, 1),  # cut
        "coordinator__a b__1",  # a blank would have been escaped
        "coordinator__~61__1",  # an a would not
        "coordinator__~ff__1",  # no UTF-8
        "coordinator__a__",
        "coordinator____1",
        "scheduled__2026-11-20T00:00:00+00:00",
        "",
    ],
)
def test_a_run_id_that_the_coordinator_does_not_make_gives_none(run_id: str) -> None:
    assert partition_in_run_id(run_id) is None


@pytest.mark.parametrize(
    ("run_id", "partition"),
    [
        ("scheduled__2026-11-20T00:00:00+00:00", "2026-11-20T00:00:00Z"),
        ("backfill__2026-11-20T02:00:00+02:00", "2026-11-20T00:00:00Z"),
        ("manual__2026-11-20T00:00:00.250000+00:00", "2026-11-20T00:00:00.250000Z"),
        ("manual__2026-11-20T00:00:00+00:00_aBcD12", None),  # without a logical date
        ("asset_triggered__2026-11-20T00:00:00+00:00_aBcD12", None),
        ("scheduled__2026-11-20", None),
        ("nightly", None),
    ],
)
def test_a_run_id_of_airflow_gives_its_date(run_id: str, partition: str | None) -> None:
    assert date_in_run_id(run_id) == partition
