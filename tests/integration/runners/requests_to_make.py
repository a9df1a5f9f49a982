"""Requests as the watcher makes them."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta

from coordinator.model.partitions.instants import coordinator_run_id, format_instant
from coordinator.model.trigger import Action
from coordinator.runners.port import ObservedRun, StartRequest


def some_date() -> datetime:
    """A date that no other test uses: a real Airflow is shared by all of them."""
    return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(600_000_000))


def create(dag_id: str, *, date: datetime | None = None, run_id: str | None = None, token: str = "") -> StartRequest:
    """A create in the partition of ``date``; without one, in a partition that is no date."""
    partition = format_instant(date) if date else f"customers {uuid.uuid4().hex}/a%b"
    token = token or uuid.uuid4().hex
    return StartRequest(
        dag_id=dag_id,
        action=Action.CREATE,
        run_id=run_id or coordinator_run_id(partition, 1),
        token=token,
        logical_date=date,
        conf={"coordinator": {"partition": partition, "sequence": 1, "token": token, "wave": 7, "inputs": []}},
    )


def clear(run: ObservedRun) -> StartRequest:
    return StartRequest(
        dag_id=run.dag_id, action=Action.CLEAR, run_id=run.run_id, token=uuid.uuid4().hex, before=run.queued_at
    )
