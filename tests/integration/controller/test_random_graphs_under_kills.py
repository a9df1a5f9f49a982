"""Random graphs over two environments, with the watcher killed every second: every pipeline once per wave."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.standin.faults import Fault
from tests.worlds.graphs import layered

SEEDS = (1, 2, 3)
"""Their graphs stand side by side in one document: the watcher is killed for all of them at once."""

LIFE = 1.0
"""Seconds from when a watcher has started until it is killed."""

TAKES = 0.15
"""Seconds that a run takes: a wave outlives several watchers."""

SLOW = 0.1
"""Seconds that Airflow takes to answer: some watchers are killed between their request and its answer."""


@pytest.mark.promise("once", "not-for-the-past", "kill")
@pytest.mark.parametrize("mixed", [False, True], ids=["all", "mixed conditions"])
def test_every_pipeline_runs_once_per_wave_though_the_watcher_is_killed_every_second(
    served: ServedWorld, mixed: bool
) -> None:
    graph = layered(SEEDS[0], mixed=mixed)
    for seed in SEEDS[1:]:
        graph |= layered(seed, mixed=mixed)
    everything = [*graph.parents]
    chance = random.Random(f"waves {mixed}")
    served.takes = TAKES
    for airflow in served.airflows.values():
        for kind in ("trigger", "clear"):
            airflow.faults.always(kind, Fault.delay(SLOW))
    served.by_hand(*graph.sources)
    served.dependencies(graph.document)
    expected = dict.fromkeys(everything, 0)
    served.serve().kill()  # it has published them: what completes from now on counts
    with _killed_every_second(served) as kills:
        for name in graph.sources:
            served.trigger(name)
            served.start(name)
        for name in graph.sources:
            served.finish(name)
        for name in graph.below(*graph.sources):
            expected[name] += 1
        served.until_ran(expected)
        first = served.identities(*everything)
        for _ in range(2):
            cleared = chance.sample(graph.sources, 3)
            for name in cleared:
                served.clear(name)
                served.start(name)
            for name in cleared:
                served.finish(name)
            for name in graph.below(*cleared):
                expected[name] += 1
            served.until_ran(expected)
    assert len(kills) > 3, "watchers were killed while the waves went on"
    served.serve()
    served.settle()
    assert served.counts(*everything) == expected
    assert served.identities(*everything) == first, "a rerun keeps run_id and logical date"
    assert set(map(len, first.values())) <= {0, 1}


@contextmanager
def _killed_every_second(world: ServedWorld) -> Iterator[list[Service]]:
    """Watchers, one after the other, each killed after a second and followed by the next at once."""
    enough, killed = threading.Event(), list[Service]()

    def one_after_the_other() -> None:
        while not enough.is_set():
            watcher = world.launch()
            _until_started(watcher)
            enough.wait(LIFE)
            watcher.kill()
            killed.append(watcher)

    killer = threading.Thread(target=one_after_the_other, name="killer", daemon=True)
    killer.start()
    try:
        yield killed
    finally:
        enough.set()
        killer.join(60)
        assert not killer.is_alive()


def _until_started(watcher: Service) -> None:
    until(lambda: bool(watcher.events("watcher.started")), "it has started", limit=30)
