"""Runs that have ended without this process having played them: Airflow shows them, and reports tell of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from coordinator.model.references import Target
from coordinator.model.runstate import RunStateDocument, State
from tests.airflow_model.runs import Run
from tests.faults.stage import Stage
from tests.faults.witnessed_airflow import Happened, present
from tests.worlds.simulated_airflow import logical_date_of, partition_of


def document(partition: str, queued_at: datetime, state: State) -> RunStateDocument:
    """What is reported of an attempt."""
    return RunStateDocument(state=state, run_id=_run_id(partition), queued_at=queued_at, observed_at=queued_at)


def has_run(stage: Stage, target: Target, queued_at: datetime) -> None:
    """Airflow knows of it, as it will when it is looked at; and it has been told to the chronicle."""
    airflow = stage.airflows[target.pipeline.environment]
    run = Run(
        id=airflow.model.next_id(),
        dag_id=target.pipeline.dag_id,
        run_id=_run_id(target.partition),
        state=State.SUCCESS,
        queued_at=queued_at,
        run_after=queued_at,
        logical_date=logical_date_of(target.partition),
        start_date=queued_at,
        end_date=queued_at + timedelta(seconds=10),
    )
    with airflow.changed:
        airflow.model.add(run)
        stage.chronicle.saw_airflow(Happened(present(), target.pipeline.environment, "created", run))


def has_run_since(stage: Stage, target: Target, instant: datetime) -> bool:
    """Whether an attempt that was queued since then has ended."""
    return ended_since(stage, target, instant) is not None


def ended_since(stage: Stage, target: Target, instant: datetime) -> datetime | None:
    """When an attempt that was queued since then has ended, if one has."""
    runs = stage.airflows[target.pipeline.environment].runs(target.pipeline.dag_id)
    ends = (
        run.end_date
        for run in runs
        if partition_of(run) == target.partition and run.queued_at is not None and run.queued_at > instant
    )
    return max((end for end in ends if end is not None), default=None)


def _run_id(partition: str) -> str:
    return f"scheduled__{partition}"
