"""Observed runs compared with etcd: whether to report a run on behalf of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from coordinator.model.retention.watermark import Watermark
from coordinator.model.runstate import (
    Attempt,
    RunState,
    RunStateDocument,
    Unreadable,
    Verdict,
    evaluate_report,
)
from coordinator.runners.port import ObservedRun


@dataclass(frozen=True, slots=True)
class Followed:
    """A run of a pipeline that reports by itself, so that its own report has precedence.

    :ivar in_flight: the pipeline's record waits for the end of a run that we started.
    :ivar end_seen: the run was seen to have ended some time ago already.
    """

    in_flight: bool
    end_seen: bool


def observation_to_report(
    present: RunState | Unreadable | None,
    run: ObservedRun,
    *,
    asked_at: datetime,
    is_older: bool,
    watermark: Watermark | None,
    policy: Followed | None,
) -> ObservedRun | None:
    """The observation as it is to be reported on its pipeline's behalf; ``None``: it is not to be reported.

    A run that has ended and is queued again is reported as the newer attempt that it is.

    :param present: the value of the state key.
    :param asked_at: when the environment was asked.
    :param is_older: the state was written after that, so that it may be newer than what the environment has shown.
    :param watermark: of the pipeline: a run that retention has removed is not reported again.
    :param policy: ``None``: it is of an observed environment, where nothing else reports.
    """
    if watermark is not None and watermark.has_expired(RunState(run.state, Attempt(run.run_id, run.queued_at))):
        return None
    if not isinstance(present, RunState):
        # A key that somebody deleted means "not yet" and stays so, unless the run goes on or its end is waited for.
        return run if policy is None or policy.in_flight or not run.state.is_terminal else None
    is_same_run = present.attempt.run_id == run.run_id
    if run.queued_at is None and (policy is not None or is_older or present.attempt == Attempt(run.run_id)):
        return None  # it was made as running, and has not ended: it may be the attempt that is known
    if run.is_estimated and is_same_run and not present.state.is_terminal:
        return None  # it is queued, and was
    if run.is_estimated and is_older:
        return None
    if policy is not None and present.attempt.queued_at is None:
        # Its writer sends no queued_at: its own report of the end would be another completion beside ours. So ours
        # waits for a second look, and is made only when the run is in flight.
        return run if policy.in_flight and policy.end_seen and run.state.is_terminal else None
    if is_same_run and present.state.is_terminal:
        run = run.after(present.attempt.queued_at)
    observed = RunState(run.state, Attempt(run.run_id, run.queued_at), asked_at)
    return run if evaluate_report(present, observed) is Verdict.NEW else None


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
        note=run.note,
    )
