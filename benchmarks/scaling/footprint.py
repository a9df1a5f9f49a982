"""The memory of a live key, and the stalls of a watcher with many of them.

There are two processes for each number of keys: in one the keys arrive in small batches, so that only the watcher's own
memory remains; in the other they arrive as one listing, as at every start, which is the peak.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from benchmarks.scaling.figures import Figure, single
from benchmarks.scaling.instant import HARDLY_EVER, ForgetfulStore, InstantWatcher
from benchmarks.scaling.process import Answer, alone, most_resident, resident
from benchmarks.scaling.ring import ENVIRONMENTS, FIRST_REVISION, KEYS, SMALLEST, Ring, partition, stored
from coordinator.model.conditions import AtLeast
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.publishing.resuming import Terms, publish
from coordinator.store.port import Changed, Changes, KeyValue, Listing
from coordinator.store.reflector import Snapshot

PER_KEY_GOAL = 1024
IN_ALL_GOAL = 2 * 1024**3
STALL_GOAL = 5.0
"""Seconds without a decision: more, and a lease of ten seconds is in danger."""

KEYS_FOR_EACH = 10
"""Live keys for each pipeline of a graph, at least: about four partitions."""

BATCH = 1000
MEBIBYTE = 1024**2


def measure(sizes: Sequence[int], *, pipelines: int, progress: Callable[[], None] = lambda: None) -> list[Figure]:
    """Memory and stalls with so many live keys.

    :param sizes: numbers of live keys, at least, from the fewest on.
    :param pipelines: in the graph, at most; with few keys fewer, for a whole partition to be among them.
    """
    bit_by_bit: dict[str, Answer] = {}
    at_once: dict[str, Answer] = {}
    for size in sizes:
        for answers, snapshot in ((bit_by_bit, 0), (at_once, 1)):
            ring = Ring(max(SMALLEST, min(pipelines, size // KEYS_FOR_EACH)))
            partitions = -(-size // ring.keys_in_a_partition())
            name = f"{partitions * ring.keys_in_a_partition():,} keys"
            answers[name] = alone(__name__, partitions=partitions, pipelines=ring.pipelines, snapshot=snapshot)
            progress()

    def of(answers: dict[str, Answer], what: str, unit: float = 1.0) -> dict[str, float]:
        return {size: answer[what] / unit for size, answer in answers.items()}

    def bounded(at: dict[str, float], what: str, unit: str, most: float) -> Figure:
        return Figure(what, unit, at, list(at.values())[-1] / most, goal=1.0)

    return [
        bounded(of(bit_by_bit, "per_key"), f"memory for each live key (at most {PER_KEY_GOAL})", "bytes", PER_KEY_GOAL),
        bounded(of(at_once, "peak", MEBIBYTE), "memory in all, at most (2,048)", "MiB", IN_ALL_GOAL / MEBIBYTE),
        single("of it: what etcd's listing takes", "MiB", of(at_once, "listing", MEBIBYTE)),
        bounded(
            of(at_once, "relist", MEBIBYTE),
            "memory in all, everything listed again (2,048)",
            "MiB",
            IN_ALL_GOAL / MEBIBYTE,
        ),
        single("start: from the listing to leading", "s", of(at_once, "start")),
        bounded(of(at_once, "starting"), f"stall: while it starts (at most {STALL_GOAL:g})", "s", STALL_GOAL),
        bounded(of(at_once, "change"), f"stall: a dependency changes (at most {STALL_GOAL:g})", "s", STALL_GOAL),
        bounded(of(at_once, "reexamine"), f"stall: the regular look at all (at most {STALL_GOAL:g})", "s", STALL_GOAL),
        bounded(of(at_once, "collect"), f"stall: a full garbage collection (at most {STALL_GOAL:g})", "s", STALL_GOAL),
    ]


def run(*, partitions: int, pipelines: int, snapshot: int) -> Answer:
    """In a process of its own."""
    ring = Ring(pipelines)
    # While keys arrive in batches, many targets look due for a time: that watcher does not lead, so it starts nothing.
    watcher = InstantWatcher(ForgetfulStore(FIRST_REVISION), term=FIRST_REVISION if snapshot else None)
    return _at_once(watcher, ring, partitions) if snapshot else _bit_by_bit(watcher, ring, partitions)


def _bit_by_bit(watcher: InstantWatcher, ring: Ring, partitions: int) -> Answer:
    watcher.step([Snapshot(Listing(base_keys(ring), FIRST_REVISION, 1))])
    gc.collect()
    before, revision, past = resident(), FIRST_REVISION, _past(ring, partitions)
    while batch := tuple(itertools.islice(past, BATCH)):
        revision += 1
        watcher.step([Changes(tuple(Changed(item.key, revision, item) for item in batch), revision)])
    watcher.clock.seconds += 10
    watcher.step([Changes((), revision)])  # no key is fresh any more
    del batch
    gc.collect()
    _check(watcher, partitions * ring.keys_in_a_partition())
    return {"per_key": (resident() - before) / (partitions * ring.keys_in_a_partition())}


def _at_once(watcher: InstantWatcher, ring: Ring, partitions: int) -> Answer:
    before = resident()
    items = sorted([*base_keys(ring), *_past(ring, partitions)], key=lambda item: item.key)  # as etcd lists them
    messages = [Snapshot(Listing(items, FIRST_REVISION, 1))]
    del items
    listing = resident() - before
    start = watcher.step(messages)
    stall = watcher.longest_step
    peak = most_resident()
    del messages
    assert watcher.reconciler.leads
    _check(watcher, partitions * ring.keys_in_a_partition())
    return {
        "listing": listing,
        "start": start,
        "starting": stall,
        "peak": peak,
        "change": watcher.stall([_one_dependency_less(ring)]),
        "reexamine": _reexamine(watcher),
        "collect": _collect(),
        "relist": _relist(watcher, ring, partitions),
    }


def _relist(watcher: InstantWatcher, ring: Ring, partitions: int) -> float:
    """List everything again, as after a compaction, while the old state is in memory."""
    items = sorted([*base_keys(ring), *_past(ring, partitions)], key=lambda item: item.key)
    watcher.step([Snapshot(Listing(items, FIRST_REVISION, 1))])
    return most_resident()


def _check(watcher: InstantWatcher, keys: int) -> None:
    assert len(watcher.reconciler.cache) == keys, f"{len(watcher.reconciler.cache)} keys, expected {keys}"
    assert not list(watcher.reconciler.propagation.unsettled()), "the past is settled"


def base_keys(ring: Ring) -> list[KeyValue]:
    """All keys except states and records."""
    documents = [
        stored(KEYS.dependencies(owner), dump_publication(Publication(document, {})), revision=1)
        for owner, document in ring.documents().items()
    ]
    return [stored(KEYS.leader, b"the benchmark"), *documents]


def _past(ring: Ring, partitions: int) -> Iterator[KeyValue]:
    """Everything has run in so many partitions."""
    return itertools.chain.from_iterable(ring.past_keys(partition(number)) for number in range(partitions))


def _one_dependency_less(ring: Ring) -> Changes:
    """One owner publishes a new document: one of its pipelines waits for one upstream less."""
    owner = ENVIRONMENTS[0]
    document = dict(ring.documents()[owner])
    pipeline, downstream = next(iter(document.items()))
    assert isinstance(downstream.condition, AtLeast)
    fewer = downstream.condition.of[1:]
    document[pipeline] = replace(downstream, condition=AtLeast(len(fewer), fewer))
    value = dump_publication(publish(document, Publication(ring.documents()[owner], {}), 1, Terms(datetime.now(UTC))))
    revision = 2 * 10**9  # later than everything so far
    key = KEYS.dependencies(owner)
    return Changes((Changed(key, revision, KeyValue(key, value, 1, revision)),), revision)


def _reexamine(watcher: InstantWatcher) -> float:
    """The longest step of it."""
    watcher.clock.seconds += HARDLY_EVER
    longest = watcher.one_step(())
    while (wake_at := watcher.reconciler.wake_at()) is not None and wake_at <= watcher.clock.seconds:
        longest = max(longest, watcher.one_step(()))
    return longest


def _collect() -> float:
    began = time.thread_time()
    gc.collect()
    return time.thread_time() - began
