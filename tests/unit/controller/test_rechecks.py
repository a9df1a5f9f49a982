"""Rechecks: each target once at its newest moment, and no heap of moments that have been moved on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coordinator.controller.queue.rechecks import ROOM, Rechecks
from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import Readiness

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _decision(number: int, minutes: int | None) -> Decision:
    at = None if minutes is None else NOON + timedelta(minutes=minutes)
    return Decision(Target(PipelineRef("default", "d"), str(number)), Readiness.SETTLED, recheck_at=at)


def test_a_moment_that_is_moved_on_and_on_is_there_once() -> None:
    rechecks = Rechecks()
    for minutes in range(20 * ROOM):
        rechecks.note(_decision(0, minutes))
        rechecks.note(_decision(1, 5))
    assert len(rechecks) <= ROOM + 5
    due = rechecks.due(NOON + timedelta(minutes=10))
    assert [target.partition for target in due] == ["1"]
    assert [target.partition for target in rechecks.due(NOON + timedelta(minutes=20 * ROOM))] == ["0"]


def test_what_needs_no_recheck_any_more_is_not_named() -> None:
    rechecks = Rechecks()
    rechecks.note(_decision(0, 1))
    rechecks.note(_decision(1, 2))
    rechecks.note(_decision(0, None))
    assert [target.partition for target in rechecks.due(NOON + timedelta(minutes=3))] == ["1"]
