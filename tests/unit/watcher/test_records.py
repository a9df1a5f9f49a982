"""The life of a trigger record, where a case in a world would not see the difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.trigger import Status, TriggerRecord, dump_record, read_record
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
