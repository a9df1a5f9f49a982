"""Parts of a reading for programs: concerns, partitions, observed environments, as ``coordinator status --json`` prints
them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coordinator.model.durations import age_of
from coordinator.model.partitions.instants import format_instant

if TYPE_CHECKING:
    from coordinator.config.environments import EnvironmentSettings
    from coordinator.model.references import PipelineRef, Target
    from coordinator.model.runstate import RunState
    from coordinator.model.trigger import TriggerRecord
    from coordinator.reading.attention import Attention, Concern
    from coordinator.reading.reading import Reading

LISTED = 10
"""Partitions behind a concern that are listed for programs."""


def attention_as_json(attention: Attention, now: datetime) -> list[dict[str, Any]]:
    """Each concern for programs."""
    return [_concern(one, now) for one in attention.concerns]


def _concern(concern: Concern, now: datetime) -> dict[str, Any]:
    place, cause, since = concern.place, concern.cause, concern.cause.since
    return {
        "kind": str(place.matter),
        "needs_person": place.matter.needs_person,
        "pipeline": str(place.pipeline),
        "partition": place.partition,
        "says": cause.says,
        "remedy": cause.remedy or None,
        "run_id": cause.run_id,
        "since": format_instant(since.replace(microsecond=0)) if since is not None else None,
        "age": age_of(since, now),
        "waiting": {
            "partitions": len(concern.waiting),
            "pipelines": len({one.pipeline for one in concern.waiting}),
            "nearest": [
                {"pipeline": str(one.pipeline), "partition": one.partition} for one in concern.waiting[:LISTED]
            ],
        },
    }


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


def _since(state: RunState | None, record: TriggerRecord | None) -> datetime | None:
    """Since when it has its present state, if that is known."""
    from coordinator.model.trigger import Status

    told = [state.since] if state is not None else []
    if record is not None and (state is None or record.status is not Status.DONE):
        told.append(record.blocked_since or record.when)
    return max((one for one in told if one is not None), default=None)


def observed_as_json(
    environments: Mapping[str, EnvironmentSettings], cursors: Mapping[str, datetime], now: datetime
) -> list[dict[str, Any]]:
    """Each environment in which nothing reports, and up to when its runs are known.

    :param environments: the configured ones. :param cursors: what stands in etcd, by environment.
    """
    return [
        {
            "environment": name,
            "known_until": format_instant(until.replace(microsecond=0)) if until is not None else None,
            "age": age_of(until, now),
        }
        for name, until in ((name, cursors.get(name)) for name in observed_in(environments))
    ]


def observed_in(environments: Mapping[str, EnvironmentSettings]) -> Iterable[str]:
    """The names of those in which nothing reports."""
    return sorted(name for name, one in environments.items() if one.is_observed)
