"""Random waves through random graphs, with faults in between, against an oracle that knows nothing of the rule.

The oracle: when pipelines are cleared together and all of them run and end well, each pipeline below any of them
runs exactly once more, whatever its condition, and after all its upstreams; nothing else runs. Where every
condition is ``all``, one pipeline on the way may fail: then nothing below it runs until it is cleared and ends well.

    python -m tests.simulation.waves --seeds 1000 [--first 0]
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

STEPS = 4


@dataclass
class Plan:
    """A graph, in an order in which upstreams come first.

    :ivar at_least: how many of its upstreams each pipeline waits for, where it is not all of them.
    """

    upstreams: dict[str, list[str]] = field(default_factory=dict)
    at_least: dict[str, int] = field(default_factory=dict)

    @classmethod
    def draw(cls, dice: random.Random) -> Plan:
        names = [f"{'team_b/' if dice.random() < 0.4 else ''}p{number}" for number in range(dice.randint(3, 9))]
        plan = cls()
        mixed = dice.random() < 0.5
        for number, name in enumerate(names):
            count = min(number, dice.choice((0, 1, 1, 2, 2, 3)))
            plan.upstreams[name] = dice.sample(names[:number], count)
            if mixed and count > 1 and dice.random() < 0.6:
                plan.at_least[name] = dice.randint(1, count)
        return plan

    @property
    def document(self) -> dict[str, Any]:
        """As ``dependencies.json`` says it."""
        return {
            name: {"upstream": {"at_least": self.at_least[name], "of": upstreams}}
            if name in self.at_least
            else upstreams
            for name, upstreams in self.upstreams.items()
            if upstreams
        }

    @property
    def sources(self) -> list[str]:
        return [name for name, upstreams in self.upstreams.items() if not upstreams]

    def below(self, tops: list[str]) -> set[str]:
        found: set[str] = set()
        for name, upstreams in self.upstreams.items():
            if found.union(tops).intersection(upstreams):
                found.add(name)
        return found - set(tops)


class Wave:
    """One world, and what is done to it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = SimulatedWorld()
        self.plan = Plan.draw(self.dice)
        self.story: list[str] = []
        self.world.by_hand(*self.plan.sources)
        self.world.dependencies(self.plan.document)

    def play(self) -> None:
        sources = self.plan.sources
        for name in sources:
            self.world.trigger(name)
        self._run_together(sources)
        self._expect(dict.fromkeys(self.plan.upstreams, 1), "the first wave")
        for _ in range(STEPS):
            before = {name: self.world.runs(name) for name in self.plan.upstreams}
            tops = self.dice.sample(list(self.plan.upstreams), self.dice.choice((1, 1, 2)))
            tops = [name for name in tops if not self.plan.below([name]) & set(tops)]
            tops = [name for name in tops if not any(name in self.plan.below([other]) for other in tops)]
            self.world.by_hand(*tops)
            for name in tops:
                self.world.clear(name)
            self.story.append(f"cleared {', '.join(tops)}")
            below = self.plan.below(tops)
            fails = (
                self.dice.choice(sorted(below)) if below and not self.plan.at_least and self.dice.random() < 0.4 else ""
            )
            self.world.by_hand(*filter(None, [fails]))
            self._run_together(tops)
            expected = {name: count + (name in below or name in tops) for name, count in before.items()}
            if fails:
                self._fail(fails, before, expected)
            self.world.by_itself(*(name for name in (*tops, fails) if name and name not in sources))
            self._expect(expected, " and ".join(self.story[-3:]))

    def _fail(self, name: str, before: dict[str, int], expected: dict[str, int]) -> None:
        """It has been started, and fails; nothing below it runs until it is cleared and ends well."""
        self.story.append(f"{name} failed")
        self.world.run(name, "failed")
        self.world.settle()
        for below in self.plan.below([name]):
            assert self.world.runs(below) == before[below], f"{below} ran below {name}, which had failed"
        self.world.rerun(name)
        self.world.settle()
        expected[name] += 1

    def _run_together(self, names: list[str]) -> None:
        """All of them start before the first one ends, as a person sees them in Airflow."""
        for name in names:
            self.world.start(name)
        self._disturb()
        for name in self.dice.sample(names, len(names)):
            self.world.finish(name)
            if self.dice.random() < 0.5:
                self.world.settle()
        self._mend()

    def _disturb(self) -> None:
        dependents = [name for name, upstreams in self.plan.upstreams.items() if upstreams]
        if dependents and self.dice.random() < 0.4:
            name = self.dice.choice(dependents)
            self.story.append(f"kill before the request for {name}")
            self.world.kill_before_request(name)
        elif dependents and self.dice.random() < 0.3:
            name = self.dice.choice(dependents)
            self.story.append(f"freeze before the request for {name}")
            self.world.freeze_before_request(name)
        if self.dice.random() < 0.3:
            self.story.append("team_b is away")
            self.world.down("team_b")
        if self.dice.random() < 0.3:
            name = self.dice.choice(list(self.plan.upstreams))
            self.story.append(f"reports of {name} are late")
            self.world.delay_reports(name)

    def _mend(self) -> None:
        """Everything heals, one thing after the other; faults that have not struck yet may strike meanwhile."""
        for heal in self.dice.sample([self._start_watcher, self._environments_up, self._deliver_reports], 3):
            if self.dice.random() < 0.5:
                self.world.settle()
            heal()
        self.world.settle()
        self.world.forget_faults()
        self._start_watcher()
        self.world.settle()

    def _start_watcher(self) -> None:
        if self.world.watcher is None:
            self.world.start_watcher()

    def _environments_up(self) -> None:
        self.world.up("team_b")

    def _deliver_reports(self) -> None:
        self.world.deliver_reports(*self.plan.upstreams)

    def _expect(self, expected: dict[str, int], when: str) -> None:
        counted = {name: self.world.runs(name) for name in self.plan.upstreams}
        assert counted == expected, f"after {when}: expected {expected}, counted {counted}; graph {self.plan.document}"
        for name, upstreams in self.plan.upstreams.items():
            began = self._time(name, "start_date")
            late = [upstream for upstream in upstreams if self._time(upstream, "end_date") > began]
            assert not late, f"after {when}: {name} began before {late} had ended; graph {self.plan.upstreams}"
        assert self.world.watcher is not None
        unsettled = list(self.world.watcher.reconciler.standings.unsettled())
        assert not unsettled, f"after {when}: at rest, and yet unsettled: {unsettled}"

    def _time(self, name: str, which: str) -> float:
        pipeline = target(name).pipeline
        run = self.world.airflows[pipeline.environment].newest(pipeline.dag_id, PARTITION)
        instant = getattr(run, which)
        assert instant is not None
        return float(instant.timestamp())


def play(seed: int) -> None:
    """One seed. :raises AssertionError: a promise is broken."""
    wave = Wave(seed)
    try:
        wave.play()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}; story: {'; '.join(wave.story)}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    began = time.monotonic()
    for seed in range(options.first, options.first + options.seeds):
        play(seed)
    seconds = time.monotonic() - began
    print(f"{options.seeds} seeds clean in {seconds:.0f} s, {options.seeds / seconds:.0f} seeds/s")


if __name__ == "__main__":
    main()
