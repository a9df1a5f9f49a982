"""Periods on local wall clocks: where an hour, a day, a week ... begins, as instants in UTC.

Every moment belongs to exactly one period of a kind: the one with the greatest start that is not after it.

* A day, week, month, quarter or year begins at the first instant of its first local date. Where clocks are turned
  forward at midnight (Asia/Beirut, Africa/Cairo) that is 01:00, the moment of the turn; where midnight comes twice
  (America/Havana) it is the first one. A date that a place skipped (Pacific/Apia, 2011-12-30) has no start.
* An hour or a minute begins where the wall clock shows a full one, and where it is turned. So a day has 23, 24 or
  25 hours, and in Australia/Lord_Howe, which turns by half an hour, a day of 24.5 hours has 25 of them, one short.
  Airflow's cron timetables run at just these moments (``airflow/timetables/_cron.py``: an expression that covers
  every hour goes on by elapsed time); its ``DayWindow`` counts 24 steps on every day, as its docstring warns.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones


class Period(enum.StrEnum):
    """A kind of period, from the shortest to the longest. Weeks are ISO weeks: they begin on Monday."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_BY_THE_CLOCK: Final = {Period.MINUTE: timedelta(minutes=1), Period.HOUR: timedelta(hours=1)}
"""Periods that begin where the clock says so. All longer ones begin with a date."""

_FIRST_DATE: Final[Mapping[Period, Callable[[date], date]]] = {
    Period.DAY: lambda day: day,
    Period.WEEK: lambda day: day - timedelta(days=day.weekday()),
    Period.MONTH: lambda day: day.replace(day=1),
    Period.QUARTER: lambda day: day.replace(month=day.month - (day.month - 1) % 3, day=1),
    Period.YEAR: lambda day: day.replace(month=1, day=1),
}
"""The first date of the period that a date belongs to."""

_NO_PLACES: Final = {"localtime", "Factory"}
"""Debian's tz database contains them; the first differs between machines, and the second is no place."""

_DAYS_AT_MOST: Final = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31, Period.QUARTER: 92, Period.YEAR: 366}


@lru_cache(maxsize=1024)
def time_zone(name: str) -> ZoneInfo:
    """A place of the IANA time zone database.

    :raises ValueError: there is no such place.
    """
    # ZoneInfo accepts more than places: "right/...", with leap seconds, and on some file systems "europe/berlin".
    known = _places()
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"expected a time zone such as 'Europe/Berlin' or 'UTC'; found {name!r}{hint}")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _places() -> frozenset[str]:
    return frozenset(available_timezones() - _NO_PLACES)


def start_of(period: Period, instant: datetime, zone: ZoneInfo) -> datetime:
    """The start of the period that an instant belongs to, in UTC.

    :param instant: aware, in UTC.
    """
    wall = instant.astimezone(zone)
    if period in _BY_THE_CLOCK:
        minutes = wall.minute if period is Period.HOUR else 0
        start = instant - timedelta(minutes=minutes, seconds=wall.second, microseconds=wall.microsecond)
        return start if start.astimezone(zone).utcoffset() == wall.utcoffset() else _turn(start, instant, zone)
    start = first_instant(_FIRST_DATE[period](wall.date()), zone)
    # Where clocks are turned back just after midnight (America/St_Johns, 00:01, until 2011) the wall shows the day
    # before once more, although the new day has begun.
    while (following := next_start(period, start, zone)) <= instant:
        start = following
    return start


def next_start(period: Period, start: datetime, zone: ZoneInfo) -> datetime:
    """Where the next period begins, in UTC.

    :param start: the start of a period.
    """
    wall = start.astimezone(zone)
    if period in _BY_THE_CLOCK:
        minutes = wall.minute if period is Period.HOUR else 0
        end = start + _BY_THE_CLOCK[period] - timedelta(minutes=minutes, seconds=wall.second)
        return end if end.astimezone(zone).utcoffset() == wall.utcoffset() else _turn(start, end, zone)
    first = _FIRST_DATE[period](wall.date())
    return first_instant(_FIRST_DATE[period](first + timedelta(days=_DAYS_AT_MOST[period])), zone)


def starts_between(period: Period, begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The starts of all periods that begin at or after ``begin`` and before ``end``, in order."""
    start = start_of(period, begin, zone)
    if start < begin:
        start = next_start(period, start, zone)
    while start < end:
        yield start
        start = next_start(period, start, zone)


@lru_cache(maxsize=16384)
def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """Where a local date begins, in UTC: at the first of two midnights; without one, where clocks were turned."""
    return instants_at(datetime.combine(day, time.min), zone)[0]


def instants_at(wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """When clocks showed a local time: once, or twice; a time that was skipped means the moment of the turn.

    :param wall: without a time zone.
    """
    first, second = both_readings(wall, zone)
    if first == second:
        return (first,)
    return (first, second) if first < second else (_turn(second, first, zone),)


def both_readings(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """A local time read with the offset before a turn of the clocks, and with the offset after it, in UTC.

    They are one instant unless clocks showed the time twice (first < second) or never (first > second).
    See PEP 495, *fold*.
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC), wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def _turn(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment in (before, after] at which clocks were turned. zoneinfo does not provide it; it is a full second."""
    earlier, later = before, after.replace(microsecond=0)
    offset = before.astimezone(zone).utcoffset()
    while later - earlier > timedelta(seconds=1):
        middle = earlier + timedelta(seconds=(later - earlier) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            earlier = middle
        else:
            later = middle
    return later
