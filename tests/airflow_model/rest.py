"""What Airflow 3.3 answers to each request, given the runs there are. Who asks is not looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from coordinator.model.runstate import State
from tests.airflow_model import bodies
from tests.airflow_model.runs import (
    Airflow,
    Conflict,
    Dag,
    NoSuchDag,
    NoSuchRun,
    Partitioning,
    Run,
    TaskRuns,
    with_keys,
)

RUN_ID = re.compile(r"^[A-Za-z0-9_.~:+-]+$")
MAX_PAGE = 100
LONGEST_KEY = 250
KEY_FORMAT = "%Y-%m-%dT%H:%M:%S"
"""Of a ``CronPartitionTimetable``."""
RUNNING_TASK = (
    "AirflowClearRunningTaskException: Disable 'prevent_running_task' to proceed, or wait until the task is not "
    "running, queued, or scheduled state."
)

_FILTERS = {
    "limit",
    "offset",
    "order_by",
    "state",
    "run_id_prefix_pattern",
    "dag_id_prefix_pattern",
    "logical_date_gte",
    "logical_date_lte",
    "updated_at_gte",
    "partition_key_prefix_pattern",
    "uri_pattern",
    "asset_id",
}

Filters = Mapping[str, list[str]]
Answer = tuple[int, Any]
"""Status and body; no body with 204."""


class Refusal(Exception):
    """Another answer than 200."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body if isinstance(body, dict) else {"detail": body}


@dataclass(frozen=True, slots=True)
class Call:
    """A request, taken apart.

    :ivar parts: the path's, decoded before it was divided, as Starlette does.
    :ivar body: as JSON says it; text that is no JSON as it is.
    """

    method: str
    parts: list[str]
    filters: Filters = field(default_factory=dict)
    body: Any = None

    @property
    def dag_id(self) -> str:
        return self.parts[3]

    @property
    def run_id(self) -> str:
        return self.parts[5]


class RestApi:
    """The routes over a model.

    :ivar hidden: DAGs whose runs the user may not read: lists of all DAGs leave them out, and their own addresses
        answer 403 (``ReadableDagRunsFilterDep`` and ``requires_access_dag``).
    :ivar missing: DAGs that are not there just now, though their runs are.
    """

    def __init__(self, airflow: Airflow) -> None:
        self._airflow = airflow
        self.version = "3.3.2"
        self.scheduler_healthy = True
        self.hidden: set[str] = set()
        self.missing: set[str] = set()
        self._routes: dict[str, Callable[[Call], dict[str, Any] | None]] = {
            "public": self._public,
            "trigger": self._trigger,
            "clear": self._clear,
            "get": self._get,
            "list": self._list,
            "patch": self._patch,
            "delete": self._delete,
            "dag": self._dag,
            "dags": self._dags,
            "tasks_of_dag": self._tasks_of_dag,
            "tasks": self._tasks,
            "tasks_of_run": self._tasks_of_run,
            "clear_tasks": self._clear_tasks,
            "assets": self._assets,
            "asset_events": self._asset_events,
            "emit": self._emit,
        }

    def kind(self, method: str, parts: list[str]) -> str | None:
        return kind_of(method, parts)

    def answer(self, kind: str | None, call: Call) -> Answer:
        """:param kind: see :func:`kind_of`."""
        if kind is None:
            return 404, {"error": "API route not found"}
        try:
            body = self._routes[kind](call)
            return (204, None) if body is None else (200, body)
        except Refusal as refused:
            return refused.status, refused.body
        except ValidationError as error:
            return 422, bodies.complaints(error)
        except NoSuchRun:
            return 404, {"detail": f"The DagRun with dag_id: `{call.dag_id}` and run_id: `{call.run_id}` was not found"}
        except NoSuchDag:
            return 404, {"detail": f"The Dag with ID: `{call.dag_id}` was not found"}

    def _public(self, call: Call) -> dict[str, Any]:
        if call.parts[2] == "version":
            return {"version": self.version, "git_version": ".release:standin"}
        now = self._airflow.now().isoformat()
        status = "healthy" if self.scheduler_healthy else "unhealthy"
        return {
            "metadatabase": {"status": "healthy"},
            "scheduler": {"status": status, "latest_scheduler_heartbeat": now},
            "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
            "dag_processor": {"status": "healthy", "latest_dag_processor_heartbeat": now},
        }

    def _trigger(self, call: Call) -> dict[str, Any]:
        body = _read(bodies.TriggerBody, call)
        dag_id = call.dag_id
        try:
            dag = self._find_dag(dag_id)
        except NoSuchDag:
            raise Refusal(404, f"Dag with dag_id: '{dag_id}' not found") from None
        partition_date = _check_key(dag, body.partition_key)
        if body.dag_run_id is not None:
            _check_run_id(body.dag_run_id)
        wrong = dag.refuse(body.conf or {}) if dag.refuse else None
        if wrong is not None:
            raise Refusal(400, wrong)
        try:
            run = self._airflow.create(
                dag_id,
                body.dag_run_id,
                logical_date=body.logical_date,
                partition_key=body.partition_key,
                partition_date=partition_date,
                conf=body.conf,
                note=body.note,
            )
        except Conflict:
            raise Refusal(409, bodies.CONFLICT) from None
        return bodies.run_body(run)

    def _clear(self, call: Call) -> dict[str, Any]:
        body = _read(bodies.ClearBody, call)
        if body.dry_run:
            self._airflow.get(call.dag_id, call.run_id)
            return {"task_instances": [], "total_entries": 0}
        if call.dag_id in self.missing:
            raise NoSuchRun
        return bodies.run_body(self._airflow.clear(call.dag_id, call.run_id))

    def _tasks(self, call: Call) -> dict[str, Any]:
        body = _read(bodies.TasksBody, call)
        found = [
            (run, task_id, one)
            for run in self._airflow.runs.values()
            if body.dag_ids is None or run.dag_id in body.dag_ids
            if body.dag_run_ids is None or run.run_id in body.dag_run_ids
            if run.dag_id not in self.hidden
            for task_id, instances in run.tasks.items()
            if body.task_ids is None or task_id in body.task_ids
            for one in instances
        ]
        found.sort(key=lambda one: one[2].map_index if body.order_by == "map_index" else str(one[2].id))
        page = found[body.page_offset :][: min(body.page_limit, MAX_PAGE)]
        return bodies.tasks_body(page, len(found))

    def _tasks_of_run(self, call: Call) -> dict[str, Any]:
        if call.dag_id in self.hidden:
            raise Refusal(403, "Forbidden")
        run = self._airflow.get(call.dag_id, call.run_id)
        wanted = call.filters.get("task_id", [*run.tasks])
        found = [(run, task_id, one) for task_id in wanted for one in run.tasks.get(task_id, ())]
        return bodies.tasks_body(found[: int(call.filters.get("limit", ["50"])[0])], len(found))

    def _clear_tasks(self, call: Call) -> dict[str, Any]:
        body = _read(bodies.ClearTasksBody, call)
        dag = self._find_dag(call.dag_id)
        assert body.dag_run_id is not None, "the model clears tasks of one run only"
        assert not body.only_failed, "the model clears tasks whatever became of them"
        if (dag.dag_id, body.dag_run_id) not in self._airflow.runs:
            raise Refusal(404, f"Dag Run id {body.dag_run_id} not found in dag {dag.dag_id}")
        task_ids = [one if isinstance(one, str) else one[0] for one in body.task_ids or ()]
        downstream, prevent = body.include_downstream, body.prevent_running_task
        wanted = dag.all_below(task_ids) if downstream else {*task_ids}
        if not body.dry_run:
            try:
                self._airflow.clear_tasks(dag.dag_id, body.dag_run_id, task_ids, downstream=downstream, prevent=prevent)
            except TaskRuns:
                raise Refusal(409, RUNNING_TASK) from None
        run = self._airflow.get(dag.dag_id, body.dag_run_id)
        cleared = [(run, task, one) for task in wanted & run.tasks.keys() for one in run.tasks[task]]
        return bodies.tasks_body(cleared, len(cleared))

    def _get(self, call: Call) -> dict[str, Any]:
        if call.dag_id in self.hidden:
            raise Refusal(403, "Forbidden")
        return bodies.run_body(self._airflow.get(call.dag_id, call.run_id))

    def _patch(self, call: Call) -> dict[str, Any]:
        if len(call.parts) == 4:
            dag = self._find_dag(call.dag_id)
            self._airflow.pause(dag.dag_id, _read(bodies.PatchDagBody, call).is_paused)
            return bodies.dag_body(dag)
        body = _read(bodies.PatchRunBody, call)
        run = self._airflow.get(call.dag_id, call.run_id)
        if body.state is not None:
            run = self._airflow.set_state(run.dag_id, run.run_id, State(body.state.value))
        return bodies.run_body(run)

    def _delete(self, call: Call) -> None:
        run = self._airflow.get(call.dag_id, call.run_id)
        if run.state is State.RUNNING:
            raise Refusal(
                409,
                f"The DagRun with dag_id: `{run.dag_id}` and run_id: `{run.run_id}` cannot be deleted in running state",
            )
        self._airflow.delete(run.dag_id, run.run_id)

    def _list(self, call: Call) -> dict[str, Any]:
        filters = _checked(call.filters)
        if call.dag_id in self.hidden:
            raise Refusal(403, "Forbidden")
        dag_id = None if call.dag_id == "~" else self._find_dag(call.dag_id).dag_id
        dag_terms, run_terms = _terms(filters, "dag_id_prefix_pattern"), _terms(filters, "run_id_prefix_pattern")
        selected = self._airflow.select(dag_id, dag_terms, run_terms)
        runs = [run for run in selected if run.dag_id not in self.hidden]
        if "partition_key_prefix_pattern" in filters:
            runs = with_keys(runs, filters["partition_key_prefix_pattern"][0])
        if states := filters.get("state"):
            runs = [run for run in runs if run.state.value in states]
        if since := filters.get("logical_date_gte"):
            bound = datetime.fromisoformat(since[0])
            runs = [run for run in runs if run.logical_date is not None and run.logical_date >= bound]
        if until := filters.get("logical_date_lte"):
            bound = datetime.fromisoformat(until[0])
            runs = [run for run in runs if run.logical_date is not None and run.logical_date <= bound]
        if changed_since := filters.get("updated_at_gte"):
            bound = datetime.fromisoformat(changed_since[0])
            runs = [run for run in runs if run.updated_at is not None and run.updated_at >= bound]
        page = _page(_sorted(runs, filters.get("order_by", ["id"])), filters)
        return bodies.page_body(page, len(runs))

    def _dag(self, call: Call) -> dict[str, Any]:
        return bodies.dag_body(self._find_dag(call.dag_id))

    def _tasks_of_dag(self, call: Call) -> dict[str, Any]:
        """The parts that are read: each has some twenty more."""
        tasks = [{"task_id": one} for one in sorted(self._find_dag(call.dag_id).below)]
        return {"tasks": tasks, "total_entries": len(tasks)}

    def _dags(self, call: Call) -> dict[str, Any]:
        filters = _checked(call.filters)
        names = self._airflow.select_dags(_terms(filters, "dag_id_prefix_pattern"))
        dags = [self._airflow.dags[name] for name in names]
        return {"dags": [bodies.dag_body(dag) for dag in _page(dags, filters)], "total_entries": len(dags)}

    def _assets(self, call: Call) -> dict[str, Any]:
        filters = _checked(call.filters)
        terms = _terms(filters, "uri_pattern") or [""]
        patterns = [re.compile(".*".join(map(_ilike, term.split("%"))), re.IGNORECASE) for term in terms]
        found = [
            (asset_id, uri)
            for asset_id, uri in self._airflow.assets.uris.items()
            if any(pattern.search(uri) for pattern in patterns)
        ]
        return bodies.assets_body(self._airflow.assets, _page(found, filters), len(found))

    def _asset_events(self, call: Call) -> dict[str, Any]:
        filters = _checked(call.filters)
        wanted = int(filters["asset_id"][0])
        assert filters.get("order_by") == ["-timestamp"], "the model sorts them so"
        found = [event for event in reversed(self._airflow.assets.events) if event.asset_id == wanted]
        page = _page(found, filters)
        if any(event.queued for event in page):
            raise Refusal(500, "Internal Server Error")
        return bodies.asset_events_body(self._airflow.assets, page, len(found))

    def _emit(self, call: Call) -> dict[str, Any]:
        body = _read(bodies.AssetEventBody, call)
        assets = self._airflow.assets
        if body.asset_id not in assets.uris:
            raise Refusal(404, f"Asset with ID: `{body.asset_id}` was not found")
        extra = {**body.extra, "from_rest_api": True} if body.extra is not None else {}
        at = self._airflow.now()
        event = assets.emit(body.asset_id, at=at, extra=extra, partition_key=body.partition_key)
        return bodies.asset_event_body(assets, event)

    def _find_dag(self, dag_id: str) -> Dag:
        """:raises NoSuchDag: there is none."""
        if dag_id in self.missing:
            raise NoSuchDag(dag_id)
        return self._airflow.find_dag(dag_id)


def kind_of(method: str, parts: list[str]) -> str | None:
    """Which route a request takes; ``None`` for none of them."""
    match method, parts:
        case "POST", ["api", "v2", "dags", _, "dagRuns"]:
            return "trigger"
        case "POST", ["api", "v2", "dags", _, "dagRuns", _, "clear"]:
            return "clear"
        case "GET", ["api", "v2", "dags", _, "dagRuns", _]:
            return "get"
        case "GET", ["api", "v2", "dags", _, "dagRuns"]:
            return "list"
        case "PATCH", ["api", "v2", "dags", _, "dagRuns", _] | ["api", "v2", "dags", _]:
            return "patch"
        case "DELETE", ["api", "v2", "dags", _, "dagRuns", _]:
            return "delete"
        case "GET", ["api", "v2", "dags", _, "tasks"]:
            return "tasks_of_dag"
        case "GET", ["api", "v2", "dags", _]:
            return "dag"
        case "GET", ["api", "v2", "dags"]:
            return "dags"
        case "POST", ["api", "v2", "dags", "~", "dagRuns", "~", "taskInstances", "list"]:
            return "tasks"
        case "GET", ["api", "v2", "dags", _, "dagRuns", _, "taskInstances"]:
            return "tasks_of_run"
        case "POST", ["api", "v2", "dags", _, "clearTaskInstances"]:
            return "clear_tasks"
        case "GET", ["api", "v2", "assets"]:
            return "assets"
        case "GET", ["api", "v2", "assets", "events"]:
            return "asset_events"
        case "POST", ["api", "v2", "assets", "events"]:
            return "emit"
        case "POST", ["auth", "token"]:
            return "login"
        case "GET", ["api", "v2", "version"] | ["api", "v2", "monitor", "health"]:
            return "public"
    return None


Shape = TypeVar("Shape", bound=BaseModel)


def _read(shape: type[Shape], call: Call) -> Shape:
    return shape.model_validate(call.body, from_attributes=True)


def _check_key(dag: Dag, key: str | None) -> datetime | None:
    """Whether a run may have this key, and the date that it names (``SerializedDAG.validate_partition_key``)."""
    if key is None:
        return None
    if dag.keys is None:
        raise Refusal(400, f"Dag '{dag.dag_id}' is not a partitioned Dag and does not accept a partition_key.")
    if not key.strip():
        raise Refusal(400, "partition_key must not be empty or whitespace-only.")
    if len(key) > LONGEST_KEY:
        raise Refusal(400, f"partition_key must be at most {LONGEST_KEY} characters; got {len(key)}.")
    if dag.keys is not Partitioning.BY_CRON:
        return None
    try:
        return datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC)
    except ValueError as error:
        raise Refusal(
            400, f"Partition key {key!r} does not match the timetable's key_format {KEY_FORMAT!r}: {error}"
        ) from None


def _check_run_id(run_id: str) -> None:
    if ".." in run_id:
        raise Refusal(400, f"The run_id '{run_id}' must not contain '..' to prevent path traversal")
    if not RUN_ID.match(run_id):
        raise Refusal(400, f"The run_id provided '{run_id}' does not match regex pattern '{RUN_ID.pattern}'")


def _checked(filters: Filters) -> Filters:
    unknown = filters.keys() - _FILTERS
    if unknown:
        # Airflow ignores what it does not know; a model that did so would hide its own gaps.
        raise Refusal(501, f"the model does not have the filters {sorted(unknown)}")
    for name in ("limit", "offset"):
        if int(filters.get(name, ["0"])[0]) < 0:
            problem = {
                "type": "greater_than_equal",
                "loc": ["query", name],
                "msg": "Input should be greater than or equal to 0",
                "input": filters[name][0],
                "ctx": {"ge": 0},
            }
            raise Refusal(422, {"detail": [problem]})
    return filters


def _terms(filters: Filters, name: str) -> list[str] | None:
    if name not in filters:
        return None
    value = filters[name][0]
    if value == "~":
        return [""]
    return [term.strip() for term in value.split("|") if term.strip()] or [value]


def _ilike(text: str) -> str:
    """``_`` stands for any character."""
    return ".".join(map(re.escape, text.split("_")))


def _page(items: list[Any], filters: Filters) -> list[Any]:
    offset = int(filters.get("offset", ["0"])[0])
    limit = min(int(filters.get("limit", ["50"])[0]), MAX_PAGE)
    return items[offset : offset + limit]


def _sorted(runs: list[Run], keys: list[str]) -> list[Run]:
    runs = sorted(runs, key=lambda run: run.id)
    for key in reversed(keys):
        name = key.lstrip("-")
        name = "run_id" if name == "dag_run_id" else name

        def order(run: Run, name: str = name) -> tuple[bool, Any]:
            value = getattr(run, name)
            return (value is not None, value)

        runs.sort(key=order, reverse=key.startswith("-"))
    return runs
