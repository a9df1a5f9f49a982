"""Mappings between periods of unequal length, on the wall clock of a place.

``StartOf``  many finer partitions feed the period that they begin in; how many there will be is not known
``Rollup``   a period needs each shorter one that begins in it
``FanOut``   a period feeds each shorter one that begins in it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from coordinator.model.partitions.calendar import Period, next_start, start_of, starts_between, time_zone
from coordinator.model.partitions.refusal import MappingError
from coordinator.model.partitions.spelling import in_words, require_names_for, require_readable, spelling

ALL: Final = "all"
Wait = Literal["all"] | int
"""How many of a window's partitions must be there: all; ``n`` > 0: at least so many; ``n`` < 0: all but so many."""

MEMBER_LIMIT: Final = 1500
"""Every decision about a downstream partition looks at all of its inputs."""

MOST_MEMBERS: Final[Mapping[Period, Mapping[Period, int]]] = {
    Period.HOUR: {Period.MINUTE: 60},
    Period.DAY: {Period.HOUR: 25, Period.MINUTE: 1500},
    Period.WEEK: {Period.DAY: 7, Period.HOUR: 169},
    Period.MONTH: {Period.DAY: 31, Period.HOUR: 745, Period.WEEK: 5},
    Period.QUARTER: {Period.MONTH: 3, Period.DAY: 92, Period.WEEK: 14},
    Period.YEAR: {Period.MONTH: 12, Period.DAY: 366, Period.WEEK: 53, Period.QUARTER: 4},
}
"""Which windows are made of which periods, and of how many at most; the usual ones first (they are Airflow's
``FanOutMapper`` defaults). A week, month or quarter belongs to the window that it begins in."""


def usual_every(window: Period) -> Period:
    """What a window is made of when nothing is said.

    :raises MappingError: nothing is shorter than a minute.
    """
    if window not in MOST_MEMBERS:
        raise MappingError("window", f"expected {' or '.join(MOST_MEMBERS)}; found {str(window)!r}")
    return next(iter(MOST_MEMBERS[window]))


@dataclass(frozen=True, slots=True)
class StartOf:
    """Airflow's ``StartOfHourMapper`` ... ``StartOfYearMapper``: a partition feeds the period that it lies in.

    Open towards upstream: which partitions will come is not known beforehand.

    :ivar input_format: how the upstream's partitions spell instants; ``None``: as ``partitions.format_instant``.
    :ivar output_format: how the downstream's partitions spell the starts of the periods.
    :raises MappingError: the period is a minute, the time zone is unknown, or a format cannot be read back.
    """

    period: Period
    timezone: str = "UTC"
    input_format: str | None = None
    output_format: str | None = None

    def __post_init__(self) -> None:
        if self.period not in MOST_MEMBERS:
            raise MappingError("period", f"expected {' or '.join(MOST_MEMBERS)}; found {str(self.period)!r}")
        require_readable(self.input_format, self.timezone, field="input_format")
        require_names_for(self.period, self.output_format, self.timezone, field="output_format")

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        """The downstream partitions that an upstream partition feeds: one; none when it is no date-time."""
        return _starts_over(self.period, self.timezone, self.input_format, self.output_format, upstream)

    def feeds(self, upstream: str, downstream: str) -> bool:
        """Whether an upstream partition is among the inputs of a downstream partition."""
        return downstream in self.downstreams(upstream)

    def __str__(self) -> str:
        return f"start of {self.period}{_told(self)}"


@dataclass(frozen=True, slots=True)
class Rollup:
    """Airflow's ``RollupMapper``: a period needs all shorter ones that begin in it, or enough of them.

    :ivar window: the period of the downstream's partitions.
    :ivar every: the period of the upstream's.
    :ivar wait: see :data:`Wait`.
    :ivar input_format: how the upstream's partitions spell the starts of ``every``.
    :ivar output_format: how the downstream's partitions spell the starts of the window.
    :raises MappingError: no window is made so, too few are in it, the time zone is unknown, or a format cannot be
        read back.
    """

    window: Period
    every: Period
    timezone: str = "UTC"
    wait: Wait = ALL
    input_format: str | None = None
    output_format: str | None = None

    def __post_init__(self) -> None:
        most = _require_members(self.window, self.every)
        require_names_for(self.every, self.input_format, self.timezone, field="input_format")
        require_names_for(self.window, self.output_format, self.timezone, field="output_format")
        require_wait(self.wait, most, f"no {self.window} has more {self.every}s")

    def needed(self, members: int) -> int:
        """How many of a window's partitions must be there: at least one, at most all."""
        return needed(self.wait, members)

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        """The upstream partitions in a downstream partition, in order; none when it is not the start of a window."""
        return _within(self.window, self.every, self.timezone, self.output_format, self.input_format, downstream)

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        """The downstream partition that an upstream partition is part of; none when it is not a start of ``every``."""
        return _around(self.window, self.every, self.timezone, self.output_format, self.input_format, upstream)

    def __str__(self) -> str:
        return f"rollup of the {self.window}'s {self.every}s{_told(self)}{wait_in_words(self.wait)}"


@dataclass(frozen=True, slots=True)
class FanOut:
    """Airflow's ``FanOutMapper``: a period feeds all shorter ones that begin in it; each needs the one it lies in.

    :ivar window: the period of the upstream's partitions.
    :ivar every: the period of the downstream's.
    :ivar input_format: how the upstream's partitions spell the starts of the window.
    :ivar output_format: how the downstream's partitions spell the starts of ``every``.
    :raises MappingError: no window is made so, the time zone is unknown, or a format cannot be read back.
    """

    window: Period
    every: Period
    timezone: str = "UTC"
    input_format: str | None = None
    output_format: str | None = None

    def __post_init__(self) -> None:
        _require_members(self.window, self.every)
        require_names_for(self.window, self.input_format, self.timezone, field="input_format")
        require_names_for(self.every, self.output_format, self.timezone, field="output_format")

    def upstreams(self, downstream: str) -> tuple[str, ...]:
        """The upstream partition that a downstream partition lies in; none when it is not a start of ``every``."""
        return _around(self.window, self.every, self.timezone, self.input_format, self.output_format, downstream)

    def downstreams(self, upstream: str) -> tuple[str, ...]:
        """The downstream partitions in an upstream partition, in order; none when it is not the start of a window."""
        return _within(self.window, self.every, self.timezone, self.input_format, self.output_format, upstream)

    def __str__(self) -> str:
        return f"fan-out to the {self.window}'s {self.every}s{_told(self)}"


def require_wait(wait: Wait, most: int, because: str) -> None:
    """:raises MappingError: a roll-up of so many cannot wait so."""
    if wait == 0:
        raise MappingError("wait", "0 would never wait; expected 'all', a least number, or a negative number")
    if wait != ALL and wait > most:
        raise MappingError("wait", f"expected at most {most}, as {because}; found {wait}")


def needed(wait: Wait, members: int) -> int:
    """How many of so many must be there: at least one, at most all."""
    if wait == ALL:
        return members
    return min(wait, members) if wait > 0 else max(1, members + wait)


def wait_in_words(wait: Wait) -> str:
    if wait == ALL:
        return ""
    return f", at least {wait}" if wait > 0 else f", {-wait} may be missing"


def _require_members(window: Period, every: Period) -> int:
    usual_every(window)
    made_of = MOST_MEMBERS[window]
    if every not in made_of:
        order = list(Period)
        shorter = order.index(every) < order.index(window)
        reason = f"has more than {MEMBER_LIMIT} {every}s" if shorter else f"is not made of {every}s"
        expected = " or ".join(repr(str(one)) for one in made_of)
        raise MappingError("every", f"a {window} {reason}; expected {expected}")
    return made_of[every]


def _told(mapping: StartOf | Rollup | FanOut) -> str:
    """The time zone and the spelling, in words: different mappings have different descriptions."""
    place = "" if mapping.timezone == "UTC" else f" ({mapping.timezone})"
    return place + in_words(mapping.input_format, mapping.output_format)


# Cached results of the calendar: each mapping of a completion's dependents is applied to it, and many dependents share
# a mapping. A window has up to 1,500 members, so fewer windows are cached than single results.


@lru_cache(maxsize=16384)
def _starts_over(period: Period, timezone: str, fine: str | None, coarse: str | None, key: str) -> tuple[str, ...]:
    zone, names = time_zone(timezone), spelling(coarse, timezone)
    starts = (start_of(period, instant, zone) for instant in spelling(fine, timezone).instants(key))
    return _distinct(names.key(start) for start in starts)


@lru_cache(maxsize=16384)
def _around(
    window: Period, every: Period, timezone: str, coarse: str | None, fine: str | None, key: str
) -> tuple[str, ...]:
    """The windows around a member, spelled."""
    zone, names = time_zone(timezone), spelling(coarse, timezone)
    members = (one for one in spelling(fine, timezone).instants(key) if start_of(every, one, zone) == one)
    return _distinct(names.key(start_of(window, member, zone)) for member in members)


@lru_cache(maxsize=512)
def _within(
    window: Period, every: Period, timezone: str, coarse: str | None, fine: str | None, key: str
) -> tuple[str, ...]:
    """The members of a window, spelled."""
    zone, names = time_zone(timezone), spelling(fine, timezone)
    windows = (one for one in spelling(coarse, timezone).instants(key) if start_of(window, one, zone) == one)
    return _distinct(
        names.key(member)
        for start in windows
        for member in starts_between(every, start, next_start(window, start, zone), zone)
    )


def _distinct(keys: Iterable[str | None]) -> tuple[str, ...]:
    """Two members may share a name: where clocks are turned back, a pattern may not tell an hour from the next."""
    return tuple(dict.fromkeys(key for key in keys if key is not None))
