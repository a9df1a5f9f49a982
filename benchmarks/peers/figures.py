"""What was measured, and what is said of it: medians and quartiles, and ratios beside the floor of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.peers.judging import FanOut, Wave
from benchmarks.peers.means import DIRECT


@dataclass
class Measured:
    """By the name of the means, in the order in which it came.

    :ivar again: what ran again, in words, by the pipeline that was cleared.
    """

    waves: dict[str, list[Wave]] = field(default_factory=dict)
    fan_outs: dict[str, list[FanOut]] = field(default_factory=dict)
    again: dict[str, dict[str, list[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """:ivar low: the first quartile. :ivar high: the third."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """``None``: there are no values."""
        if not values:
            return None
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))


@dataclass(frozen=True)
class Row:
    """What is said about one of the means.

    :ivar from_run: see :class:`Wave`.
    :ivar ratio: of the medians of ``from_run``: this one's and the floor's.
    :ivar ratio_from_task: of the medians of ``from_task``.
    :ivar again: different outcomes of the clears, by pipeline.
    :ivar started: the fewest pipelines that a fan-out has started.
    """

    means: str
    waves: int
    ended: int
    once: int
    from_run: Spread | None
    ratio: float | None
    from_task: Spread | None
    ratio_from_task: float | None
    again: dict[str, str]
    started: int | None
    last_start: Spread | None
    last_end: Spread | None


def rows(measured: Measured) -> list[Row]:
    """In the order of the means."""
    floor = measured.waves[DIRECT.name]
    return [_row(name, measured, floor) for name in measured.waves]


def _row(name: str, measured: Measured, floor: Sequence[Wave]) -> Row:
    waves, fans = measured.waves[name], measured.fan_outs.get(name, [])
    from_run, from_task = _spread_from_run(waves), _spread_from_task(waves)
    return Row(
        name,
        len(waves),
        sum(wave.ended for wave in waves),
        sum(wave.once for wave in waves),
        from_run,
        _ratio(from_run, _spread_from_run(floor)),
        from_task,
        _ratio(from_task, _spread_from_task(floor)),
        {cleared: _different(said) for cleared, said in measured.again.get(name, {}).items()},
        min((fan.started for fan in fans), default=None),
        Spread.of([fan.last_start for fan in fans if fan.last_start is not None]),
        Spread.of([fan.last_end for fan in fans if fan.last_end is not None]),
    )


def _spread_from_run(waves: Sequence[Wave]) -> Spread | None:
    return Spread.of([wave.from_run for wave in waves if wave.from_run is not None])


def _spread_from_task(waves: Sequence[Wave]) -> Spread | None:
    return Spread.of([wave.from_task for wave in waves if wave.from_task is not None])


def _ratio(ours: Spread | None, floor: Spread | None) -> float | None:
    return None if ours is None or floor is None else ours.median / floor.median


def _different(said: Sequence[str]) -> str:
    """Each outcome, with how often it came where there are several."""
    counts: Mapping[str, int] = {one: said.count(one) for one in dict.fromkeys(said)}
    if len(counts) == 1:
        return said[0]
    return " / ".join(f"{one} ({count} of {len(said)})" for one, count in counts.items())
