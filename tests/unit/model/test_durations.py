"""Durations: read as people write them, and written so that they are read back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.durations import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("36 hours", timedelta(hours=36)),
        ("1 day", timedelta(days=1)),
        ("2days", timedelta(days=2)),
        ("1.5 hours", timedelta(minutes=90)),
        ("3 weeks", timedelta(days=21)),
        ("0.25 seconds", timedelta(milliseconds=250)),
        ("90 minute", timedelta(minutes=90)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "36", "hours", "-1 day", "+1 day", "1 month", "1 h", "1  day", "2 dayss", "１ day"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as '36 hours'"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3661 days", "999999999 weeks"])
def test_a_duration_that_must_be_a_mistake_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 3660 days"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(hours=36), "36 hours"),
        (timedelta(hours=48), "2 days"),
        (timedelta(days=7), "1 week"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(milliseconds=250), "0.25 seconds"),
        (timedelta(), "0 seconds"),
    ],
)
def test_a_duration_is_written_in_whole_units(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(), max_value=LONGEST))
def test_what_is_written_is_read_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration
