"""The same random history with and without retention: the same runs, in every partition that is still there.

People run, clear, fail and set by hand what is there in both worlds; what has gone is reported again, late.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.model.evaluation import all_inputs
from coordinator.model.partitions.instants import format_instant
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, State
from tests.worlds.simulated import SimulatedWorld

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
STEPS = 25
GRAPHS: Mapping[str, Mapping[str, Any]] = {
    "unequal arms": {"A": "R", "B": "A", "D": ["B", "R"], "E": ["D", "X"]},
    "any": {"D": {"upstream": {"any": [["A", "B"], "C"]}}, "E": ["D", "X"]},
    "at least, failure": {
        "D": {"upstream": {"at_least": 2, "of": ["A", "B", "C"]}},
        "E": {"upstream": {"pipeline": "D", "on": "done"}},
        "F": {"upstream": {"pipeline": "A", "on": "failure"}},
    },
    "direct": {"A": "R", "D": {"upstream": ["A", "R"], "settle": "direct"}},
    "offset": {"D": {"upstream": {"any": ["A", {"pipeline": "A", "partition": "-1 day"}]}}, "E": "D"},
    "latest as a gate": {"D": ["A", {"pipeline": "X", "partition": "latest", "trigger": False}], "E": "D"},
    "latest": {"D": {"upstream": {"any": ["A", {"pipeline": "X", "partition": "latest"}]}}, "E": "D"},
    "latest alone": {"D": {"upstream": {"pipeline": "X", "partition": "latest"}}, "E": "D"},
    "rollup": {
        "D": "A",
        "W": {"upstream": {"pipeline": "D", "partition": {"mapper": "rollup", "window": "week", "wait": 2}}},
        "V": ["W"],
    },
    "start of": {"W": {"upstream": {"pipeline": "A", "partition": "start_of_week"}}, "V": "W"},
    "fixed key": {
        "D": "A",
        "Z": {"upstream": {"pipeline": "D", "partition": {"mapper": "fixed_key", "downstream_key": "all"}}},
    },
}
LIMITS = ({"max_age": "150 seconds"}, {"max_partitions": 2}, {"max_age": "300 seconds", "max_partitions": 3})
SEEDS = range(int(os.environ.get("RETENTION_SEEDS", "1")))


class Twins:
    """One history in two worlds.

    :ivar kept: the one without retention.
    """

    def __init__(self, graph: Mapping[str, Any], limits: Mapping[str, Any], chance: random.Random) -> None:
        self.kept, self.swept = SimulatedWorld(), SimulatedWorld()
        self.both = (self.kept, self.swept)
        self.chance = chance
        self.sources = sorted(_names_in(graph) - graph.keys())
        self.swept.retain(**limits, min_age="0 seconds", every="7 seconds")
        for world in self.both:
            world.by_hand(*self.sources)
            world.dependencies(graph)
        self.days = 2
        self.story: list[str] = []

    def go_on(self) -> None:
        source, day = self.chance.choice(self.sources), format_instant(MONDAY + timedelta(self._day()))
        what: str
        there = any(run.run_id == f"scheduled__{day}" for run in self.kept.all_runs(source, partition=day))
        match self.chance.choice(
            ("run", "run", "run", "run", "fail", "by hand", "late", "late", "restart", "day", "day")
        ):
            case "run" | "fail" as how:
                if not self._is_whole(source, day):
                    return
                what, state = how, "success" if how == "run" else "failed"
                for world in self.both:
                    if there:
                        world.clear(source, partition=day)
                    else:
                        world.trigger(source, partition=day)
                    world.run(source, state, partition=day)
            case "by hand" if self._has_succeeded(source, day) and self._is_whole(source, day):
                for world in self.both:
                    world.set_state(source, "failed", partition=day)
                    world.settle()
                    world.set_state(source, "success", partition=day)
                what = "by hand"
            case "late" if self._has_succeeded(source, day):
                what = "late"  # a repeat in one world; in the other it may have gone
                for world in self.both:
                    world.report_end_early(source, partition=day)
            case "restart":
                what = "restart"
                self.swept.stop_watcher()
                self.swept.start_watcher()
            case "day":
                self.days += 1
                return
            case _:
                return
        self.story.append(f"{what} {source} {day[:10]}")
        for world in self.both:
            world.settle()

    def _has_succeeded(self, source: str, day: str) -> bool:
        state = self.kept.state(source, partition=day)
        return isinstance(state, RunState) and state.state is State.SUCCESS

    def _day(self) -> int:
        return max(0, self.days - 1 - min(self.chance.randrange(self.days), self.chance.randrange(self.days)))

    def _is_whole(self, source: str, day: str) -> bool:
        """Whether all that this can touch, and all that is needed for it, is there in both worlds."""
        assert self.kept.watcher is not None
        propagation = self.kept.watcher.reconciler.propagation
        waiting, seen = [Target(PipelineRef("default", source), day)], set[Target]()
        while waiting:
            target = waiting.pop()
            if target in seen:
                continue
            seen.add(target)
            if not self._is_there(target):
                return False
            if not all(self._is_there(needed) for needed in _inputs(propagation, target)):
                return False
            waiting += propagation.dependents(target)
        return True

    def _is_there(self, target: Target) -> bool:
        assert self.swept.watcher is not None
        cache, swept = self._cache_of(self.kept), self._cache_of(self.swept)
        return (cache.state(target) is None) == (swept.state(target) is None) and (cache.record(target) is None) == (
            swept.record(target) is None
        )

    def _cache_of(self, world: SimulatedWorld) -> Any:
        assert world.watcher is not None
        return world.watcher.reconciler.cache

    def removed(self) -> int:
        return len(set(self._cache_of(self.kept).targets())) - len(set(self._cache_of(self.swept).targets()))


def _inputs(propagation: Propagation, target: Target) -> list[Target]:
    evaluated = propagation.decide(target).evaluated
    return [one.target for one in all_inputs(evaluated)] if evaluated is not None else []


def _names_in(condition: object) -> set[str]:
    if isinstance(condition, str):
        return {condition}
    if isinstance(condition, list):
        return set().union(*map(_names_in, condition))
    assert isinstance(condition, Mapping)
    if "pipeline" in condition:
        return {str(condition["pipeline"])}
    inner = [condition[word] for word in ("upstream", "any", "all", "of") if word in condition]
    return set().union(*map(_names_in, inner or condition.values()))


def _runs(world: SimulatedWorld) -> Counter[tuple[str, str]]:
    return Counter(world.airflows["default"].started)


@pytest.mark.slow
@pytest.mark.parametrize("graph", GRAPHS)
def test_with_retention_everything_that_is_still_there_runs_as_without(graph: str) -> None:
    removed = 0
    for seed in SEEDS:
        for limits in LIMITS:
            twins = Twins(GRAPHS[graph], limits, random.Random(f"{graph} {limits} {seed}"))
            for _ in range(STEPS):
                twins.go_on()
                kept, swept = _runs(twins.kept), _runs(twins.swept)
                assert swept == kept, (seed, limits, swept - kept, kept - swept, twins.story)
            removed += twins.removed()
    assert removed > 0, "retention removes something"
