"""The shape of Airflow 3.3's bodies, both ways; ``recorded/`` holds real ones."""

from __future__ import annotations

import enum
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from coordinator.model.partitions.instants import format_instant
from coordinator.model.taskstate import TaskInstance
from tests.airflow_model.assets import AssetEvent, Assets
from tests.airflow_model.runs import Dag, Partitioning, Run

CONFLICT = {
    "detail": {
        "reason": "Unique constraint violation",
        "statement": "hidden",
        "orig_error": "hidden",
        "message": "Serious error when handling your request. Check logs for more details - "
        "you will find it in api server when you look for ID 2TPurqGQ",
    }
}
DATABASE_ERROR = {"detail": {**CONFLICT["detail"], "reason": "Database error"}}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TriggerBody(_Strict):
    dag_run_id: str | None = None
    data_interval_start: AwareDatetime | None = None
    data_interval_end: AwareDatetime | None = None
    logical_date: AwareDatetime | None
    run_after: datetime | None = None
    conf: dict[str, Any] | None = None
    note: str | None = None
    partition_key: str | None = None


class ClearBody(_Strict):
    dry_run: bool = True
    only_failed: bool = False
    only_new: bool = False
    run_on_latest_version: bool | None = None
    note: str | None = None


class TasksBody(_Strict):
    dag_ids: list[str] | None = None
    dag_run_ids: list[str] | None = None
    task_ids: list[str] | None = None
    order_by: Literal["id", "map_index"] = "id"
    page_offset: Annotated[int, Field(ge=0)] = 0
    page_limit: Annotated[int, Field(ge=0)] = 100


class ClearTasksBody(_Strict):
    dry_run: bool = True
    only_failed: bool = True
    reset_dag_runs: bool = True
    task_ids: list[str | tuple[str, int]] | None = None
    dag_run_id: str | None = None
    include_downstream: bool = False
    prevent_running_task: bool = False
    note: str | None = None


class AssetEventBody(_Strict):
    asset_id: int
    partition_key: Annotated[str, StringConstraints(pattern=r"\S", max_length=250)] | None = None
    extra: dict[str, Any] | None = None


class _SettableState(enum.Enum):
    QUEUED = "queued"
    SUCCESS = "success"
    FAILED = "failed"


class PatchRunBody(_Strict):
    state: _SettableState | None = None
    note: str | None = None


class PatchDagBody(_Strict):
    is_paused: bool


def complaints(error: ValidationError) -> dict[str, Any]:
    """FastAPI's 422."""
    return {
        "detail": [
            {**problem, "loc": ["body", *problem["loc"]]} for problem in json.loads(error.json(include_url=False))
        ]
    }


def _instant(value: datetime | None) -> str | None:
    return None if value is None else format_instant(value)


def run_body(run: Run) -> dict[str, Any]:
    """``DAGRunResponse``."""
    date = _instant(run.logical_date)
    ended = run.start_date is not None and run.end_date is not None
    return {
        "dag_run_id": run.run_id,
        "dag_id": run.dag_id,
        "logical_date": date,
        "queued_at": _instant(run.queued_at),
        "start_date": _instant(run.start_date),
        "end_date": _instant(run.end_date),
        "duration": (run.end_date - run.start_date).total_seconds() if ended else None,  # type: ignore[operator]
        "data_interval_start": date,
        "data_interval_end": date,
        "run_after": _instant(run.run_after),
        "last_scheduling_decision": _instant(run.start_date),
        "run_type": "manual",
        "state": run.state.value,
        "triggered_by": "rest_api",
        "triggering_user_name": run.by,
        "conf": run.conf,
        "note": run.note,
        "dag_versions": [
            {
                "id": "01a1fdfa-0657-7519-b13f-ea0de5e01eae",
                "version_number": 1,
                "dag_id": run.dag_id,
                "bundle_name": "dags-folder",
                "bundle_version": None,
                "created_at": "2026-11-21T11:59:43.698389Z",
                "dag_display_name": run.dag_id,
                "bundle_url": None,
            }
        ]
        if run.versioned
        else [],
        "bundle_version": None,
        "dag_display_name": run.dag_id,
        "partition_key": run.partition_key,
        "partition_date": _instant(run.partition_date),
    }


def page_body(runs: list[Run], total: int) -> dict[str, Any]:
    """``DAGRunCollectionResponse``."""
    return {
        "dag_runs": [run_body(run) for run in runs],
        "total_entries": total,
        "total_entries_limit": None,
        "next_cursor": None,
        "previous_cursor": None,
    }


def tasks_body(run_tasks: list[tuple[Run, str, TaskInstance]], total: int) -> dict[str, Any]:
    """``TaskInstanceCollectionResponse``."""
    return {
        "task_instances": [task_body(run, task_id, one) for run, task_id, one in run_tasks],
        "total_entries": total,
        "next_cursor": None,
        "previous_cursor": None,
    }


def task_body(run: Run, task_id: str, one: TaskInstance) -> dict[str, Any]:
    """``TaskInstanceResponse``."""
    return {
        "id": one.id,
        "task_id": task_id,
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "map_index": one.map_index,
        "logical_date": _instant(run.logical_date),
        "run_after": _instant(run.run_after),
        "start_date": _instant(one.start_date),
        "end_date": _instant(one.end_date),
        "duration": None,
        "state": one.state,
        "try_number": one.try_number,
        "max_tries": 0,
        "task_display_name": task_id,
        "dag_display_name": run.dag_id,
        "hostname": "",
        "unixname": "airflow",
        "pool": "default_pool",
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
        "operator": "BashOperator",
        "operator_name": "BashOperator",
        "queued_when": None,
        "scheduled_when": None,
        "pid": None,
        "executor": None,
        "executor_config": "{}",
        "note": None,
        "rendered_map_index": None,
        "rendered_fields": {},
        "trigger": None,
        "triggerer_job": None,
        "dag_version": None,
    }


def _timetable(summary: str | None, description: str, *, partitioned: bool, periodic: bool = False) -> dict[str, Any]:
    return {
        "timetable_summary": summary,
        "timetable_description": description,
        "timetable_partitioned": partitioned,
        "timetable_periodic": periodic,
        "next_dagrun_run_after": "2026-11-25T00:00:00Z" if periodic else None,
    }


_TIMETABLES = {
    None: _timetable(None, "Never, external triggers only", partitioned=False),
    Partitioning.AT_RUNTIME: _timetable(
        "PartitionedAtRuntime", "Never, partition key(s) set at runtime", partitioned=False
    ),
    Partitioning.BY_ASSETS: _timetable("Partitioned Asset", "Triggered by assets", partitioned=True),
    Partitioning.BY_CRON: _timetable("0 0 * * *", "At 00:00", partitioned=True, periodic=True),
}


def dag_body(dag: Dag) -> dict[str, Any]:
    """``DAGResponse``."""
    return {
        "dag_id": dag.dag_id,
        "dag_display_name": dag.dag_id,
        "is_paused": dag.paused,
        "is_stale": False,
        "last_parsed_time": "2026-11-21T12:05:47.574810Z",
        "last_parse_duration": 0.13,
        "last_expired": None,
        "bundle_name": "dags-folder",
        "bundle_version": None,
        "relative_fileloc": "dags.py",
        "fileloc": "/opt/airflow/dags/dags.py",
        "description": None,
        **_TIMETABLES[dag.keys],
        "tags": [],
        "max_active_tasks": 16,
        "max_active_runs": 16,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": False,
        "has_import_errors": False,
        "next_dagrun_logical_date": None,
        "next_dagrun_data_interval_start": None,
        "next_dagrun_data_interval_end": None,
        "allowed_run_types": None,
        "owners": ["airflow"],
    }


def encode(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def assets_body(assets: Assets, page: list[tuple[int, str]], total: int) -> dict[str, Any]:
    """``AssetCollectionResponse``."""
    return {"assets": [_asset_body(assets, asset_id, uri) for asset_id, uri in page], "total_entries": total}


def _asset_body(assets: Assets, asset_id: int, uri: str) -> dict[str, Any]:
    newest = next((event for event in reversed(assets.events) if event.asset_id == asset_id), None)
    return {
        "id": asset_id,
        "name": uri,
        "uri": uri,
        "group": "asset",
        "extra": {},
        "created_at": "2026-11-21T11:59:43.698389Z",
        "updated_at": "2026-11-21T11:59:43.698394Z",
        "scheduled_dags": [
            {
                "dag_id": dag_id,
                "created_at": "2026-11-21T11:59:43.714801Z",
                "updated_at": "2026-11-21T11:59:43.714806Z",
            }
            for dag_id in assets.scheduled.get(asset_id, ())
        ],
        "producing_tasks": [],
        "consuming_tasks": [],
        "aliases": [],
        "watchers": [],
        "last_asset_event": {
            "id": newest.id if newest is not None else None,
            "timestamp": _instant(newest.timestamp) if newest is not None else None,
        },
    }


def asset_events_body(assets: Assets, events: list[AssetEvent], total: int) -> dict[str, Any]:
    """``AssetEventCollectionResponse``."""
    return {"asset_events": [asset_event_body(assets, event) for event in events], "total_entries": total}


def asset_event_body(assets: Assets, event: AssetEvent) -> dict[str, Any]:
    """``AssetEventResponse``."""
    dag_id, run_id, task_id = event.source or (None, None, None)
    return {
        "id": event.id,
        "asset_id": event.asset_id,
        "uri": assets.uris[event.asset_id],
        "name": assets.uris[event.asset_id],
        "group": "asset",
        "extra": dict(event.extra),
        "source_task_id": task_id,
        "source_dag_id": dag_id,
        "source_run_id": run_id,
        "source_map_index": -1,
        "created_dagruns": [],
        "timestamp": _instant(event.timestamp),
        "partition_key": event.partition_key,
    }
