"""The life of a trigger record, where a case in a world would not see the difference."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from coordinator.controller.reconcile import records
from coordinator.model.consumption import Consumed
from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, State
from coordinator.model.trigger import Status, TriggerRecord, dump_record, read_record
from coordinator.model.view import Readiness
from coordinator.runners.port import ObservedRun

TARGET = Target(PipelineRef("default", "d"), "p")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def intend(previous: TriggerRecord | None, *, minutes: int) -> TriggerRecord:
    decision = Decision(TARGET, Readiness.BUSY, wave=7)
    return records.intend(decision, previous, None, who="w", when=NOON + timedelta(minutes=minutes))


def test_how_long_it_has_been_refused_outlasts_the_tries_and_ends_with_them() -> None:
    first = records.blocked(intend(None, minutes=0), "403: no role")
    again = records.blocked(intend(first, minutes=1), "403: no role")
    assert (again.status, again.when, again.blocked_since) == (Status.BLOCKED, NOON + timedelta(minutes=1), NOON)
    assert read_record(dump_record(again)) == again
    taken = records.sent(intend(again, minutes=2), ObservedRun("d", "r", State.QUEUED, NOON))
    assert taken.blocked_since is None
    assert records.withdrawn(again, "it is not due any more").blocked_since is None
    assert records.blocked(intend(taken, minutes=9), "404").blocked_since == NOON + timedelta(minutes=9)


def completion(partition: str, at: int, *, as_newest: bool = True) -> dict[Target, Consumed]:
    upstream = PipelineRef("default", "u")
    return {Target(upstream, partition): Consumed(at, Attempt(f"run {at}", NOON), State.SUCCESS, as_newest)}


def test_a_record_that_stands_on_newest_completions_does_not_grow() -> None:
    """Behind ``latest`` and ``fixed_key`` there is a new input with each completion, for years."""
    record = records.sent(intend(None, minutes=0), ObservedRun("d", "r", State.QUEUED, NOON))
    for at in range(1, 3000):
        record = records.ignored(record, completion(f"{at:06}", at))
    assert record.consumed.named == completion("002999", 2999)
    given_up = records.skipped(Decision(TARGET, Readiness.BUSY), record, "late", who="w", when=NOON)
    assert given_up.consumed == record.consumed


def test_where_the_newest_was_deleted_its_revision_is_not_forgotten() -> None:
    record = records.sent(intend(None, minutes=0), ObservedRun("d", "r", State.QUEUED, NOON))
    for partition, at in (("a", 1), ("b", 9), ("c", 4), ("d", 5), ("e", 3)):
        record = records.ignored(record, completion(partition, at))
    assert set(record.consumed.targets()) == {*completion("b", 9), *completion("e", 3)}
    assert record.consumed.newest_revision() == 9


def test_a_partition_that_is_asked_for_by_itself_is_not_replaced_by_a_newest_one() -> None:
    record = records.sent(intend(None, minutes=0), ObservedRun("d", "r", State.QUEUED, NOON))
    record = records.ignored(record, completion("a", 1, as_newest=False))
    record = records.ignored(record, completion("b", 2))
    assert set(record.consumed.targets()) == {*completion("a", 1), *completion("b", 2)}


def test_a_fork_gives_other_tokens() -> None:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, records._new_token().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100).decode() != records._new_token()
    os.close(reading)
    os.close(writing)
