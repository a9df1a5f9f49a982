"""A wide fan-in: one pipeline waits for many, which complete one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.scaling.figures import Figure, single
from benchmarks.scaling.process import Answer, alone
from benchmarks.scaling.stars import Star
from coordinator.model.runstate import State

GOAL = 2.0
"""What an input may cost among the most inputs, relative to the fewest."""


def measure(widths: Sequence[int], *, progress: Callable[[], None] = lambda: None) -> list[Figure]:
    """So many upstreams of one pipeline."""
    answers = {}
    for width in widths:
        answers[f"{width:,} upstreams"] = alone(__name__, width=width)
        progress()
    return [
        single("CPU time of an upstream's run", "µs", {at: one["each"] for at, one in answers.items()}, goal=GOAL),
        single("CPU time in all", "s", {at: one["all"] for at, one in answers.items()}),
        single("of it: from the last report to the request", "s", {at: one["last"] for at, one in answers.items()}),
    ]


def run(*, width: int) -> Answer:
    """In a process of its own."""
    names = [f"upstream_{number}" for number in range(width)]
    star = Star({"bottom": names})
    watcher = star.watcher
    watcher.seconds = before = 0.0
    for name in names:
        assert not watcher.starts, "the bottom waits for all of them"
        star.report(name, State.RUNNING)
        star.settle()
        before = watcher.seconds
        star.report(name, State.SUCCESS, again=False)
        star.settle()
    assert watcher.starts == 1, f"{watcher.starts} triggers for one wave"
    assert not watcher.reconciler.counters.miscounted
    return {"each": watcher.seconds / width * 1e6, "all": watcher.seconds, "last": watcher.seconds - before}
