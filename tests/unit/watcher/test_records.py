"""The life of a trigger record, where a case in a world would not see the difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, State
from coordinator.model.trigger import Consumed, Status, TriggerRecord, dump_record, read_record
from coordinator.model.view import Standing
from coordinator.runners.port import ObservedRun
from coordinator.watcher import records

TARGET = Target(PipelineRef("default", "d"), "p")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def intend(previous: TriggerRecord | None, *, minutes: int) -> TriggerRecord:
    decision = Decision(TARGET, Standing.BUSY, wave=7)
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


def completions(*revisions: int) -> dict[Target, Consumed]:
    upstream = PipelineRef("default", "u")
    return {Target(upstream, f"{at:06}"): Consumed(at, Attempt(f"run {at}"), State.SUCCESS) for at in revisions}


def test_what_is_consumed_without_a_run_is_forgotten_as_what_is_consumed_by_one() -> None:
    """Behind ``latest`` there is a new input with each completion, for years, and etcd takes a megabyte and a half."""
    record = records.sent(intend(None, minutes=0), ObservedRun("d", "r", State.QUEUED, NOON))
    most = records.CONSUMED_PARTITIONS
    for at in range(1, most + 11):
        record = records.ignored(record, completions(at))
    assert record.consumed.keys() == completions(*range(11, most + 11)).keys()
    given_up = records.skipped(Decision(TARGET, Standing.BUSY), record, "late", who="w", when=NOON)
    assert given_up.consumed == record.consumed
