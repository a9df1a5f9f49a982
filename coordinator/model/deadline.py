"""Deadlines: by when a downstream pipeline should have run in a partition (docs/dependencies.md).

Nothing here reads a clock: a deadline is a moment, and the caller compares it with the present time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from coordinator.model.durations import after, format_duration
from coordinator.model.partitions.calendar import instants_at, time_zone
from coordinator.model.partitions.instants import parse_instant

MOST_DAYS: Final = 366
"""Days between a partition's date and its deadline. More is a mistake."""


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A time on the wall clock of a place, so many days after the partition's own date there.

    :ivar at: without a time zone, to the minute or second.
    :ivar days: 0 is the partition's own date, 1 the day after.
    :ivar timezone: a place of the IANA time zone database.
    :raises ValueError: the time has a time zone of its own, the days are out of bounds, or the place is unknown.
    """

    at: time
    days: int = 0
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if self.at.tzinfo is not None:
            raise ValueError(f"expected a time of day on the wall clock of 'timezone'; found {self.at.isoformat()!r}")
        if not 0 <= self.days <= MOST_DAYS:
            raise ValueError(f"days: expected 0 to {MOST_DAYS}; found {self.days}")
        time_zone(self.timezone)

    def for_partition(self, partition: str) -> datetime | None:
        """The moment, in UTC; ``None`` for a partition that is neither a date-time nor a date (``2026-11-20``).

        A time that clocks skip on that day means the moment at which they are turned; one that they show twice
        means the first time.
        """
        zone = time_zone(self.timezone)
        try:
            instant = parse_instant(partition)
            day = date.fromisoformat(partition) if instant is None else instant.astimezone(zone).date()
            if instant is None and day.isoformat() != partition:
                return None  # fromisoformat also reads 20261120 and 2026-W47-5
            return instants_at(datetime.combine(day + timedelta(days=self.days), self.at), zone)[0]
        except (ValueError, OverflowError):  # no date, or none that Python can count on from (year 9999)
            return None

    def first_after(self, moment: datetime) -> datetime | None:
        """The first such time of day after a moment, in UTC, whatever ``days`` says; ``None`` past Python's last day.

        :param moment: aware.
        """
        zone = time_zone(self.timezone)
        try:
            day = moment.astimezone(zone).date()
            candidates = (instants_at(datetime.combine(day + timedelta(days=n), self.at), zone)[0] for n in range(3))
            return next(one for one in candidates if one > moment)
        except (ValueError, OverflowError):
            return None

    def __str__(self) -> str:
        after = {0: "", 1: " on the day after"}.get(self.days, f" {self.days} days after")
        return f"{self.at.isoformat('auto' if self.at.second else 'minutes')}{after} ({self.timezone})"


@dataclass(frozen=True, slots=True)
class AfterFirstInput:
    """So long after the first input of the partition arrived.

    :raises ValueError: the duration is not positive.
    """

    duration: timedelta

    def __post_init__(self) -> None:
        if self.duration <= timedelta():
            raise ValueError(f"expected a duration longer than nothing; found {format_duration(self.duration)!r}")

    def since(self, first_input: datetime) -> datetime:
        """The moment.

        :param first_input: when the first input arrived, aware.
        """
        return after(first_input, self.duration)

    def __str__(self) -> str:
        return f"{format_duration(self.duration)} after the first input"


Deadline = TimeOfDay | AfterFirstInput
