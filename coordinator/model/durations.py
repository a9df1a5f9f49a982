"""Durations as texts: ``36 hours``, ``2 days``, ``1.5 hours``. A day always has 24 hours here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

UNITS: Final = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
LONGEST: Final = timedelta(days=3660)
"""A longer one is a mistake."""

_LAST: Final = datetime.max.replace(tzinfo=UTC)

DURATION: Final = rf"[0-9]{{1,9}}(?:\.[0-9]{{1,6}})? ?(?:{'|'.join(UNITS)})s?"
"""What a duration looks like, as a regular expression."""


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    :raises ValueError: it is none, or longer than :data:`LONGEST`.
    """
    if not re.fullmatch(DURATION, text):
        raise ValueError(f"expected a duration such as '36 hours' ({', '.join(f'{unit}s' for unit in UNITS)})")
    count, unit = re.split(r"(?<=[0-9]) ?(?=[a-z])", text)
    if float(count) * (UNITS[unit.removesuffix("s")] / LONGEST) > 1:
        raise ValueError(f"expected a duration of at most {format_duration(LONGEST)}")
    return float(count) * UNITS[unit.removesuffix("s")]


def after(moment: datetime, duration: timedelta) -> datetime:
    """A moment plus a duration, at most the last moment that Python can represent.

    A report may contain a time on the last day of the year 9999.

    :param moment: aware, in UTC.
    """
    return moment + duration if duration <= _LAST - moment else _LAST


def format_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit of which it has a whole number; ``parse_duration`` reads it back.

    :param duration: not negative.
    """
    for unit, length in reversed(UNITS.items()):
        count, rest = divmod(duration, length)
        if count and not rest:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{duration / UNITS['second']:.6f}".rstrip("0").rstrip(".") + " seconds"


def age_of(since: datetime | None, now: datetime) -> int | None:
    """Seconds since a moment, if it is known."""
    return max(0, round((now - since).total_seconds())) if since is not None else None
