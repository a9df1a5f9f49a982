"""The cost of following many runs that report nothing, for the deciding thread.

It measures a minute of the service in virtual time, with 20 steps per second. The runs have been followed for so long
that their pauses are the longest. The floor is the same number of questions from a plain heap of numbers.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.scaling.figures import Figure
from coordinator.controller.reconcile.following import PATIENCE, FollowedRun, Following
from coordinator.controller.reconcile.observer import ASKED_AT_ONCE
from coordinator.model.references import PipelineRef, Target
from coordinator.runners.port import RunRef

GOAL = 2.0
"""Percent of a core."""

EVERY = 5.0
STEPS_PER_SECOND = 20
WARM_UP = 10 * EVERY * PATIENCE
MEASURED = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of a minute, and how many questions were asked in it."""

    seconds: float
    asked: int

    @property
    def percent(self) -> float:
        return 100 * self.seconds / MEASURED


def measure(sizes: Sequence[int], *, progress: Callable[[], None] = lambda: None) -> list[Figure]:
    """So many runs under way. :param sizes: from the smallest on."""
    costs, floors = {}, {}
    for size in sizes:
        name = f"{size:,} runs"
        costs[name] = follow(size)
        floors[name] = floor(size, costs[name].asked)
        progress()
    largest = f"{sizes[-1]:,} runs"
    assert floors[largest].asked == costs[largest].asked
    return [
        Figure(
            "asking",
            "% of a core",
            {name: cost.percent for name, cost in costs.items()},
            costs[largest].percent,
            goal=GOAL,
        ),
        Figure(
            "a bare heap",
            "% of a core",
            {name: cost.percent for name, cost in floors.items()},
        ),
        Figure(
            "asking beside a bare heap",
            "",
            {name: costs[name].seconds / floors[name].seconds for name in costs},
            costs[largest].seconds / floors[largest].seconds,
        ),
        Figure("questions a second", "", {name: cost.asked / MEASURED for name, cost in costs.items()}),
    ]


def follow(size: int) -> Cost:
    """The part of the service."""
    following = Following(every=EVERY)
    for number in range(size):
        dag_id, partition = f"dag_{number % 1000}", f"p{number}"
        target = Target(PipelineRef("default", dag_id), partition)
        following.want(target, FollowedRun(RunRef(dag_id, partition), None), now=0.0)
    while (at := following.next_at()) is not None and at < WARM_UP:
        following.due(at, size)
    asked = 0
    began = time.process_time()
    for step in range(int(MEASURED * STEPS_PER_SECOND)):
        now = WARM_UP + step / STEPS_PER_SECOND
        while (at := following.next_at()) is not None and at <= now:
            asked += len(following.due(now, ASKED_AT_ONCE))
    return Cost(time.process_time() - began, asked)


def floor(size: int, questions: int) -> Cost:
    """Take as many numbers from a heap of this size, and put them back with a later time."""
    heap = [(number * EVERY * PATIENCE / size, number) for number in range(size)]
    heapq.heapify(heap)
    numbers = itertools.count(size)
    began = time.process_time()
    for _ in range(questions):
        at, _ = heap[0]
        heapq.heapreplace(heap, (at + EVERY * PATIENCE, next(numbers)))
    return Cost(time.process_time() - began, questions)
