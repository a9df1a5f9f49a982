"""Months and quarters of one year, reckoned by hand: what the mappings say, without the coordinator's calendar.

Quarters have three months: few enough for a random world, and a quarter is spelled like its first month.
"""

from __future__ import annotations

OCTOBER, NOVEMBER, DECEMBER = MONTHS = tuple(f"2026-{month}-01T00:00:00Z" for month in (10, 11, 12))
QUARTER = OCTOBER
ONCE = "all"
"""The partition of what is made once of everything (``fixed_key``)."""

_YEAR = tuple(f"{year}-{month:02}-01T00:00:00Z" for year in (2026, 2027) for month in range(1, 13))


def months_of(quarter: str) -> tuple[str, ...]:
    """The months of a quarter; none for what is not the start of one."""
    at = _YEAR.index(quarter) if quarter in _YEAR else 1
    return _YEAR[at : at + 3] if at % 3 == 0 else ()


def quarter_of(month: str) -> str | None:
    """The quarter in which a month lies; ``None`` for what is no month."""
    if month not in _YEAR:
        return None
    at = _YEAR.index(month)
    return _YEAR[at - at % 3]


def month_before(month: str) -> str | None:
    return _YEAR[_YEAR.index(month) - 1] if month in _YEAR[1:] else None


def month_after(month: str) -> str | None:
    return _YEAR[_YEAR.index(month) + 1] if month in _YEAR[:-1] else None
