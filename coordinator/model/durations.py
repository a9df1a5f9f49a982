"""Durations as people write them: ``36 hours``, ``2 days``, ``1.5 hours``. A day is 24 hours here, everywhere."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

UNITS: Final = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) ?([a-z]+?)s?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    :raises ValueError: it is none, or longer than Python can count.
    """
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in UNITS:
        raise ValueError(f"expected a duration such as '36 hours' ({', '.join(f'{unit}s' for unit in UNITS)})")
    try:
        return float(match[1]) * UNITS[match[2]]
    except OverflowError:
        raise ValueError("expected a duration of at most 2.7 million years") from None


def format_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit of which it has a whole number; ``parse_duration`` reads it back.

    :param duration: not negative.
    """
    for unit, length in reversed(UNITS.items()):
        count, rest = divmod(duration, length)
        if count and not rest:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{duration / UNITS['second']:.6f}".rstrip("0").rstrip(".") + " seconds"
