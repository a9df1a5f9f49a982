"""The cost of a partition mapping: an hourly pipeline and one below it, with each mapping, in the model alone.

A day of 24 hourly completions, after a short and after a long history, alternating. Unlike identity, a roll-up looks at
all hours of its day with each of them, and runs once. The length of the history must not matter for any mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.scaling.alone import ModelAlone
from benchmarks.scaling.counting import counting
from benchmarks.scaling.figures import Figure, paired, single
from benchmarks.scaling.flatness import EXAMINED_GOAL, GOAL
from benchmarks.scaling.ring import ACTIVE_SINCE, FIRST_REVISION, partition, past_attempt, past_record
from coordinator.model.conditions import Dependency, all_of
from coordinator.model.consumption import Consumed
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions import Identity, Latest, Period, Rollup, StartOf
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import TriggerRecord

HOURLY, OTHER, BELOW = (PipelineRef("default", name) for name in ("hourly", "other", "below"))
DAY = 24


@dataclass(frozen=True)
class Shape:
    """The dependencies of BELOW.

    :ivar by_day: its partitions are days, not hours.
    :ivar runs_in_a_day: how often it runs when the hours complete one after another.
    """

    dependencies: tuple[Dependency, ...]
    by_day: bool = False
    runs_in_a_day: int = DAY

    def graph(self) -> Graph:
        condition = all_of(*self.dependencies)
        return Graph([Node(Downstream(BELOW, condition), dict.fromkeys(self.dependencies, ACTIVE_SINCE))])

    def past(self, days: int) -> Iterator[tuple[Target, RunState, TriggerRecord | None]]:
        for day in range(days):
            hours = [partition(DAY * day + hour) for hour in range(DAY)]
            for name in hours:
                yield Target(HOURLY, name), _success(name), None
            for inputs in [hours] if self.by_day else [[name] for name in hours]:
                consumed = {
                    Target(HOURLY, name): Consumed(FIRST_REVISION, past_attempt(name), State.SUCCESS) for name in inputs
                }
                yield Target(BELOW, inputs[0]), _success(inputs[0]), past_record(inputs[0], consumed)
        if any(dependency.upstream == OTHER for dependency in self.dependencies):
            yield Target(OTHER, partition(0)), _success(partition(0)), None


SHAPES: Mapping[str, Shape] = {
    "identity": Shape((Dependency(HOURLY, mapping=Identity()),)),
    "roll-up": Shape((Dependency(HOURLY, mapping=Rollup(Period.DAY, Period.HOUR)),), by_day=True, runs_in_a_day=1),
    "start of day": Shape((Dependency(HOURLY, mapping=StartOf(Period.DAY)),), by_day=True),
    "latest as a gate": Shape((Dependency(HOURLY), Dependency(OTHER, mapping=Latest(), trigger=False))),
}


def measure(depths: Sequence[int], *, rounds: int, progress: Callable[[], None] = lambda: None) -> list[Figure]:
    """A day through each mapping after so many days of the past.

    :param depths: numbers of days, from the smallest on.
    """
    figures: list[Figure] = []
    of_identity: list[float] = []
    for name, shape in SHAPES.items():
        worlds = {f"after {depth:,} days": ModelAlone(shape.graph(), shape.past(depth)) for depth in depths}
        times: dict[str, list[float]] = {size: [] for size in worlds}
        for round_ in range(rounds):
            for (size, model), depth in zip(worlds.items(), depths, strict=True):
                times[size].append(_timed(model, shape, depth + round_))
            progress()
        keys = {}
        for (size, model), depth in zip(worlds.items(), depths, strict=True):
            with counting(model.facts) as examined:
                run_a_day(model, depth + rounds)
            keys[size] = examined.keys / DAY
        figures.append(paired(f"{name}: CPU time each", "µs", times, goal=GOAL))
        figures.append(single(f"{name}: keys examined each", "", keys, goal=EXAMINED_GOAL))
        of_identity = of_identity or times[next(iter(times))]
        if name != "identity":
            beside = {"identity": of_identity, "mapped": times[next(iter(times))]}
            figures.append(paired(f"{name}: beside identity", "µs", beside))
    return figures


def run_a_day(model: ModelAlone, day: int) -> int:
    """Let every hour of a day complete, and everything that becomes due run. Returns how many ran."""
    return sum(model.complete(Target(HOURLY, partition(DAY * day + hour))) for hour in range(DAY))


def _timed(model: ModelAlone, shape: Shape, day: int) -> float:
    """Microseconds of CPU time for each hourly completion of a day."""
    began = model.seconds
    ran = run_a_day(model, day)
    assert ran == DAY + shape.runs_in_a_day, f"{ran} ran in a day"
    return (model.seconds - began) / DAY * 1e6


def _success(partition: str) -> RunState:
    attempt = past_attempt(partition)
    return RunState(State.SUCCESS, attempt, attempt.queued_at)
