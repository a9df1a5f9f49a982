"""Observed runs compared with etcd: whether to report a run on behalf of a pipeline that does not report."""

from __future__ import annotations

import enum
from dataclasses import replace
from datetime import datetime, timedelta

from coordinator.model.runstate import (
    Attempt,
    RunState,
    RunStateDocument,
    Unreadable,
    Verdict,
    evaluate_report,
)
from coordinator.runners.port import ObservedRun


class Assessment(enum.Enum):
    """What becomes of an observation."""

    NOTHING = "nothing new"
    REPORT = "report it"
    LATER = "give its own reporter the time to report it first"


def assess(
    present: RunState | Unreadable | None,
    run: ObservedRun,
    *,
    asked_at: datetime | None = None,
    in_flight: bool,
    seen_before: bool,
) -> Assessment:
    """Whether an observed run is to be reported on its pipeline's behalf.

    :param present: the value of the state key.
    :param asked_at: when the environment was asked; a state that was observed since then is newer.
    :param in_flight: the pipeline's record waits for the end of a run that we started.
    :param seen_before: the same was observed some time ago already.
    """
    observed = RunState(run.state, Attempt(run.run_id, run.queued_at), asked_at)
    if not isinstance(present, RunState):
        # A key that somebody deleted means "not yet" and stays so, unless the run goes on or its end is waited for.
        return Assessment.REPORT if in_flight or not run.state.is_terminal else Assessment.NOTHING
    if run.is_estimated and not present.state.is_terminal and present.attempt.run_id == run.run_id:
        return Assessment.NOTHING  # it is queued, and was
    if run.is_estimated and _is_known_later(present, asked_at):
        return Assessment.NOTHING
    if present.attempt.queued_at is None:
        # Its writer sends no queued_at: its own report of the end would be another completion beside ours. So ours
        # waits for a second look, and is made only when the run is in flight.
        if not in_flight or not run.state.is_terminal:
            return Assessment.NOTHING
        return Assessment.REPORT if seen_before else Assessment.LATER
    return Assessment.REPORT if evaluate_report(present, observed) is Verdict.NEW else Assessment.NOTHING


def later_than(present: RunState | Unreadable | None, run: ObservedRun) -> ObservedRun:
    """The run; where an attempt of it has ended, and it is queued again, as the newer attempt that it is.

    What stands for its start is the moment of the answer, in whole seconds: an attempt before it may have been shorter.
    """
    if not run.is_estimated or not isinstance(present, RunState) or present.attempt.run_id != run.run_id:
        return run
    before = present.attempt.queued_at
    if not present.state.is_terminal or before is None or run.queued_at is None or run.queued_at > before:
        return run
    return replace(run, queued_at=before + timedelta(microseconds=1))


def _is_known_later(present: RunState, asked_at: datetime | None) -> bool:
    """Whether a state was observed after the question."""
    return asked_at is not None and present.observed_at is not None and present.observed_at > asked_at


def document_of(run: ObservedRun, *, reported_by: str, observed_at: datetime) -> RunStateDocument:
    """The run state that an observation becomes."""
    return RunStateDocument(
        state=run.state,
        run_id=run.run_id,
        queued_at=run.queued_at,
        logical_date=run.logical_date,
        partition_key=run.partition_key,
        start_date=run.start_date,
        end_date=run.end_date,
        observed_at=observed_at,
        reported_by=reported_by,
    )
