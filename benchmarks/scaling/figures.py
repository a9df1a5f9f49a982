"""The result of a measurement: a figure at each size, and the ratio of the largest to the smallest."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    :ivar at: the figure by size (a number of pipelines, of keys, of partitions).
    :ivar ratio: the ratio to compare with the goal; ``None``: there is none.
    :ivar spread: lower and upper quartile of the ratio over the rounds, if there were rounds.
    :ivar goal: the greatest acceptable ratio.
    """

    what: str
    unit: str
    at: Mapping[str, float]
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    goal: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; ``None`` without one."""
        return None if self.goal is None or self.ratio is None else self.ratio <= self.goal


def paired(what: str, unit: str, rounds: Mapping[str, Sequence[float]], *, goal: float | None = None) -> Figure:
    """The ratio of the last size to the first, by rounds: the machine's speed in a round affects both.

    :param rounds: for each size, from the smallest on, the figure of each round.
    """
    names = list(rounds)
    ratios = [large / small for small, large in zip(rounds[names[0]], rounds[names[-1]], strict=True)]
    at = {name: statistics.median(values) for name, values in rounds.items()}
    lower, ratio, upper = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Figure(what, unit, at, ratio, (lower, upper), goal)


def single(what: str, unit: str, at: Mapping[str, float], *, goal: float | None = None) -> Figure:
    """The ratio of the last figure to the first, each measured once."""
    values = list(at.values())
    return Figure(what, unit, at, values[-1] / values[0] if len(values) > 1 and values[0] else None, goal=goal)
