"""A backlog: completions that piled up while no watcher ran, compared with the same ones arriving live.

Every source of a ring has completed in many partitions, in which nothing has run yet: as many pipelines are due as
completions wait. The measurement ends with the last request: no run reports back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import msgspec

from benchmarks.scaling.figures import Figure, single
from benchmarks.scaling.footprint import MEBIBYTE, base_keys
from benchmarks.scaling.instant import ForgetfulStore, InstantWatcher
from benchmarks.scaling.process import Answer, alone, most_resident
from benchmarks.scaling.ring import FIRST_REVISION, KEYS, Ring, partition, stored, success_of_the_past
from coordinator.model.references import Target
from coordinator.store.port import Changed, Changes, KeyValue, Listing
from coordinator.store.reflector import Snapshot

GOAL = 1.2
"""What a completion that has waited may cost, relative to a live one."""

BATCH = 100
"""Live completions that come in together, as in a burst."""

LIVE_SHARE = 4
"""A number smaller by this factor is enough to measure a live completion."""


def measure(completions: int, *, pipelines: int, progress: Callable[[], None] = lambda: None) -> list[Figure]:
    """So many completions, about, wait at the start, among so many pipelines."""
    width = Ring(pipelines).width
    partitions = -(-completions // width)
    live = alone(__name__, partitions=-(-partitions // LIVE_SHARE), pipelines=pipelines, waiting=0)
    progress()
    waiting = alone(__name__, partitions=partitions, pipelines=pipelines, waiting=1)
    progress()
    name = f"{partitions * width:,} waiting"
    return [
        single("CPU time each", "µs", {"live": live["each"], name: waiting["each"]}, goal=GOAL),
        single("until the first request", "s", {name: waiting["first"]}),
        single("until the last request", "s", {name: waiting["last"]}),
        single("memory in all, at most", "MiB", {"live": live["peak"], name: waiting["peak"]}),
    ]


def run(*, partitions: int, pipelines: int, waiting: int) -> Answer:
    """In a process of its own."""
    ring = Ring(pipelines)
    store = ForgetfulStore(FIRST_REVISION)
    watcher = InstantWatcher(store, term=FIRST_REVISION, keeps_runs=False)
    base, states = base_keys(ring), _completions(ring, partitions)
    watcher.step([Snapshot(Listing([*base, *states] if waiting else base, FIRST_REVISION, 1))])
    if not waiting:
        watcher.clock.seconds += 10  # what comes now is live
        watcher.seconds = 0.0
    while batch := tuple(itertools.islice(states, BATCH)):
        store.revision += 1
        changes = (
            Changed(item.key, store.revision, msgspec.structs.replace(item, mod_revision=store.revision))
            for item in batch
        )
        watcher.step([Changes(tuple(changes), store.revision)])
        watcher.settle()
    watcher.settle()
    completions = partitions * ring.width
    assert watcher.starts == completions, f"{watcher.starts} triggers for {completions} completions"
    assert watcher.first_request is not None
    return {
        "each": watcher.seconds / completions * 1e6,
        "first": watcher.first_request,
        "last": watcher.seconds,
        "peak": most_resident() / MEBIBYTE,
    }


def _completions(ring: Ring, partitions: int) -> Iterator[KeyValue]:
    """Of every source, partition by partition."""
    for number in range(partitions):
        name = partition(number)
        value = success_of_the_past(name).to_value()
        for place in range(ring.width):
            yield stored(KEYS.state(Target(ring.source(place), name)), value)
