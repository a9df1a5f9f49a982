"""One spelling per moment: what a person types meets the partition that the pipeline has."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.named_partitions import (
    NamedPartition,
    Span,
    canonical,
    is_spelled_freely,
    named_partition,
    read_moment,
)
from coordinator.model.partitions.instants import format_instant

K = "2026-11-20T00:00:00Z"
FIVE = "2026-11-20T05:00:00Z"
DAILY = ["2026-11-18T00:00:00Z", "2026-11-19T00:00:00Z", K]


@pytest.mark.parametrize(
    "typed",
    [
        "2026-11-20",
        "2026-11-20T00",
        "2026-11-20T00:00",
        "2026-11-20 00:00:00",
        "2026-11-20T01:00+01:00",
        f"{K}",
        "2026-11-19T19:00:00-05",
    ],
)
def test_every_spelling_of_a_moment_meets_the_partition_that_is_there(typed: str) -> None:
    assert named_partition(typed, DAILY) == NamedPartition(K, known=True)


def test_what_is_there_letter_by_letter_is_meant_as_it_is_typed() -> None:
    """Also a phantom beside the dated one: it must be possible to name it, to forget it."""
    assert named_partition("2026-11-20", ["2026-11-20", K]) == NamedPartition("2026-11-20", known=True)
    assert named_partition("2026-11-20T00:00", ["2026-11-20", K]) == NamedPartition(K, known=True)


def test_a_pipeline_whose_partitions_are_dates_keeps_them() -> None:
    dates = ["2026-11-19", "2026-11-20"]
    assert named_partition("2026-11-20T00:00", dates) == NamedPartition("2026-11-20", known=True)
    assert named_partition("2026-11-21", dates).partition == "2026-11-21"
    # Who types the usual form in full means it, and hears what is there.
    assert named_partition(K, dates) == NamedPartition(
        K, known=False, near=("2026-11-20",), newest=("2026-11-20", "2026-11-19")
    )


@pytest.mark.parametrize(
    ("typed", "known", "partition"),
    [
        ("2026-11-21", DAILY, "2026-11-21T00:00:00Z"),
        ("2026-11-21", [*DAILY, "2026-11-20"], "2026-11-21T00:00:00Z"),
        ("2026-11-21", ["europe"], "2026-11-21"),
        ("2026-11-21", [], "2026-11-21"),
        ("2026-11-20T05:00", DAILY, FIVE),
        ("2026-11-20T05:00", [], FIVE),
        ("2026-11-20T05:00", ["2026-11-19"], FIVE),
        ("2026-11-20T05:00:00", DAILY, FIVE),
        ("2026-11-20T05:00:00", ["2026-11-19T00:00:00", "2026-11-18T00:00:00"], "2026-11-20T05:00:00"),
        ("europe", DAILY, "europe"),
        ("20261120", DAILY, "20261120"),
        ("2026-13-45", DAILY, "2026-13-45"),
    ],
)
def test_a_new_partition_gets_the_form_of_those_that_are_there(typed: str, known: list[str], partition: str) -> None:
    named = named_partition(typed, known)
    assert (named.partition, named.known) == (partition, False)


@pytest.mark.parametrize(
    ("typed", "known", "near"),
    [
        ("europ", ["europe", "america"], ("europe",)),
        ("2026-11-2", DAILY, (K,)),
        ("2026-11-20T05:00", DAILY, (K,)),
        ("2026-11-21T05:00", DAILY, ()),
        ("2026-11", DAILY, tuple(reversed(DAILY))),
        ("xyz", ["europe"], ()),
    ],
)
def test_what_may_have_been_meant_is_named(typed: str, known: list[str], near: tuple[str, ...]) -> None:
    assert named_partition(typed, known).near == near


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.sampled_from(["T", " "]))
def test_a_moment_is_read_back_from_any_of_its_spellings(naive: datetime, separator: str) -> None:
    moment = naive.replace(tzinfo=UTC)
    for typed in (naive.isoformat(separator), f"{naive.isoformat(separator)}Z", f"{naive.isoformat(separator)}+00:00"):
        assert read_moment(typed) == moment
        assert named_partition(typed, []).partition == format_instant(moment)


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=5))
def test_any_text_names_a_partition_and_what_it_names_names_itself(typed: str, known: list[str]) -> None:
    named = named_partition(typed, known)
    assert named.known == (named.partition in known)
    assert named_partition(named.partition, [named.partition]) == NamedPartition(named.partition, known=True)


def test_only_a_free_spelling_depends_on_what_is_known() -> None:
    assert is_spelled_freely("2026-11-20")
    assert is_spelled_freely("2026-11-20T05:00")
    assert not is_spelled_freely(K)
    assert not is_spelled_freely("europe")


def test_a_date_as_the_end_of_a_span_means_the_whole_day() -> None:
    span = Span.typed("2026-11-19", "2026-11-20")
    assert [one for one in (*DAILY, FIVE, "2026-11-20", "2026-11-21T00:00:00Z", "europe") if one in span] == [
        "2026-11-19T00:00:00Z",
        K,
        FIVE,
        "2026-11-20",
    ]
    assert FIVE not in Span.typed(None, "2026-11-20T04:59")
    assert "europe" in Span()


@pytest.mark.parametrize(("since", "until"), [("yesterday", None), (None, "soon"), ("2026-11-20", "2026-11-19")])
def test_what_is_no_span_is_refused(since: str | None, until: str | None) -> None:
    with pytest.raises(ValueError, match="expected"):
        Span.typed(since, until)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("2026-11-20T00:00:00+00:00", "2026-11-20T00:00:00Z"),
        ("2026-11-20 02:00:00+02:00", "2026-11-20T00:00:00Z"),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20T00:00:00", "2026-11-20T00:00:00"),
        ("2026-11-19T19-05", "2026-11-20T00:00:00Z"),
        ("north", "north"),
    ],
)
def test_a_date_time_with_a_zone_has_one_form_and_anything_else_is_a_name(typed: str, expected: str) -> None:
    assert canonical(typed) == expected
