"""Retries and time limits: when a run that failed is started again, and when one that goes on is stopped
(docs/architecture.md#retries-and-time-limits). Pure.

Both concern the run that the coordinator started, in the attempt that its newest request made or in a later one: a
person who clears that run by hand makes one more attempt of it. Attempts are told apart by ``queued_at``; without one,
nothing is retried and nothing is stopped. Everything that is needed is in the trigger record and in the run state, so
that a successor goes on where its predecessor ended.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from coordinator.model.dependencies import Downstream
from coordinator.model.durations import after
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.trigger import Status, TriggerRecord


class Retry(msgspec.Struct, frozen=True):
    """A retry that is to come. :ivar at: from then on. :ivar number: from 1. :ivar most: so many are allowed."""

    at: datetime
    number: int
    most: int

    def __str__(self) -> str:
        return f"retry {self.number} of {self.most}"


_AT_ONCE = datetime.min.replace(tzinfo=UTC)


def has_retries_left(record: TriggerRecord, downstream: Downstream) -> bool:
    """Whether a run may be started again since it was last fired."""
    return record.retried < downstream.retries


def retry_of(record: TriggerRecord | None, state: RunState | None, downstream: Downstream) -> Retry | None:
    """When a failed run is to be started again; ``None``: it is not.

    A failure that a person has marked (``coordinator mark``) is a decision, and stands.

    :param record: of the target. :param state: its own run state.
    """
    if record is None or state is None or state.state is not State.FAILED or state.marked:
        return None
    if not has_retries_left(record, downstream) or not _is_of_our_run(record, state.attempt):
        return None
    ended = state.completed_at or record.when or _AT_ONCE
    return Retry(after(ended, downstream.retry_delay), record.retried + 1, downstream.retries)


def are_used_up(record: TriggerRecord | None, state: RunState | None, downstream: Downstream) -> bool:
    """Whether a run failed, and would be started again if it had not been as often as allowed."""
    if record is None or state is None or state.state is not State.FAILED or not downstream.retries:
        return False
    return not has_retries_left(record, downstream) and _is_of_our_run(record, state.attempt)


def attempt_to_stop(record: TriggerRecord | None, state: RunState | None) -> Attempt | None:
    """The attempt that a time limit concerns: it goes on, as far as is known. ``None``: there is none."""
    if record is None or record.run_id is None:
        return None
    if state is not None and not state.state.is_terminal and _is_of_our_run(record, state.attempt):
        return state.attempt
    if record.status is not Status.SENT or record.attempt is None:
        return None
    if state is not None and state.state.is_terminal and _is_of_our_run(record, state.attempt):
        return None  # it has ended
    return Attempt(record.run_id, record.attempt)


def time_limit_of(record: TriggerRecord | None, state: RunState | None, downstream: Downstream) -> datetime | None:
    """The moment from which on the run is to be stopped if it still goes on; ``None``: it may take any time.

    It counts from the attempt's ``queued_at``, or from the intent where that is later: where an environment does not
    show when a run was queued, an earlier moment stands for it.
    """
    if downstream.timeout is None or record is None:
        return None
    attempt = attempt_to_stop(record, state)
    if attempt is None or attempt.queued_at is None:
        return None
    began = attempt.queued_at if record.when is None else max(attempt.queued_at, record.when)
    return after(began, downstream.timeout)


def _is_of_our_run(record: TriggerRecord, attempt: Attempt) -> bool:
    """Whether an attempt is the one that our newest successful request made, or a later one of the same run."""
    ours = record.attempt or record.previous_attempt
    if record.run_id is None or attempt.run_id != record.run_id or ours is None or attempt.queued_at is None:
        return False
    return attempt.queued_at >= ours
