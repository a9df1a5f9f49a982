"""The run that a task belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.model.partitions.instants import dag_or_item, partition_of_run
from coordinator.model.references import PipelineRef, Target, WaitRef


def run_of(context: Mapping[str, Any], environment: str) -> tuple[Target, str]:
    """The pipeline and partition of the run of a task, and its run_id.

    :param context: of the task.
    :param environment: the name of this Airflow.
    """
    dag_run = context["dag_run"]
    partition = partition_of_run(
        run_id=dag_run.run_id,
        logical_date=dag_run.logical_date,
        partition_key=getattr(dag_run, "partition_key", None),  # Airflow 2 has none
        conf=dag_run.conf,
    )
    dag_id = dag_or_item(dag_run.dag_id, dag_run.run_id, dag_run.conf)
    return Target(PipelineRef(environment, dag_id), partition), dag_run.run_id


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def attempt_of(context: Mapping[str, Any]) -> int:
    """The attempt of the run of a task: equal for its retries, and greater after each clear of the run.

    It is the start of the run in microseconds since 1970, plus the number of clears. A clear of a run that goes on
    keeps the start; a run that is deleted and made again under its name has no clears, and another start.

    :param context: of the task.
    """
    dag_run = context["dag_run"]
    started = (dag_run.start_date - _EPOCH) // timedelta(microseconds=1) if dag_run.start_date is not None else 0
    return int(started) + (dag_run.clear_number or 0) + 1


def map_index_of(context: Mapping[str, Any]) -> int:
    """Of a mapped task, which of its instances it is; -1: it is not mapped. (Airflow 2 has ``None`` for that, too.)"""
    map_index = getattr(context["ti"], "map_index", -1)
    return -1 if map_index is None else map_index


def began_of(context: Mapping[str, Any], number: int) -> tuple[datetime, str]:
    """When the attempt of the run of a task began, and a name for what the task makes in it, equal for its retries.

    :param number: of several such things.
    """
    dag_run, instance = context["dag_run"], context["ti"]
    index = map_index_of(context)
    began = dag_run.start_date or dag_run.logical_date or _EPOCH
    return began, f"{attempt_of(context)} {instance.dag_id} {dag_run.run_id} {instance.task_id} {index} {number}"


def triggering_events(context: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The asset events that have started the run of a task, each with the URI of its asset."""
    consumed = getattr(context["dag_run"], "consumed_asset_events", None)
    if consumed is not None:
        yield from ((event.asset.uri, event) for event in consumed)
    else:  # Airflow 2
        for uri, events in context["triggering_dataset_events"].items():
            yield from ((uri, event) for event in events)


def wait_of(context: Mapping[str, Any], environment: str) -> tuple[WaitRef, str]:
    """The wait of a sensor, and the id of its task instance; Airflow 2 has none, so that it is empty."""
    target, run_id = run_of(context, environment)
    instance = context["ti"]
    return WaitRef(target, run_id, instance.task_id, map_index_of(context)), str(getattr(instance, "id", None) or "")


MAX_TASKS_BELOW = 200
"""Tasks below a sensor that its wait names."""


def tasks_below(context: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The ids of all tasks below a task; ``None``: too many to name.

    :param context: of the task.
    """
    found = sorted(context["task"].get_flat_relative_ids(upstream=False))
    return tuple(found) if len(found) <= MAX_TASKS_BELOW else None
