"""Whether a completion costs more among many pipelines, or after a long history: waves of the same shape,
alternating."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from benchmarks.scaling.figures import Figure, paired, single
from benchmarks.scaling.ring import FAN_IN, SMALLEST, Ring
from benchmarks.scaling.waves import ModelWaves, ReconcilerWaves

GOAL = 1.2
"""What a completion may cost among the most pipelines, relative to the fewest (docs/architecture.md#speed)."""

EXAMINED_GOAL = 1.01
"""The number of reads must not grow. The iteration order of sets changes it by a few in a thousand."""

PARTITIONS = 4
"""Finished partitions, and one more in which nothing happens until a wave in it is counted."""

COUNTED_PLACE = SMALLEST // 4 - FAN_IN
"""A source whose cone has the same names in every ring."""

SEED = 4

Waves = ModelWaves | ReconcilerWaves
KINDS: Mapping[str, Callable[[Ring, int], Waves]] = {"model alone": ModelWaves, "reconciler": ReconcilerWaves}


def measure(sizes: Sequence[int], *, rounds: int, progress: Callable[[], None] = lambda: None) -> list[Figure]:
    """Alternating waves among so many pipelines.

    :param sizes: numbers of pipelines, from the smallest on.
    :param rounds: waves of each size.
    """
    figures: list[Figure] = []
    for name, kind in KINDS.items():
        worlds = {f"{size:,} pipelines": kind(Ring(size), PARTITIONS + 1) for size in sizes}
        figures += _compare(name, worlds, rounds, progress)
    return figures


def measure_history(depths: Sequence[int], *, rounds: int, progress: Callable[[], None] = lambda: None) -> list[Figure]:
    """Waves in the smallest ring after so many partitions of history, turn about.

    :param depths: numbers of partitions, from the smallest on.
    """
    worlds = {f"{depth:,} partitions": ReconcilerWaves(Ring(SMALLEST), depth + 1) for depth in depths}
    return _compare("reconciler", worlds, rounds, progress)


def _compare(name: str, worlds: Mapping[str, Waves], rounds: int, progress: Callable[[], None]) -> list[Figure]:
    chosen = random.Random(SEED)
    for world in worlds.values():  # once, as a warm-up
        world.wave(0, 1)
    times: dict[str, list[float]] = {size: [] for size in worlds}
    for round_ in range(rounds):
        in_turn = list(worlds) if round_ % 2 == 0 else list(worlds)[::-1]
        for size in in_turn:
            world = worlds[size]
            passed = world.wave(chosen.randrange(world.ring.width), chosen.randrange(1, len(world.partitions)))
            times[size].append(passed.each * 1e6)
        progress()
    counts = {size: world.counted_wave(COUNTED_PLACE, 0) for size, world in worlds.items()}
    completions = next(iter(worlds.values())).ring.completions_in_a_wave()
    return [
        paired(f"{name}: CPU time each", "µs", times, goal=GOAL),
        single(
            f"{name}: keys examined each",
            "",
            {size: count.keys / completions for size, count in counts.items()},
            goal=EXAMINED_GOAL,
        ),
        single(
            f"{name}: decisions each",
            "",
            {size: count.decisions / completions for size, count in counts.items()},
            goal=EXAMINED_GOAL,
        ),
    ]
