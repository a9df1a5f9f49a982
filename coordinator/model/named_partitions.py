"""Resolving typed partitions: several spellings name one moment, and a pipeline's partitions use one of them.

The known partitions of the pipeline decide. If it has exactly the typed partition, that one is meant. Otherwise a typed
date or date-time names a moment (in UTC if it has no zone), and the partition of that moment is meant.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coordinator.model.alike import alike
from coordinator.model.partitions.instants import A_MOMENT, format_instant, parse_instant, partition_order

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    _DATE.pattern + r"(?:[T ][0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_LOCAL = re.compile(_DATE.pattern + r"T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_NEAREST = 3
_ALIKE = 0.8
"""The ratio of difflib from which on one partition may be a typing error for the other."""


@dataclass(frozen=True, slots=True)
class NamedPartition:
    """The meaning of a typed text.

    :ivar partition: a known partition, or the canonical form of a new one.
    :ivar known: the pipeline, or an upstream of it through a mapping, has this partition.
    :ivar near: known partitions that may have been meant instead; only if it is not known.
    :ivar newest: the newest known ones; only if it is not known.
    """

    partition: str
    known: bool
    near: tuple[str, ...] = ()
    newest: tuple[str, ...] = ()


def read_moment(text: str) -> datetime | None:
    """The moment that a date or a date-time names, in UTC; ``None`` for any other text.

    A date names its midnight. Seconds and minutes may be left out. Without a time zone it is in UTC.
    """
    if not _MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def named_partition(typed: str, known: Collection[str]) -> NamedPartition:
    """The partition that a person means.

    A new date-time gets the canonical form of :mod:`~coordinator.model.partitions.instants`. A new date stays a date,
    unless most partitions of the pipeline are date-times: writers outside Airflow may use dates alone. A new date-time
    in local time stays one if most partitions are such: Airflow's timetables spell partition keys so.

    :param known: the partitions of the pipeline, and those that follow from its upstreams.
    """
    if typed in known:
        return NamedPartition(typed, known=True)
    moment = read_moment(typed)
    if moment is None:
        return NamedPartition(typed, known=False, near=_near(typed, known), newest=_newest(known))
    usual = format_instant(moment)
    if usual in known:
        return NamedPartition(usual, known=True)
    same = [one for one in known if read_moment(one) == moment]
    if len(same) == 1 and typed != usual:  # the canonical form in full is taken literally
        return NamedPartition(same[0], known=True)
    is_kept = _mostly_local(known) if is_local(typed) else is_date(typed) and not _mostly_date_times(known)
    partition = typed if is_kept else usual
    near = (*same, *(one for one in _near(typed, known) if one not in same))
    return NamedPartition(partition, known=False, near=near[:_NEAREST], newest=_newest(known))


def spellings(typed: str) -> set[str]:
    """A partition as it is typed, and in the canonical form of its moment."""
    moment = read_moment(typed)
    return {typed} if moment is None else {typed, format_instant(moment)}


def canonical(typed: str) -> str:
    """A partition in the canonical form of its moment, where it is a date-time with a time zone; anything else as it is
    typed. A date-time without one is how Airflow's timetables and mappers spell partition keys."""
    moment = read_moment(typed)
    return typed if moment is None or datetime.fromisoformat(typed).tzinfo is None else format_instant(moment)


def is_spelled_freely(typed: str) -> bool:
    """Whether it names a moment in another form than the canonical one, so that its meaning depends on what is
    known."""
    moment = read_moment(typed)
    return moment is not None and typed != format_instant(moment)


@dataclass(frozen=True, slots=True)
class Span:
    """A span of partitions, by the moments that they name, including both ends.

    :ivar since: ``None``: from the first one on.
    :ivar until: ``None``: up to the last one.
    """

    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def typed(cls, since: str | None, until: str | None) -> Span:
        """Parse typed dates or date-times. A date as the end means the whole day.

        :raises ValueError: it is neither, or the end comes before the beginning.
        """
        first, last = (None if text is None else _require_moment(text) for text in (since, until))
        if last is not None and until is not None and is_date(until):
            last += timedelta(days=1) - timedelta.resolution
        if first is not None and last is not None and last < first:
            raise ValueError(f"expected an end after the beginning; found {since} to {until}")
        return cls(first, last)

    def __contains__(self, partition: str) -> bool:
        """Whether a partition lies in it. One that names no moment lies only in a span without ends."""
        if self.since is None and self.until is None:
            return True
        moment = read_moment(partition)
        if moment is None:
            return False
        return (self.since is None or self.since <= moment) and (self.until is None or moment <= self.until)


def _require_moment(text: str) -> datetime:
    moment = read_moment(text)
    if moment is None:
        raise ValueError(f"expected {A_MOMENT}; found {text!r}")
    return moment


def is_date(text: str) -> bool:
    """Whether it is written as a date."""
    return _DATE.fullmatch(text) is not None


def is_local(text: str) -> bool:
    """Whether it is written as Airflow writes a moment in a partition key, if nothing else is said: in local time."""
    return _LOCAL.fullmatch(text) is not None


def _mostly_local(known: Collection[str]) -> bool:
    return 2 * sum(map(is_local, known)) > len(known)


def _mostly_date_times(known: Collection[str]) -> bool:
    dates = sum(is_date(one) for one in known)
    return sum(parse_instant(one) is not None for one in known) > dates


def _near(typed: str, known: Collection[str]) -> tuple[str, ...]:
    """For a moment, the newest of its date; else the newest with the same beginning, then similar ones."""
    if read_moment(typed) is not None:  # any two moments look alike
        return _newest(one for one in known if one.startswith(typed[: len("2026-11-20")]))
    found = _newest(one for one in known if one.startswith(typed) or typed.startswith(one))
    return tuple(dict.fromkeys((*found, *alike(typed, known, most=_NEAREST, cutoff=_ALIKE))))


def _newest(partitions: Iterable[str]) -> tuple[str, ...]:
    return tuple(heapq.nlargest(_NEAREST, partitions, key=partition_order))
