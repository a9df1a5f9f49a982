"""How a partition spells an instant: in the canonical form of ``partitions``, or by a pattern on the local wall clock.

A partition names an instant only if spelling that instant gives the partition again; so ``2026-11-20T00:00:00+00:00``
is not the partition ``2026-11-20T00:00:00Z``, and ``2026-02-30`` is no date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from coordinator.model.partitions.calendar import Period, instants_at, start_of, time_zone
from coordinator.model.partitions.instants import format_instant, parse_instant
from coordinator.model.partitions.refusal import MappingError

_YEARS: Final = range(2, 9998)
"""An instant of another year has no neighbours that Python can compute: on the last day of 9998 in UTC a wall clock in
the east shows 9999 already, and where the year after that begins is asked for, too."""

_DIRECTIVES: Final[Mapping[str, tuple[str, Callable[[datetime], str]]]] = {
    "%Y": (r"[0-9]{4}", lambda wall: f"{wall.year:04}"),
    "%m": (r"[0-9]{2}", lambda wall: f"{wall.month:02}"),
    "%d": (r"[0-9]{2}", lambda wall: f"{wall.day:02}"),
    "%H": (r"[0-9]{2}", lambda wall: f"{wall.hour:02}"),
    "%M": (r"[0-9]{2}", lambda wall: f"{wall.minute:02}"),
    "%S": (r"[0-9]{2}", lambda wall: f"{wall.second:02}"),
    "%f": (r"[0-9]{6}", lambda wall: f"{wall.microsecond:06}"),
    "%j": (r"[0-9]{3}", lambda wall: f"{wall.timetuple().tm_yday:03}"),
    "%G": (r"[0-9]{4}", lambda wall: f"{wall.isocalendar().year:04}"),
    "%V": (r"[0-9]{2}", lambda wall: f"{wall.isocalendar().week:02}"),
    "%u": (r"[1-7]", lambda wall: f"{wall.isoweekday()}"),
    "%z": (r"[+-][0-9]{4}(?:[0-9]{2})?", lambda wall: wall.strftime("%z")),
    "%%": (r"%", lambda _: "%"),
    "{quarter}": (r"[1-4]", lambda wall: f"{(wall.month + 2) // 3}"),
}
"""What a pattern may hold: the directives of strftime that are the same in every locale and on every platform, and
Airflow's ``{quarter}``. For each, how it is matched and how it is written (strftime itself pads no years)."""

_ABBREVIATIONS: Final = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M"}
_TOKEN = re.compile(r"%.|\{[^{}]*\}|[%{}]|[^%{}]+", re.DOTALL)


class Spelling:
    """The spelling of partitions on one side of a mapping. Immutable; equal arguments give the same object.

    :param pattern: ``None``: the canonical form of ``partitions.format_instant``.
    :param timezone: the place whose wall clock a pattern is about.
    :raises ValueError: the pattern, or the time zone, cannot be used.
    """

    def __init__(self, pattern: str | None, timezone: str) -> None:
        self._zone = time_zone(timezone)
        self._pattern = None if pattern is None else _Pattern.of(pattern)

    def key(self, instant: datetime) -> str | None:
        """The partition that names an instant; ``None`` when none does, as a date names no noon."""
        if self._pattern is None:
            return format_instant(instant) if instant.year in _YEARS else None
        key = self._pattern.written(instant.astimezone(self._zone))
        return key if instant in self.instants(key) else None

    def instants(self, key: str) -> tuple[datetime, ...]:
        """The instants, in UTC and in order, that a partition names: mostly one; two where clocks were turned back and
        the pattern does not tell; none for another kind of partition."""
        if self._pattern is None:
            instant = parse_instant(key)
            if instant is None or instant.year not in _YEARS or format_instant(instant) != key:
                return ()
            return (instant,)
        wall = self._pattern.read(key)
        if wall is None or wall.year not in _YEARS:
            return ()
        named = (wall.astimezone(UTC),) if wall.tzinfo is not None else instants_at(wall, self._zone)
        return tuple(one for one in named if self._pattern.written(one.astimezone(self._zone)) == key)


@lru_cache(maxsize=1024)
def spelling(pattern: str | None, timezone: str) -> Spelling:
    return Spelling(pattern, timezone)


@lru_cache(maxsize=1024)
def require_names_for(period: Period, pattern: str | None, timezone: str, *, field: str) -> None:
    """Refuse a pattern that does not give each period of a kind a name of its own, which can be read back.

    :param field: what to call the pattern in messages.
    :raises MappingError: with a period that the pattern loses.
    """
    require_readable(pattern, timezone, field=field)
    names, zone = spelling(pattern, timezone), time_zone(timezone)
    for sample in _SAMPLES:
        start = start_of(period, sample, zone)
        if names.key(start) is None:
            reason = f"{pattern!r} does not tell one {period} from another: the one that begins at"
            raise MappingError(field, f"{reason} {format_instant(start)} cannot be read back")


def require_readable(pattern: str | None, timezone: str, *, field: str) -> None:
    """Refuse a pattern from which no instant can be read, or an unknown time zone.

    :raises MappingError: with the reason.
    """
    try:
        time_zone(timezone)
    except ValueError as error:
        raise MappingError("timezone", str(error)) from None
    try:
        spelling(pattern, timezone)
    except ValueError as error:
        raise MappingError(field, str(error)) from None


def in_words(input_format: str | None, output_format: str | None) -> str:
    """How a mapping's two sides are spelled, for the end of its description; empty for the canonical form."""
    sides = {"upstream": input_format, "downstream": output_format}
    return "".join(f", {side} as {pattern!r}" for side, pattern in sides.items() if pattern is not None)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A pattern, taken apart: literal texts and directives."""

    parts: tuple[str, ...]
    shape: re.Pattern[str]

    @classmethod
    def of(cls, pattern: str) -> _Pattern:
        """:raises ValueError: a directive is unknown, or the date cannot be read back."""
        expanded = re.sub("%.", lambda found: _ABBREVIATIONS.get(found.group(), found.group()), pattern)
        parts = tuple(_TOKEN.findall(expanded))
        shape, groups = "", set[str]()
        for part in parts:
            if part[0] not in "%{}":
                shape += re.escape(part)
                continue
            if part not in _DIRECTIVES:
                known = ", ".join(_DIRECTIVES)
                raise ValueError(f"{pattern!r} holds {part!r}; expected literal text and {known}")
            group = part.strip("%{}")
            if not group:
                shape += re.escape("%")
            elif group in groups:
                shape += f"(?P={group})"
            else:
                groups.add(group)
                shape += f"(?P<{group}>{_DIRECTIVES[part][0]})"
        if "Y" not in groups and not {"G", "V"} <= groups:
            raise ValueError(f"{pattern!r} holds no year; expected '%Y', or '%G' with '%V' for ISO weeks")
        return cls(parts, re.compile(shape))

    def written(self, wall: datetime) -> str:
        return "".join(_DIRECTIVES[part][1](wall) if part[0] in "%{" else part for part in self.parts)

    def read(self, key: str) -> datetime | None:
        """The local time; with an offset if the pattern has one. What is left out is the first one possible."""
        match = self.shape.fullmatch(key)
        if match is None:
            return None
        found = match.groupdict()
        numbers = {name: int(text) for name, text in found.items() if name != "z"}
        try:
            day = _date(numbers)
            wall = datetime(
                day.year,
                day.month,
                day.day,
                numbers.get("H", 0),
                numbers.get("M", 0),
                numbers.get("S", 0),
                numbers.get("f", 0),
            )
            return wall if "z" not in found else wall.replace(tzinfo=datetime.strptime(found["z"], "%z").tzinfo)
        except (ValueError, OverflowError):
            return None  # the 30th of February: of the right shape, and no date


def _date(numbers: Mapping[str, int]) -> date:
    """:raises ValueError: there is no such date."""
    if "Y" not in numbers:
        return date.fromisocalendar(numbers["G"], numbers["V"], numbers.get("u", 1))
    year = numbers["Y"]
    if "j" in numbers:
        return date(year, 1, 1) + timedelta(days=numbers["j"] - 1)
    month = numbers.get("m", 3 * numbers["quarter"] - 2 if "quarter" in numbers else 1)
    return date(year, month, numbers.get("d", 1))


_SAMPLES: Final = tuple(
    datetime(2019, 12, 30, 23, 59, 59, tzinfo=UTC) + timedelta(days=37 * step, hours=5 * step, minutes=7 * step)
    for step in range(60)
)
"""Six years' worth of moments, in every month, at every hour, around the ends of years with and without week 53."""
