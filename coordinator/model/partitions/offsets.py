"""``Offset``: a downstream partition needs the upstream's partition so much earlier or later."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from coordinator.model.partitions.calendar import both_readings, first_instant, instants_at, time_zone
from coordinator.model.partitions.refusal import MappingError
from coordinator.model.partitions.spelling import in_words, require_readable, spelling


class Unit(enum.StrEnum):
    """The unit of an offset. Up to hours: elapsed time; from days on: dates on the calendar of a place."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_ELAPSED: Final = {
    Unit.SECOND: timedelta(seconds=1),
    Unit.MINUTE: timedelta(minutes=1),
    Unit.HOUR: timedelta(hours=1),
}
_DAYS: Final = {Unit.DAY: 1, Unit.WEEK: 7}
_MONTHS: Final = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.YEAR: 12}
MOST: Final = 100_000
"""Of any unit. More is a mistake; Python's dates can represent it."""


OFFSET: Final = rf"[+-][0-9]{{1,6}} ?(?:{'|'.join(Unit)})s?"
"""What an offset looks like, as a regular expression."""


def parse_offset(text: str) -> tuple[int, Unit]:
    """Read an offset such as ``-1 day`` or ``+2 hours``.

    :raises ValueError: it is none. Without a sign it would not say which way.
    """
    if not re.fullmatch(OFFSET, text):
        raise ValueError(
            f"expected an offset such as '-1 day' or '+2 hours' ({', '.join(f'{unit}s' for unit in Unit)})"
        )
    count, word = re.split(r"(?<=[0-9]) ?(?=[a-z])", text)
    return int(count), Unit(word.removesuffix("s"))


@dataclass(frozen=True, slots=True)
class Offset:
    """Downstream partition k needs the upstream's partition k + offset: ``-1 day`` is the day before.

    Seconds, minutes and hours are elapsed time. Days and longer are counted on the wall clock of the place: the same
    time of day on another date, and the start of a day for the start of a day, whenever that is. A day that the month
    does not have becomes its last one (March 31 - 1 month = February 28); a time of day that clocks skip moves on by
    as much as they do (as ``java.time`` does); one that they show twice means the first time, unless k itself is the
    second.

    So months and turned clocks are not invertible everywhere: ``downstreams`` is exactly the set of partitions whose
    ``upstreams`` name the given one. It may be empty (nothing - 1 month is March 31) or have several members (March
    28 to 31 - 1 month all are February 28).

    :ivar count: of units; negative for the past.
    :ivar timezone: for days and longer, and for the formats.
    :ivar input_format: how the upstream's partitions spell instants; ``None``: as ``partitions.format_instant``.
    :ivar output_format: how the downstream's partitions do.
    :raises MappingError: the offset is nothing or too much, the time zone is unknown, or a format cannot be read back.
    """

    count: int
    unit: Unit
    timezone: str = "UTC"
    input_format: str | None = None
    output_format: str | None = None

    def __post_init__(self) -> None:
        if self.count == 0:
            raise MappingError("by", "an offset of nothing; expected another number, or the mapping 'identity'")
        if abs(self.count) > MOST:
            raise MappingError("by", f"expected at most {MOST} {self.unit}s; found {abs(self.count)}")
        require_readable(self.input_format, self.timezone, field="input_format")
        require_readable(self.output_format, self.timezone, field="output_format")

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        """The upstream partition that a downstream partition needs; none when it is no date-time.

        Two, where ``output_format`` does not tell the two hours apart in which clocks are turned back.
        """
        return _upstreams(self, downstream)

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        """The downstream partitions that need an upstream partition, in order."""
        return _downstreams(self, upstream)

    @property
    def goes_back(self) -> bool:
        """Whether each partition needs an earlier one. Hours on a clock that is spelled without its offset have no
        order: in autumn, one is shown twice."""
        is_in_order = self.unit not in _ELAPSED or self.input_format is self.output_format is None
        return self.count < 0 and is_in_order

    @property
    def by(self) -> str:
        """As people write it: ``-1 day``, ``+2 hours``."""
        return f"{self.count:+d} {self.unit}{'' if abs(self.count) == 1 else 's'}"

    def __str__(self) -> str:
        place = "" if self.timezone == "UTC" else f" ({self.timezone})"
        return self.by + place + in_words(self.input_format, self.output_format)


@lru_cache(maxsize=16384)
def _upstreams(offset: Offset, key: str) -> tuple[str, ...]:
    zone, names = time_zone(offset.timezone), spelling(offset.input_format, offset.timezone)
    instants = spelling(offset.output_format, offset.timezone).instants(key)
    shifted = {there for here in instants if (there := _shifted(offset, here, zone)) is not None}
    return _spelled(names.key(one) for one in sorted(shifted))


@lru_cache(maxsize=16384)
def _downstreams(offset: Offset, key: str) -> tuple[str, ...]:
    zone, names = time_zone(offset.timezone), spelling(offset.output_format, offset.timezone)
    instants = spelling(offset.input_format, offset.timezone).instants(key)
    found = {
        here for there in instants for here in _candidates(offset, there, zone) if _shifted(offset, here, zone) == there
    }
    return _spelled(names.key(one) for one in sorted(found))


def _spelled(keys: Iterator[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for key in keys if key is not None))


def _shifted(offset: Offset, instant: datetime, zone: ZoneInfo) -> datetime | None:
    """An instant + the offset; ``None`` beyond the years that Python knows."""
    try:
        if offset.unit in _ELAPSED:
            return instant + offset.count * _ELAPSED[offset.unit]
        wall = instant.astimezone(zone)
        if instant == first_instant(wall.date(), zone):
            return first_instant(wall.date() + _dates(offset), zone)
        first, second = both_readings(wall.replace(tzinfo=None, fold=0) + _dates(offset), zone)
        # A skipped time: the first reading is the one that clocks had not been turned for, so it moves on.
        return second if wall.fold and first < second else first
    except (OverflowError, ValueError):  # both are raised for a year below 1 or above 9999
        return None


def _candidates(offset: Offset, instant: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """All instants that may be the given one, once shifted; some are not."""
    try:
        if offset.unit in _ELAPSED:
            yield instant - offset.count * _ELAPSED[offset.unit]
            return
        # A time that was skipped moved on, to where the wall clock shows something else: go back with the
        # difference to UTC of the day before, too.
        walls = {
            (instant + (moment.astimezone(zone).utcoffset() or timedelta())).replace(tzinfo=None)
            for moment in (instant, instant - timedelta(days=1))
        }
        for wall in walls:
            back = wall - _dates(offset)
            # The 29th, 30th and 31st may have become the last day of a shorter month.
            for more in range(4 if offset.unit in _MONTHS else 1):
                here = back + timedelta(days=more)
                yield first_instant(here.date(), zone)
                yield from instants_at(here, zone)
    except (OverflowError, ValueError):  # both are raised for a year below 1 or above 9999
        return


def _dates(offset: Offset) -> relativedelta:
    return relativedelta(
        days=offset.count * _DAYS.get(offset.unit, 0), months=offset.count * _MONTHS.get(offset.unit, 0)
    )
