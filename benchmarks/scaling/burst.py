"""A burst: one root with many pipelines below it reports many times, while a small graph beside it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.scaling.figures import Figure, single
from benchmarks.scaling.process import Answer, alone
from benchmarks.scaling.stars import Star
from coordinator.model.runstate import State

ARMS = 100
"""Pipelines directly below the root; all others are below those."""

STEP_GOAL = 0.5
"""Seconds of one step at most: another thread renews the lease, but messages wait for the end of the step."""

REACTION_GOAL = 1.0
"""Seconds for the small graph."""


def measure(
    descendants: Sequence[int], *, reports: int, partitions: int, progress: Callable[[], None] = lambda: None
) -> list[Figure]:
    """So many pipelines below the root, and so many reports about so many of its partitions, at once."""
    answers = {}
    for below in descendants:
        answers[f"{below:,} below"] = alone(__name__, descendants=below, reports=reports, partitions=partitions)
        progress()
    return [
        single("CPU time until all is decided about", "s", {at: one["all"] for at, one in answers.items()}),
        single(f"the longest step (at most {STEP_GOAL:g})", "s", {at: one["step"] for at, one in answers.items()}),
        single(
            f"slowest reaction of a small graph (at most {REACTION_GOAL:g})",
            "s",
            {at: one["reaction"] for at, one in answers.items()},
        ),
    ]


def run(*, descendants: int, reports: int, partitions: int) -> Answer:
    """In a process of its own."""
    arms = [f"arm_{number}" for number in range(min(ARMS, descendants))]
    edges: dict[str, Sequence[str]] = {arm: ["root"] for arm in arms}
    edges |= {f"below_{number}": [arms[number % len(arms)]] for number in range(descendants - len(arms))}
    star = Star({**edges, "small_bottom": ["small"]})
    watcher = star.watcher
    watcher.seconds = watcher.longest_step = 0.0
    for number in range(reports):
        star.report("root", State.RUNNING, day=number % partitions)
    star.one_step()
    slowest, day = 0.0, 0
    while not watcher.reconciler.has_decided:
        star.report("small", State.SUCCESS, day=(day := day + 1))
        began, starts = watcher.seconds, watcher.starts
        while watcher.starts == starts:
            star.one_step()
            watcher.answer()
        slowest = max(slowest, watcher.seconds - began)
    busy = sum(1 for _ in watcher.reconciler.propagation.unsettled())
    assert busy >= partitions * (descendants + 1), f"{busy} are busy below the root"
    return {"all": watcher.seconds, "step": watcher.longest_step, "reaction": slowest}
