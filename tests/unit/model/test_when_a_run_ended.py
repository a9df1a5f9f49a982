"""When a run or a task ended, as people are told it: its environment says so, or it was only seen then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.model.explanation.words import did
from coordinator.model.runstate import Attempt, RunState, RunStateDocument, State
from coordinator.model.taskstate import TaskInstance, TaskState, task_state_of

ENDED = datetime(2026, 11, 20, 12, tzinfo=UTC)
SEEN = ENDED + timedelta(hours=3)


def a_run(*, end_date: datetime | None, observed_at: datetime | None, marked: bool | None = None) -> RunState:
    document = RunStateDocument(
        state=State.FAILED, run_id="r", end_date=end_date, observed_at=observed_at, marked=marked
    )
    return document.to_run_state()


def a_task(*, end_date: datetime | None) -> TaskState:
    instance = TaskInstance(-1, "id", "failed", 1, None, end_date)
    return task_state_of([instance], run=Attempt("r"), observed_at=SEEN)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (a_run(end_date=ENDED, observed_at=SEEN), "failed in run r at 2026-11-20T12:00:00Z"),
        (a_run(end_date=ENDED, observed_at=None), "failed in run r at 2026-11-20T12:00:00Z"),
        (a_run(end_date=None, observed_at=SEEN), "failed in run r, seen at 2026-11-20T15:00:00Z"),
        (a_run(end_date=ENDED, observed_at=SEEN, marked=True), "failed in run r at 2026-11-20T15:00:00Z"),
        (a_run(end_date=None, observed_at=None), "failed in run r"),
        (a_task(end_date=ENDED), "failed in run r at 2026-11-20T12:00:00Z"),
        (a_task(end_date=None), "failed in run r, seen at 2026-11-20T15:00:00Z"),
    ],
    ids=["seen late", "reported", "no end is known", "marked", "no time is known", "task", "task that never ran"],
)
def test_an_end_that_was_only_seen_is_not_shown_as_the_end(state: RunState, says: str) -> None:
    assert did(state) == says


def test_a_run_is_in_its_state_since_it_ended() -> None:
    assert a_run(end_date=ENDED, observed_at=SEEN).since == ENDED
    assert a_run(end_date=None, observed_at=SEEN).since == SEEN
