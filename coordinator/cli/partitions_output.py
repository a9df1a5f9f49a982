"""The state of partitions, one row each: the part of ``coordinator status`` about pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import roughly, table

if TYPE_CHECKING:
    from coordinator.cli.tables import Table
    from coordinator.model.references import PipelineRef, Target
    from coordinator.model.runstate import RunState
    from coordinator.model.trigger import TriggerRecord
    from coordinator.reading.reading import Reading

_COLUMNS = (
    "pipeline",
    "partition",
    "state",
    "readiness",
    "age",
    "since",
    "late_since",
    "record",
    "run_id",
    "last_error",
)


def newest_of_each(targets: Iterable[Target], limit: int) -> list[Target]:
    """The newest partitions of each pipeline, the oldest of them first."""
    from coordinator.model.partitions.instants import partition_order

    of_pipeline: dict[PipelineRef, list[Target]] = {}
    for target in targets:
        of_pipeline.setdefault(target.pipeline, []).append(target)
    return [
        target
        for _, group in sorted(of_pipeline.items())
        for target in sorted(group, key=lambda one: partition_order(one.partition))[-limit:]
    ]


def partition_as_json(reading: Reading, target: Target, now: datetime) -> dict[str, Any]:
    """One partition for programs."""
    from coordinator.model.explanation import headline
    from coordinator.model.partitions.instants import format_instant
    from coordinator.model.view import readable_record, readable_state

    decision = reading.propagation.decide(target)
    state, record = reading.cache.state(target), readable_record(reading.cache.record(target))
    readable = readable_state(state)
    since = _since(readable, record)
    if since is not None:
        since = since.replace(microsecond=0)
    return {
        "pipeline": str(target.pipeline),
        "partition": target.partition,
        "since": format_instant(since) if since is not None else None,
        "age": max(0, round((now - since).total_seconds())) if since is not None else None,
        "state": str(readable.state) if readable is not None else ("unreadable" if state is not None else None),
        "readiness": str(decision.readiness),
        "record": str(record.status) if record is not None else None,
        "run_id": (record.run_id if record is not None else None)
        or (readable.attempt.run_id if readable is not None else None),
        "wave": record.wave if record is not None else None,
        "late_since": format_instant(decision.due_by) if decision.late and decision.due_by is not None else None,
        "last_error": record.last_error if record is not None else None,
        "says": headline(decision),
    }


def partitions_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The same for people."""
    return table(*_COLUMNS, rows=map(_cells, rows))


def _since(state: RunState | None, record: TriggerRecord | None) -> datetime | None:
    """Since when it has its present state, if that is known."""
    from coordinator.model.trigger import Status

    told = [state.since] if state is not None else []
    if record is not None and (state is None or record.status is not Status.DONE):
        told.append(record.blocked_since or record.when)
    return max((one for one in told if one is not None), default=None)


def _cells(row: dict[str, Any]) -> list[str]:
    age = roughly(row["age"]) if row["age"] is not None else None
    return [(row | {"age": age})[column] or "" for column in _COLUMNS]
