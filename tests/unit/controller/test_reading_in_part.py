"""A reading of the keys that an answer stands on gives the answer that a reading of all keys gives.

Random graphs over conditions, mappings and policies, and whatever may stand in etcd beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from coordinator.model.cascade import Change, cascade
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.documents import DependenciesError, parse_document
from coordinator.model.explanation import explain
from coordinator.model.hold import Hold, dump_hold
from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.partitions.instants import format_instant
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.watermark import Watermark, dump_watermark
from coordinator.model.runstate import Attempt, RunStateDocument, State
from coordinator.model.taskstate import TaskState, dump_task_state
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.reading.reading import Reading, read, read_newest
from coordinator.reading.wanted_keys import About
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Listing, Put, Transaction
from tests.unit.test_dry_run_is_what_happens import conditions

KEYS = Keys()
RUN_STATES = tuple(one for one in State if one is not State.SKIPPED)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
PARTITIONS = (
    "2026-11-20T00:00:00Z",
    "2026-11-20T01:00:00Z",
    "2026-11-21T00:00:00Z",
    "2026-11-21T00:00:00Z+more",
    "all",
    "a/b",
)


class CountingStore(MemoryStore):
    """Knows which keys have been read."""

    def __init__(self) -> None:
        super().__init__(MemoryEtcd())
        self.seen: set[str] = set()

    def list(
        self, prefix: str, *, through: str = "", revision: int = 0, largest: Callable[[str], int] | None = None
    ) -> Listing:
        listing = super().list(prefix, through=through, revision=revision, largest=largest)
        self.seen.update(item.key for item in listing.items)
        return listing


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[str], dict[str, Any]]:
    """Names of pipelines, and a document in which they may also wait for the task ``t`` of one."""
    names = [f"p{number}" for number in range(draw(st.integers(2, 7)))]
    document: dict[str, Any] = {}
    for number, name in enumerate(names[1:], 1):
        if number == 1 or draw(st.sampled_from((True, True, False))):
            task = st.fixed_dictionaries({"pipeline": st.sampled_from(names[:number]), "task": st.just("t")})
            document[name] = {
                "upstream": draw(conditions(names[:number]) | task),
                "rerun": draw(st.sampled_from(("clear", "new_run", "ignore", "hold"))),
                "settle": draw(st.sampled_from(("wave", "wave", "direct"))),
            }
            if draw(st.booleans()):
                document[name]["deadline"] = {"after": "6 hours"}
    try:
        parse_document(json.dumps(document), source="drawn")
    except DependenciesError:
        assume(False)
    return names, document


@st.composite
def worlds(draw: st.DrawFn) -> CountingStore:
    names, document = draw(documents())
    note(f"{document}")
    targets = [Target(PipelineRef("default", name), partition) for name in names for partition in PARTITIONS]
    puts = [Put(KEYS.dependencies("default"), dump_publication(Publication(parse(document), {})))]

    def attempt() -> Attempt:
        hours = draw(st.integers(0, 3))
        return Attempt(f"run {hours}", NOW - timedelta(hours=hours))

    for target in draw(st.lists(st.sampled_from(targets), unique=True, max_size=25)):
        what = draw(st.sampled_from(("state", "state", "record", "record", "order")))
        if what == "state" and draw(st.booleans()):
            ended, run = draw(st.sampled_from((State.RUNNING, State.SUCCESS, State.FAILED))), attempt()
            task = TaskState(ended, Attempt(run.run_id, number=1), run.queued_at, run=run, ended_at=run.queued_at)
            of_task = Target(target.pipeline._replace(task="t"), target.partition)
            puts.append(Put(KEYS.state(of_task), dump_task_state(task, reported_by="")))
        if what in ("state", "record") or draw(st.booleans()):
            said = attempt()
            state = RunStateDocument(
                state=draw(st.sampled_from((*RUN_STATES, State.SUCCESS, State.SUCCESS))),
                run_id=said.run_id,
                queued_at=said.queued_at,
                observed_at=said.queued_at,
            )
            puts.append(Put(KEYS.state(target), state.to_value()))
        if what == "record":
            inputs = draw(st.lists(st.sampled_from(targets), unique=True, max_size=3))
            used = {
                one: Consumed(draw(st.integers(1, 40)), attempt(), draw(st.sampled_from((State.SUCCESS, State.FAILED))))
                for one in inputs
            }
            record = TriggerRecord(
                draw(st.sampled_from(Status)),
                sequence=1,
                action=Action.CREATE,
                run_id="r",
                token="t",
                wave=3,
                attempt=attempt().queued_at,
                consumed=Consumption.of(used),
            )
            puts.append(Put(KEYS.trigger(target), dump_record(record)))
        if what == "order":
            puts.append(Put(KEYS.order(target), dump_order(GivenOrder(draw(st.sampled_from(Order))))))
    for name in draw(st.sets(st.sampled_from(names), max_size=2)):
        puts.append(Put(KEYS.hold(PipelineRef("default", name)), dump_hold(Hold("because"))))
    for name in draw(st.sets(st.sampled_from(names), max_size=2)):
        watermark = draw(st.sampled_from((b"rubbish", dump_watermark(Watermark(NOW - timedelta(hours=2), 3)))))
        puts.append(Put(KEYS.watermark(PipelineRef("default", name)), watermark))
    store = CountingStore()
    for put in puts[:1] + draw(st.permutations(puts[1:])):
        store.commit(Transaction((), (put,)))
    return store


def parse(document: dict[str, Any]) -> Any:
    return parse_document(json.dumps(document), source="drawn")


def in_full(store: CountingStore) -> tuple[Reading, list[Target]]:
    """The reading of all keys, and everything that can be asked about."""
    reading = read(store, KEYS, at=NOW)
    pipelines = {*reading.propagation.graph, *(target.pipeline for target in reading.cache.targets())}
    return reading, [Target(pipeline, partition) for pipeline in sorted(pipelines) for partition in PARTITIONS]


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_one_partition_is_explained_as_by_a_reading_of_everything(store: CountingStore) -> None:
    full, targets = in_full(store)
    for target in targets:
        part = read(store, KEYS, at=NOW, about=About(target.pipeline, (target.partition,)))
        assert part.propagation.decide(target) == full.propagation.decide(target)
        assert explain(part.propagation, target) == explain(full.propagation, target)
        assert (target in part.late) == (target in full.late)
        known = target.partition in part.partitions_of(target.pipeline)
        assert known == (target.partition in full.partitions_of(target.pipeline))


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_all_partitions_of_a_pipeline_are_known_and_decided_alike(store: CountingStore) -> None:
    full, targets = in_full(store)
    for pipeline in {target.pipeline for target in targets}:
        part = read(store, KEYS, at=NOW, about=About(pipeline))
        assert part.partitions_of(pipeline) == full.partitions_of(pipeline)
        for partition in full.partitions_of(pipeline):
            target = Target(pipeline, partition)
            assert part.propagation.decide(target) == full.propagation.decide(target)
            assert part.propagation.readiness(target) == full.propagation.readiness(target)


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), st.data())
def test_what_would_run_because_of_an_act_is_the_same(store: CountingStore, data: st.DataObject) -> None:
    full, targets = in_full(store)
    target = data.draw(st.sampled_from(targets))
    change: Change = {target: data.draw(st.sampled_from((*Order, State.SUCCESS, State.FAILED)))}

    def steps(reading: Reading) -> Any:
        known = list(reading.cache.targets())
        revision = reading.cache.revision
        return cascade(reading.propagation.graph, reading.cache, change, known=known, revision=revision, now=NOW)

    part = read(store, KEYS, at=NOW, about=About(target.pipeline, (target.partition,), below=True))
    assert steps(part) == steps(full)


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds())
def test_what_would_run_once_a_hold_is_released_is_the_same(store: CountingStore) -> None:
    full, targets = in_full(store)

    def steps(reading: Reading, pipeline: PipelineRef) -> Any:
        graph, cache = reading.propagation.graph, reading.cache
        return cascade(
            graph, cache, {}, released=pipeline, known=list(cache.targets()), revision=cache.revision, now=NOW
        )

    for pipeline in {target.pipeline.whole for target in targets}:
        assert steps(read(store, KEYS, at=NOW, about=About(pipeline, below=True)), pipeline) == steps(full, pipeline)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(), st.integers(1, 5))
def test_the_newest_partitions_are_found_by_their_names_and_decided_alike(store: CountingStore, most: int) -> None:
    full, targets = in_full(store)
    for pipeline in {target.pipeline for target in targets if not target.pipeline.task}:
        part, names = read_newest(store, KEYS, pipeline, most=most, at=NOW)
        assert names.newest == read_newest(store, KEYS, pipeline, most=100)[1].newest[:most]
        assert names.count == len(read_newest(store, KEYS, pipeline, most=100)[1].newest)
        assert set(full.partitions_of(pipeline)) <= set(read_newest(store, KEYS, pipeline, most=100)[1].newest)
        for partition in names.newest:
            target = Target(pipeline, partition)
            assert part.propagation.decide(target).readiness == full.propagation.decide(target).readiness


@pytest.mark.slow
def test_of_a_pipeline_with_thousands_of_partitions_the_newest_are_decided_and_the_others_counted() -> None:
    store = CountingStore()
    document = {"d": "u", "u": ["r", "held"]}
    store.commit(
        Transaction((), (Put(KEYS.dependencies("default"), dump_publication(Publication(parse(document), {}))),))
    )
    partitions = [format_instant(NOW - timedelta(hours=hours)) for hours in range(3_000)]
    for number, partition in enumerate(partitions):
        have_run = "rud" if number else "r"  # of the newest only what is farthest has run
        states = [KEYS.state(Target(PipelineRef("default", name), partition)) for name in have_run]
        store.commit(Transaction((), tuple(Put(key, b"success") for key in states)))
    for revision in (0, store.list(KEYS.leader).revision):
        store.seen.clear()
        reading, names = read_newest(store, KEYS, PipelineRef("default", "d"), most=20, revision=revision)
        assert (list(names.newest), names.count) == (partitions[:20], 3_000)
        assert len(list(reading.cache.targets())) < 100
    assert len(names.seen[PipelineRef("default", "u")]) == 2_999


def test_only_what_matters_is_read() -> None:
    document = {"d": ["u", "v"], "below": "d", "beside": "u", "other": "w"}
    store = CountingStore()
    store.commit(
        Transaction((), (Put(KEYS.dependencies("default"), dump_publication(Publication(parse(document), {}))),))
    )
    for name in ("u", "v", "d", "below", "beside", "other", "w"):
        for day in (20, 21):
            target = Target(PipelineRef("default", name), f"2026-11-{day}T00:00:00Z")
            store.commit(Transaction((), (Put(KEYS.state(target), b"success"),)))
    about = About(PipelineRef("default", "d"), ("2026-11-20T00:00:00Z",))
    store.seen.clear()
    read(store, KEYS, about=about)
    states = {key.removeprefix(KEYS.every("state", "default")) for key in store.seen if "/state/" in key}
    assert states == {f"{name}/2026-11-20T00:00:00Z" for name in "duv"}
    store.seen.clear()
    read(store, KEYS, about=replace(about, below=True))
    states = {key.removeprefix(KEYS.every("state", "default")) for key in store.seen if "/state/" in key}
    assert states == {f"{name}/2026-11-20T00:00:00Z" for name in ("d", "u", "v", "below")}


def test_all_ranges_are_read_at_one_revision() -> None:
    """A watcher goes on writing in between: half of what it did must not be seen."""

    class BusyStore(CountingStore):
        def list(
            self, prefix: str, *, through: str = "", revision: int = 0, largest: Callable[[str], int] | None = None
        ) -> Listing:
            listing = super().list(prefix, through=through, revision=revision, largest=largest)
            self.commit(Transaction((), (Put(KEYS.state(target), b"failed"),)))
            return listing

    target = Target(PipelineRef("default", "d"), "all")
    store = BusyStore()
    store.commit(Transaction((), (Put(KEYS.state(target), b"success"),)))
    seen = read(store, KEYS, about=About(target.pipeline, (target.partition,))).cache.state(target)
    assert seen is not None
    assert seen.value == RunStateDocument(state=State.SUCCESS).to_run_state()
