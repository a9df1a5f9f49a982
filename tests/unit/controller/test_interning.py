"""A million keys fit into memory because equal things are kept once; what is kept says the same all the same."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.controller.state.cache import Cache
from coordinator.controller.state.interning import USUAL, Interning, Recent
from coordinator.model import bounds
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, RunStateDocument, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record, read_record
from coordinator.store.keys import Keys
from coordinator.store.port import KeyValue, Listing

KEYS = Keys()
PARTITION = "2026-11-20T00:00:00Z"
QUEUED_AT = datetime(2026, 11, 21, tzinfo=UTC)
UPSTREAMS = [Target(PipelineRef("default", name), PARTITION) for name in ("u1", "u2")]
DOWNSTREAM = Target(PipelineRef("default", "d"), PARTITION)
STATE = RunStateDocument(state=State.SUCCESS, run_id="scheduled__1", queued_at=QUEUED_AT)
RECORD = TriggerRecord(
    status=Status.DONE,
    sequence=1,
    action=Action.CREATE,
    run_id="scheduled__1",
    token="t",
    wave=2,
    attempt=QUEUED_AT,
    consumed=Consumption.of(
        {
            UPSTREAMS[0]: Consumed(2, Attempt("scheduled__1", QUEUED_AT), State.SUCCESS),
            UPSTREAMS[1]: Consumed(1, Attempt("scheduled__0", QUEUED_AT), State.FAILED),  # not the present one
        }
    ),
    who="w",
)


def _cache() -> Cache:
    cache = Cache(KEYS)
    items = [KeyValue(KEYS.state(target), STATE.to_value(), 2, 2) for target in (*UPSTREAMS, DOWNSTREAM)]
    cache.replace(Listing([*items, KeyValue(KEYS.trigger(DOWNSTREAM), dump_record(RECORD), 3, 3)], 3, 1))
    return cache


def _state(cache: Cache, target: Target) -> RunState:
    seen = cache.state(target)
    assert seen is not None
    assert isinstance(seen.value, RunState)
    return seen.value


def _record(cache: Cache) -> TriggerRecord:
    seen = cache.record(DOWNSTREAM)
    assert seen is not None
    assert isinstance(seen.value, TriggerRecord)
    return seen.value


def test_what_is_shared_says_what_was_read() -> None:
    cache = _cache()
    assert _record(cache) == RECORD == read_record(dump_record(RECORD))
    assert all(_state(cache, target) == STATE.to_run_state() for target in (*UPSTREAMS, DOWNSTREAM))


def test_a_record_keeps_no_copy_of_the_states_it_stands_on() -> None:
    cache = _cache()
    consumed = _record(cache).consumed.named
    assert consumed[UPSTREAMS[0]].attempt is _state(cache, UPSTREAMS[0]).attempt
    assert consumed[UPSTREAMS[1]].attempt is not _state(cache, UPSTREAMS[1]).attempt
    assert _record(cache).attempt is _state(cache, DOWNSTREAM).attempt.queued_at


def test_pipelines_partitions_and_run_ids_are_kept_once() -> None:
    cache = _cache()
    first, second, downstream = cache.targets()
    assert first.partition is second.partition
    assert first.pipeline is next(iter(_record(cache).consumed.named)).pipeline
    assert _state(cache, first).attempt.run_id is _state(cache, second).attempt.run_id
    assert _record(cache).run_id is _state(cache, downstream).attempt.run_id


def test_a_listing_is_used_up_so_that_nothing_is_held_twice() -> None:
    items = [KeyValue(KEYS.state(target), STATE.to_value(), 2, 2) for target in UPSTREAMS]
    cache = Cache(KEYS)
    cache.replace(Listing(items, 2, 1))
    assert items == []
    assert list(cache.targets()) == UPSTREAMS


PIPELINE = PipelineRef("sales", "load_orders")


def text(number: int) -> str:
    """A new object each time."""
    return f"partition {number:07}"


def test_a_text_that_comes_again_soon_is_the_same_object() -> None:
    recent: Recent[str, str] = Recent(str, most=10)
    first = recent[text(0)]
    for number in range(1, 10):
        recent[text(number)]
    assert recent[text(0)] is first


def test_a_text_that_keeps_coming_is_the_same_object_however_many_others_come() -> None:
    recent: Recent[str, str] = Recent(str, most=10)
    first = recent[text(0)]
    for number in range(1, 1000):
        recent[text(number)]
        assert recent[text(0)] is first


def test_long_texts_do_not_fill_the_memory() -> None:
    """One reporter may rewrite one key with another long run_id each time."""
    recent: Recent[str, str] = Recent(str, most=1000)
    for number in range(1000):
        recent["x" * 10_000 + str(number)]
    kept = [*recent, *recent._older]
    assert sum(map(len, kept)) < 2 * 1000 * USUAL + 2 * 10_100


def test_what_is_none_is_not_remembered() -> None:
    """Whoever writes a hundred thousand foreign keys makes nobody remember their names."""
    recent: Recent[str, None] = Recent(lambda _: None, most=10)
    assert recent["/coordinator/state/a"] is None
    assert len(recent) == 0


_parts = st.sampled_from(["", "a", "b", "%2D", "%2F", "%", "é", "a b", "\x00", "\udc80", "a\n", "x" * bounds.NAME])
_kinds = st.sampled_from(["state", "trigger", "order", "hold", "floor", "dependencies", "leader", "states", ""])


@given(
    keys=st.lists(
        st.builds(
            lambda root, kind, parts: "/".join([root, kind, *parts]),
            st.sampled_from(["/coordinator", "/coordinator/", "/other", ""]),
            _kinds,
            st.lists(_parts, max_size=5),
        ),
        max_size=30,
    )
)
@example(keys=["/coordinator/state/a/b/c", "/coordinator/trigger/a/b/d", "/coordinator/trigger/a/b/c"])
def test_a_key_made_of_known_parts_holds_what_it_holds_by_itself(keys: list[str]) -> None:
    interning = Interning(KEYS, lambda _: None, recent=4)
    for key in [*keys, *reversed(keys)]:
        assert interning.parse(key) == KEYS.parse(key)


@pytest.mark.slow
def test_partitions_that_are_dropped_again_leave_no_memory_taken() -> None:
    """Python's own table of interned strings keeps each of them for ever, from CPython 3.12 on."""
    interning = Interning(KEYS, lambda _: None, recent=1000)

    def drop(first: int) -> None:
        for number in range(first, first + 100_000):
            interning.parse(KEYS.state(Target(PIPELINE, text(number))))
            interning.state(RunState(State.SUCCESS, Attempt(run_id=f"run {number}")))

    drop(0)
    before = sys.getallocatedblocks()
    for first in range(100_000, 300_000, 100_000):
        drop(first)
    assert sys.getallocatedblocks() - before < 10_000
