"""Airflow 2.11's REST API (v1) over the same runs, as far as the coordinator uses it.

Its bodies have no ``queued_at``, no partition keys and no ids of task instances (``api_connexion/schemas``). Measured
on a real 2.11.2.
"""

from __future__ import annotations

from typing import Any

from tests.airflow_model.rest import Answer, Call, RestApi, kind_of
from tests.airflow_model.runs import Airflow

_NOT_IN_RUNS = {
    "bundle_version",
    "dag_display_name",
    "dag_versions",
    "duration",
    "partition_date",
    "partition_key",
    "queued_at",
    "run_after",
    "triggered_by",
    "triggering_user_name",
}
_NOT_IN_TASKS = {"id", "dag_version", "run_after", "logical_date", "operator_name", "scheduled_when"}
_FILTERS = {
    "execution_date_gte": "logical_date_gte",
    "execution_date_lte": "logical_date_lte",
    "dataset_id": "asset_id",
}
_OF_ASSETS = {"assets": "datasets", "asset_events": "dataset_events", "asset_id": "dataset_id", "uri": "dataset_uri"}


class OldRestApi(RestApi):
    """See the module."""

    def __init__(self, airflow: Airflow) -> None:
        super().__init__(airflow)
        self.version = "2.11.2"

    def kind(self, method: str, parts: list[str]) -> str | None:
        match method, parts:
            case "GET", ["api", "v1", "health" | "version"]:
                return "public"
            case "POST", ["api", "v1", "dags", "~", "dagRuns", "list"]:
                return "list"
            case _, ["api", "v1", "datasets", *rest]:
                return kind_of(method, ["api", "v2", "assets", *rest])
            case _, ["api", "v1", *rest]:
                return kind_of(method, ["api", "v2", *rest])
        return None

    def answer(self, kind: str | None, call: Call) -> Answer:
        if kind is None:
            return 404, {"detail": None, "status": 404, "title": "Not Found", "type": "about:blank"}
        filters = {_FILTERS.get(name, name): values for name, values in call.filters.items()}
        body = dict(call.body) if isinstance(call.body, dict) else call.body
        if kind == "list" and call.method == "POST":
            return self._listed(call)
        if kind == "trigger" and isinstance(body, dict):
            body.setdefault("logical_date", self._airflow.now().isoformat())
        if kind == "emit" and isinstance(body, dict):
            uri = body.pop("dataset_uri")
            ids = [one for one, known in self._airflow.assets.uris.items() if known == uri]
            if not ids:
                return 404, {"detail": f"Dataset with uri: '{uri}' not found", "status": 404, "title": "Not found"}
            body["asset_id"] = ids[0]
        status, found = super().answer(kind, Call(call.method, call.parts, filters, body))
        if kind == "get" and status == 404:
            found = {"detail": f"DAGRun with DAG ID: '{call.dag_id}' and DagRun ID: '{call.run_id}' not found"}
        if status == 403:
            found = {"detail": None}
        return status, _old(found)

    def _listed(self, call: Call) -> Answer:
        """``get_dag_runs_batch``: of these DAGs, whatever the run_id."""
        known = {"dag_ids", "page_limit", "page_offset", *_FILTERS}
        assert isinstance(call.body, dict)
        assert call.body.keys() <= known, call.body
        filters = {_FILTERS[name]: [value] for name, value in call.body.items() if name in _FILTERS}
        filters["limit"] = ["1000000"]
        _, found = super().answer("list", Call("GET", call.parts, filters))
        assert found is not None
        runs = [run for run in found["dag_runs"] if run["dag_id"] in call.body["dag_ids"]]
        page = runs[call.body.get("page_offset", 0) :][: call.body["page_limit"]]
        return 200, _old({"dag_runs": page, "total_entries": len(runs)})


def _old(body: Any) -> Any:
    """A body of Airflow 3 as Airflow 2 gives it."""
    if isinstance(body, list):
        return [_old(one) for one in body]
    if not isinstance(body, dict):
        return body
    if "map_index" in body:
        return {name: value for name, value in body.items() if name not in _NOT_IN_TASKS}
    if "dag_run_id" in body:
        kept = {name: value for name, value in body.items() if name not in _NOT_IN_RUNS}
        return {**kept, "execution_date": kept["logical_date"], "external_trigger": True}
    if "asset_id" in body:
        kept = {name: value for name, value in body.items() if name not in ("name", "group", "partition_key")}
        return {_OF_ASSETS.get(name, name): value for name, value in kept.items()}
    if "assets" in body or "asset_events" in body:
        return {_OF_ASSETS.get(name, name): _old(value) for name, value in body.items()}
    if "is_stale" in body:
        return {
            **{name: value for name, value in body.items() if name != "is_stale"},
            "is_active": not body["is_stale"],
        }
    return {name: _old(value) for name, value in body.items()}
