"""Dependencies that can never be met, found in the document alone.

If the entry of an upstream determines its partitions (the days in Berlin, by a rollup), a downstream may require others
(the days in UTC). Such a dependency is never met, and nothing else would show it.

A pipeline without an entry may have any partition. So may one whose entry does not restrict its partitions. The others
are tried out on a sample of years: a dependency that is reported was not met once in it. Nothing is reported in doubt.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from coordinator.model.conditions import Condition, Dependency, leaves
from coordinator.model.cycles import back_in_time, find_cycles
from coordinator.model.dependencies import Document
from coordinator.model.partitions import (
    AllowedKey,
    Assets,
    Chain,
    FanOut,
    FixedKey,
    Identity,
    Latest,
    Offset,
    Period,
    Product,
    Rollup,
    SameInstant,
    Segments,
    StartOf,
    gathers,
    spelling,
    starts_between,
    time_zone,
    usual_every,
)
from coordinator.model.references import PipelineRef

_DEEPEST: Final = 50
"""Levels of upstreams that are checked; above them, anything is assumed to be possible."""

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class NeverMet:
    """A finding. :ivar pipeline: the downstream. :ivar reason: what it waits for, and why that does not come."""

    pipeline: PipelineRef
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.pipeline}: {self.reason}; {self.remedy}"


def never_met(document: Document) -> Iterator[NeverMet]:
    """The dependencies of a document that are never met, upstreams first. Downstreams of those are not reported again.

    :param document: without cycles, but those that go back in time.
    """
    search = _Search(document)
    back = back_in_time(find_cycles(document))
    waits_for = {
        pipeline: [
            leaf.pipeline
            for leaf in leaves(entry.condition)
            if leaf.pipeline in document and (pipeline, leaf.pipeline) not in back
        ]
        for pipeline, entry in document.items()
    }
    for pipeline in graphlib.TopologicalSorter(waits_for).static_order():
        yield from search.look_at(pipeline)


class _Search:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._candidates: dict[PipelineRef, Sequence[str] | None] = {}
        self._in_vain: set[PipelineRef] = set()
        self._known: dict[tuple[PipelineRef, str], bool] = {}

    def look_at(self, pipeline: PipelineRef) -> Iterator[NeverMet]:
        """Report the dependencies of a pipeline that are never met. To be called for its upstreams first."""
        condition = self._document[pipeline].condition
        self._candidates[pipeline] = candidates = self._of_condition(condition)
        for leaf in leaves(condition):
            if not self._touches(leaf):
                self._in_vain.add(pipeline)
                yield self._untouched(pipeline, leaf)
        if pipeline in self._in_vain or candidates is None:
            return
        if not any(self._can_hold(condition, candidate, 0) for candidate in candidates):
            self._in_vain.add(pipeline)
            yield self._nothing_in_common(pipeline, condition)

    # -- candidates: partitions among which all are in which something may hold; None where that may be any ----------

    def _of_condition(self, condition: Condition) -> Sequence[str] | None:
        if isinstance(condition, Dependency):
            return self._of_leaf(condition)
        known = [found for branch in condition.of if (found := self._of_condition(branch)) is not None]
        # Whatever is in n of the branches is in one of any (all - n + 1) of them.
        enough = len(condition.of) - condition.n + 1
        if len(known) < enough:
            return None
        smallest = sorted(known, key=len)[:enough]
        return smallest[0] if enough == 1 else tuple(dict.fromkeys(one for found in smallest for one in found))

    def _of_leaf(self, leaf: Dependency) -> Sequence[str] | None:
        match leaf.mapping:
            case Identity():
                return self._candidates.get(leaf.pipeline)
            case Offset() | SameInstant() | Chain() | Product() as mapping:
                above = self._candidates.get(leaf.pipeline)
                if above is None:
                    return None
                return tuple(dict.fromkeys(one for partition in above for one in mapping.downstreams(partition)))
            case AllowedKey(keys):
                return keys
            case FixedKey(key) | Segments(_, key):
                return (key,)
            case StartOf(period) | Rollup(period) as window:
                return _sample(period, window.timezone, window.output_format)
            case FanOut() as fan_out:
                return _sample(fan_out.every, fan_out.timezone, fan_out.output_format)
            case Latest() | Assets():
                return None

    # -- whether something may hold in a partition -------------------------------------------------------------------

    def _is_possible(self, pipeline: PipelineRef, partition: str, depth: int) -> bool:
        """Whether a pipeline may be started in a partition."""
        entry = self._document.get(pipeline)
        if entry is None or pipeline in self._in_vain or depth > _DEEPEST:
            return True  # this pipeline was reported already
        key = (pipeline, partition)
        if key not in self._known:
            self._known[key] = self._can_hold(entry.condition, partition, depth)
        return self._known[key]

    def _can_hold(self, condition: Condition, partition: str, depth: int) -> bool:
        if isinstance(condition, Dependency):
            return self._can_be_met(condition, partition, depth + 1)
        needed = condition.n
        for branch in condition.of:
            needed -= self._can_hold(branch, partition, depth)
            if needed == 0:
                return True
        return False

    def _can_be_met(self, leaf: Dependency, partition: str, depth: int) -> bool:
        match leaf.mapping:
            case Latest() | Assets():
                return True
            case FixedKey(key):
                return partition == key
            case StartOf(period, timezone, _, output_format):
                starts = Rollup(period, usual_every(period), timezone, output_format=output_format)
                return bool(starts.upstreams(partition))
            case mapping if gathers(mapping):
                return True
            case mapping:
                above = mapping.upstreams(partition)
                return any(self._is_possible(leaf.pipeline, one, depth) for one in above)

    # -- whether a dependency ever hears of its upstream -------------------------------------------------------------

    def _touches(self, leaf: Dependency) -> bool:
        """Whether any partition in which the upstream is started is an input of some partition."""
        above = self._candidates.get(leaf.pipeline)
        if above is None or leaf.pipeline in self._in_vain or isinstance(leaf.mapping, Identity | FixedKey | Latest):
            return True
        is_started = False
        for partition in above:
            if self._is_possible(leaf.pipeline, partition, 0):
                if leaf.mapping.downstreams(partition):
                    return True
                is_started = True
        return not is_started

    def _untouched(self, pipeline: PipelineRef, leaf: Dependency) -> NeverMet:
        there = ", ".join(self._examples(leaf.pipeline))
        reason = (
            f"'{leaf}' is never met: {leaf.pipeline} is started in partitions such as {there}, and none of them "
            f"{_asked_for(leaf)}"
        )
        return NeverMet(pipeline, reason, "let both name the same 'timezone' and the same formats")

    def _nothing_in_common(self, pipeline: PipelineRef, condition: Condition) -> NeverMet:
        named = []
        for leaf in dict.fromkeys(leaves(condition)):
            found = self._of_leaf(leaf)
            if found:
                possible = [one for one in found if self._can_be_met(leaf, one, 0)]
                named.append(f"'{leaf}' only such as {', '.join(_spread(possible or found)[:2])}")
        reason = f"it is never started, as no partition has enough of what it waits for: {'; '.join(named)}"
        return NeverMet(pipeline, reason, "let all of them name the same partitions ('timezone', formats, 'window')")

    def _examples(self, pipeline: PipelineRef) -> Sequence[str]:
        above = self._candidates.get(pipeline) or ()
        return _spread([one for one in above if self._is_possible(pipeline, one, 0)])


def _asked_for(leaf: Dependency) -> str:
    match leaf.mapping:
        case Rollup() as rollup if rollup.input_format is None:
            return f"begins a {rollup.every} in {rollup.timezone}"
        case FanOut() as fan_out if fan_out.input_format is None:
            return f"begins a {fan_out.window} in {fan_out.timezone}"
        case StartOf() | Rollup() | FanOut() | Offset() | SameInstant() as mapping if mapping.input_format is not None:
            return f"is what it reads, {mapping.input_format!r} in {mapping.timezone}"
        case AllowedKey() | Segments():
            return "is one of its keys"
        case Chain() | Product():
            return "is one that it maps"
        case _:
            return "is a date-time such as 2026-11-20T00:00:00Z"


def _spread(partitions: Sequence[str]) -> Sequence[str]:
    """A few of them from the whole year, in summer and winter time."""
    return partitions if len(partitions) <= _SHOWN else partitions[1 :: len(partitions) // _SHOWN][:_SHOWN]


def _range(begin: tuple[int, int, int], end: tuple[int, int, int]) -> tuple[datetime, datetime]:
    return datetime(*begin, tzinfo=UTC), datetime(*end, tzinfo=UTC)


_DAYS: Final = (
    _range((2025, 12, 31), (2026, 1, 7)),
    _range((2026, 5, 31), (2026, 6, 3)),
    _range((2026, 6, 30), (2026, 7, 3)),
)
"""In winter and summer, with starts of weeks, months, quarters and a year."""

_RANGES: Final = {
    Period.MINUTE: _DAYS,
    Period.HOUR: _DAYS,
    Period.DAY: (_range((2026, 1, 1), (2027, 2, 10)),),
    Period.WEEK: (_range((2026, 1, 1), (2032, 1, 10)),),
    Period.MONTH: (_range((2026, 1, 1), (2038, 1, 10)),),
    Period.QUARTER: (_range((2026, 1, 1), (2054, 1, 10)),),
    Period.YEAR: (_range((2026, 1, 1), (2054, 1, 10)),),
}
"""The longer the period, the longer the sample: in 28 years the first of a month is every day of the week."""


@lru_cache(maxsize=256)
def _sample(period: Period, timezone: str, output_format: str | None) -> tuple[str, ...]:
    """Partitions that name starts of a period."""
    zone, names = time_zone(timezone), spelling(output_format, timezone)
    keys = [names.key(start) for begin, end in _RANGES[period] for start in starts_between(period, begin, end, zone)]
    return tuple(dict.fromkeys(key for key in keys if key is not None))
