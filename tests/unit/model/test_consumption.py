"""What is kept of used completions answers as all of them would, whatever happens to them, and stays small."""

from __future__ import annotations

import base64
import json
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.controller.reconcile import records
from coordinator.model import consumption
from coordinator.model.bounds import KIB, MIB
from coordinator.model.consumption import NAMED, Consumed, Consumption
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State, Unreadable
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record, read_record
from coordinator.runners.port import ObservedRun

EPOCH = datetime(2026, 11, 20, tzinfo=UTC)
HOURLY = PipelineRef("team_b", "hourly_extraction")
TARGETS = [Target(PipelineRef("default", name), partition) for name in "ab" for partition in ("p", "q", "r\n\0é")]

attempts = st.builds(
    Attempt,
    st.sampled_from((None, "r", "s")),
    st.sampled_from((None, EPOCH, EPOCH + timedelta(microseconds=1))),
    st.sampled_from((None, 1, 2)),
)
ends = st.sampled_from((State.SUCCESS, State.FAILED))
Explicit = dict[Target, Consumed]
Step = tuple[list[Target], list[Target], Attempt, State]
steps = st.tuples(st.lists(st.sampled_from(TARGETS)), st.lists(st.sampled_from(TARGETS)), attempts, ends)


def as_record(consumed: Consumption, inputs: Consumption | None = None) -> TriggerRecord:
    status = Status.DONE if inputs is None else Status.INTENT
    return TriggerRecord(
        status, 1, Action.CLEAR, "r", "t" * 32, 9, consumed=consumed, inputs=inputs or consumption.NOTHING
    )


def written_and_read(consumed: Consumption) -> Consumption:
    read = read_record(dump_record(as_record(consumed)))
    assert isinstance(read, TriggerRecord)
    return read.consumed


@pytest.mark.slow
@given(st.lists(steps, max_size=12), st.integers(0, 4))
def test_it_knows_the_completions_that_were_used_and_no_others(history: list[Step], named: int) -> None:
    """In each step completions are put, some of what stands there is used, and all is written down and read."""
    patch = pytest.MonkeyPatch()
    patch.setattr(consumption, "NAMED", named)
    try:
        kept, explicit = Consumption(), Explicit()
        present: dict[Target, tuple[RunState, int]] = {}
        revision = 0
        for put, used, attempt, end in history:
            for target in put:
                revision += 1
                present[target] = RunState(end, attempt), revision
            uses = {
                target: Consumed(present[target][1], present[target][0].attempt, present[target][0].state)
                for target in used
                if target in present
            }
            assert Consumption.of(uses).is_made_of(uses)
            kept = written_and_read(kept.and_then(Consumption.of(uses)))
            explicit |= uses
            assert set(kept.targets()) == explicit.keys()
            assert len(kept) == len(explicit)
            for pipeline in {target.pipeline for target in explicit}:
                stood_on = [one.revision for target, one in explicit.items() if target.pipeline == pipeline]
                assert kept.newest_revision((pipeline,)) >= max(stood_on)
            for target, (state, at) in present.items():
                known = target in explicit and explicit[target].is_same(state, at)
                assert kept.knows(target, state, at) is known
    finally:
        patch.undo()


@given(st.dictionaries(st.sampled_from(TARGETS), st.builds(Consumed, st.integers(1, 9), attempts, ends), min_size=1))
def test_other_completions_are_other_inputs(inputs: Explicit) -> None:
    kept = Consumption.of(inputs)
    target, one = next(iter(inputs.items()))
    fewer = {other: it for other, it in inputs.items() if other != target}
    assert not kept.is_made_of(fewer)
    ended = State.FAILED if one.state is State.SUCCESS else State.SUCCESS
    assert not kept.is_made_of({**inputs, target: Consumed(10, one.attempt, ended)})
    assert not kept.is_made_of({**fewer, Target(target.pipeline, "elsewhere"): one})


def hours(count: int) -> Explicit:
    found = {}
    for number in range(count):
        hour = datetime(2028, 1, 1, tzinfo=UTC) + timedelta(hours=number)
        queued = hour + timedelta(hours=1, microseconds=number * 7919)
        attempt = Attempt(f"scheduled__{hour.isoformat()}", queued)
        found[Target(HOURLY, format_instant(hour))] = Consumed(10_000_000 + 37 * number, attempt, State.SUCCESS)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("count", "kib"), [(366 * 24, 64), (10_000, 66), (1500, 20), (500, 16)])
def test_the_record_of_a_wide_window_is_small(count: int, kib: int) -> None:
    used = hours(count)
    kept = Consumption.of(used)
    assert len(dump_record(as_record(kept))) < kib * KIB
    again = Consumption.of(
        {target: Consumed(one.revision + 10**6, one.attempt, one.state) for target, one in used.items()}
    )
    intent = as_record(kept, again)
    assert len(dump_record(intent)) < 2 * kib * KIB
    sent = records.sent(intent, ObservedRun("d", "r", State.QUEUED, EPOCH))
    assert len(dump_record(sent)) < kib * KIB
    assert read_record(dump_record(intent)) == intent


def test_the_record_of_a_wide_fan_in_is_small() -> None:
    one = Consumed(10**9, Attempt("coordinator__2026-11-20T00:00:00Z__1", EPOCH), State.SUCCESS)
    used = {
        Target(PipelineRef("default", f"a_pipeline_of_usual_length_{number * 7919 % 100_000:05}"), "2026-11-20"): one
        for number in range(10_000)
    }
    assert len(dump_record(as_record(Consumption.of(used)))) < 170 * KIB


def test_the_newest_completions_are_named() -> None:
    kept = Consumption.of(hours(100))
    assert len(kept.named) == NAMED
    assert kept.more == 100 - NAMED
    assert list(kept.named) == list(hours(100))[-NAMED:]
    few = hours(NAMED)
    assert Consumption.of(few) == Consumption(few)


def test_an_hour_set_to_failed_and_back_is_the_one_that_was_used() -> None:
    used = hours(100)
    target, one = next(iter(used.items()))
    kept = Consumption.of(used)
    assert target not in kept.named
    assert not kept.knows(target, RunState(State.FAILED, one.attempt), 20_000_000)
    assert kept.knows(target, RunState(State.SUCCESS, one.attempt), 20_000_001)


def test_an_hour_that_was_not_used_is_none_that_was_though_its_revision_is_lower() -> None:
    used = hours(100)
    target, one = used.popitem()
    first, _ = next(iter(used.items()))
    kept = Consumption.of(used)
    assert not kept.knows(Target(target.pipeline, first.partition + "Z"), RunState(one.state, one.attempt), 1)


shortened = st.lists(st.tuples(st.integers(-1, 9), st.text(max_size=3)).map(list), max_size=4)
windows = st.lists(
    st.tuples(st.sampled_from(("a", "default/a", "e/a", "", "/")), st.integers(-1, 9), shortened).map(list), max_size=3
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(windows | anything, st.integers(0, 12))
def test_whatever_is_packed_is_read_or_refused(names: object, count: int) -> None:
    more = {
        "count": count,
        "names": base64.b64encode(zlib.compress(json.dumps(names).encode())).decode(),
        "hashes": base64.b64encode(bytes(range(4 * count))).decode(),
    }
    value = json.loads(dump_record(as_record(consumption.NOTHING)))
    read = read_record(json.dumps({**value, "more_inputs": more}).encode())
    assert isinstance(read, Unreadable) or read_record(dump_record(read)) == read


@pytest.mark.slow
def test_few_bytes_that_unpack_to_many_are_not_read_to_the_end() -> None:
    partition = "x" * 1_000_000
    names = [["a", 1, [[0, partition], *([len(partition), "y"] for _ in range(100_000))]]]
    more = {
        "count": 100_001,
        "names": base64.b64encode(zlib.compress(json.dumps(names).encode())).decode(),
        "hashes": base64.b64encode(bytes(4 * 100_001)).decode(),
    }
    value = json.loads(dump_record(as_record(consumption.NOTHING)))
    tracemalloc.start()
    try:
        read = read_record(json.dumps({**value, "more_inputs": more}).encode())
        assert tracemalloc.get_traced_memory()[1] < 100 * MIB
    finally:
        tracemalloc.stop()
    assert isinstance(read, Unreadable)
    assert "more than" in read.reason


@pytest.mark.parametrize(
    "more",
    [
        '{"count": 1, "names": "?", "hashes": ""}',
        '{"count": 1, "names": "AAAA", "hashes": ""}',
        '{"count": 1, "names": "eJw=", "hashes": ""}',
        '{"count": 1, "names": "eJyLjgUAARUAuQ==", "hashes": "AAAA"}',
        '{"count": 1, "names": 7, "hashes": ""}',
    ],
    ids=["no Base64", "not compressed", "cut off", "hashes of nothing", "no text"],
)
def test_what_is_packed_wrongly_is_unreadable(more: str) -> None:
    value = dump_record(as_record(consumption.NOTHING)).decode()
    damaged = f'{value[:-1]},"more_consumed":{more}}}'
    assert isinstance(read_record(damaged.encode()), Unreadable)
