"""The routes of the stand-in: what Airflow 3.3 answers to each request, given the runs there are."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from coordinator.model.runstate import State
from tests.standin import bodies
from tests.standin.dagruns import Conflict, Dag, DagRuns, NoSuchRun, Run
from tests.standin.http11 import Response
from tests.standin.login import Logins

RUN_ID = re.compile(r"^[A-Za-z0-9_.~:+-]+$")
MAX_PAGE = 100
SQLITE_COMMIT = 0.005
"""Seconds that a trigger holds the database of an Airflow on SQLite: long enough to meet another one."""

_FILTERS = {
    "limit",
    "offset",
    "order_by",
    "state",
    "run_id_prefix_pattern",
    "dag_id_prefix_pattern",
    "logical_date_gte",
    "logical_date_lte",
}


class Refusal(Exception):
    """Another answer than 200."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body if isinstance(body, dict) else {"detail": body}


@dataclass(frozen=True, slots=True)
class Call:
    """A request, taken apart. ``parts``: the path's, decoded before it was divided, as Starlette does."""

    method: str
    parts: list[str]
    query: str
    body: bytes
    authorization: str | None

    @property
    def dag_id(self) -> str:
        return self.parts[3]

    @property
    def run_id(self) -> str:
        return self.parts[5]


class RestApi:
    """Answers calls. ``sqlite``: of two triggers at once, one is answered 500."""

    def __init__(self, world: DagRuns, logins: Logins, *, sqlite: bool) -> None:
        self._world = world
        self._logins = logins
        self._sqlite = sqlite
        self._write_lock = threading.Lock()
        self.version = "3.3.2"
        self.scheduler_healthy = True
        self.hidden: set[str] = set()
        """DAGs whose runs the user may not read: lists of all DAGs leave them out, and their own addresses answer 403
        (``ReadableDagRunsFilterDep`` and ``requires_access_dag``)."""
        self._routes: dict[str, Callable[[Call], dict[str, Any] | None]] = {
            "trigger": self._trigger,
            "clear": self._clear,
            "get": self._get,
            "list": self._list,
            "patch": self._patch,
            "delete": self._delete,
            "dag": self._dag,
            "dags": self._dags,
        }

    def answer(self, kind: str | None, call: Call) -> Response:
        try:
            if kind is None:
                raise Refusal(404, {"error": "API route not found"})
            if kind == "login":
                return self._login(call)
            if kind == "public":
                return Response(200, bodies.encode(self._public(call)))
            refusal = self._logins.refusal(call.authorization, writes=call.method != "GET")
            if refusal is not None:
                raise Refusal(*refusal)
            body = self._routes[kind](call)
            return Response(204) if body is None else Response(200, bodies.encode(body))
        except Refusal as refused:
            return Response(refused.status, bodies.encode(refused.body))
        except ValidationError as error:
            return Response(422, bodies.encode(bodies.complaints(error)))
        except NoSuchRun:
            detail = f"The DagRun with dag_id: `{call.dag_id}` and run_id: `{call.run_id}` was not found"
            return Response(404, bodies.encode({"detail": detail}))

    def _login(self, call: Call) -> Response:
        if self._logins.basic:
            return Response(404, bodies.encode({"detail": "Not Found"}))
        given = json.loads(call.body)
        if not {"username", "password"} <= given.keys():
            return Response(422, bodies.encode({"detail": f"1 validation error for LoginBody: {given}"}))
        token = self._logins.token(given["username"], given["password"])
        if token is None:
            return Response(401, bodies.encode({"detail": "Invalid credentials"}))
        return Response(201, bodies.encode({"access_token": token}))

    def _public(self, call: Call) -> dict[str, Any]:
        if call.parts[2] == "version":
            return {"version": self.version, "git_version": ".release:standin"}
        now = datetime.now().astimezone().isoformat()
        status = "healthy" if self.scheduler_healthy else "unhealthy"
        return {
            "metadatabase": {"status": "healthy"},
            "scheduler": {"status": status, "latest_scheduler_heartbeat": now},
            "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
            "dag_processor": {"status": "healthy", "latest_dag_processor_heartbeat": now},
        }

    def _trigger(self, call: Call) -> dict[str, Any]:
        body = _read_body(bodies.TriggerBody, call.body)
        assert isinstance(body, bodies.TriggerBody)
        dag_id = call.dag_id
        dag = self._world.find_dag(dag_id)
        if dag is None:
            raise Refusal(404, f"Dag with dag_id: '{dag_id}' not found")
        if body.partition_key is not None:
            raise Refusal(400, f"Dag '{dag_id}' is not a partitioned Dag and does not accept a partition_key.")
        if body.dag_run_id is not None:
            _check_run_id(body.dag_run_id)
        wrong = dag.refuse(body.conf or {}) if dag.refuse else None
        if wrong is not None:
            raise Refusal(400, wrong)
        if self._sqlite and not self._write_lock.acquire(blocking=False):
            raise Refusal(500, bodies.DATABASE_ERROR)
        try:
            if self._sqlite:
                time.sleep(SQLITE_COMMIT)
            with self._world.changed:
                run = self._world.trigger(
                    dag_id, body.dag_run_id, logical_date=body.logical_date, conf=body.conf, note=body.note
                )
                return bodies.run_body(run)
        except Conflict:
            raise Refusal(409, bodies.CONFLICT) from None
        finally:
            if self._sqlite:
                self._write_lock.release()

    def _clear(self, call: Call) -> dict[str, Any]:
        body = _read_body(bodies.ClearBody, call.body)
        assert isinstance(body, bodies.ClearBody)
        with self._world.changed:
            run = self._world.get(call.dag_id, call.run_id)
            if body.dry_run:
                return {"task_instances": [], "total_entries": 0}
            return bodies.run_body(self._world.clear(run.dag_id, run.run_id))

    def _get(self, call: Call) -> dict[str, Any]:
        if call.dag_id in self.hidden:
            raise Refusal(403, "Forbidden")
        with self._world.changed:
            return bodies.run_body(self._world.get(call.dag_id, call.run_id))

    def _patch(self, call: Call) -> dict[str, Any]:
        if len(call.parts) == 4:
            with self._world.changed:
                dag = self._existing_dag(call.dag_id)
                patch = _read_body(bodies.PatchDagBody, call.body)
                assert isinstance(patch, bodies.PatchDagBody)
                self._world.pause(dag.dag_id, patch.is_paused)
                return bodies.dag_body(dag)
        body = _read_body(bodies.PatchRunBody, call.body)
        assert isinstance(body, bodies.PatchRunBody)
        with self._world.changed:
            run = self._world.get(call.dag_id, call.run_id)
            if body.state is not None:
                self._world.set_state(run.dag_id, run.run_id, State(body.state.value))
            return bodies.run_body(run)

    def _delete(self, call: Call) -> None:
        with self._world.changed:
            run = self._world.get(call.dag_id, call.run_id)
            if run.state is State.RUNNING:
                raise Refusal(
                    409,
                    f"The DagRun with dag_id: `{run.dag_id}` and run_id: `{run.run_id}` cannot be deleted in "
                    "running state",
                )
            self._world.delete(run.dag_id, run.run_id)

    def _list(self, call: Call) -> dict[str, Any]:
        filters = _read_query(call.query)
        if call.dag_id in self.hidden:
            raise Refusal(403, "Forbidden")
        with self._world.changed:
            dag_id = None if call.dag_id == "~" else self._existing_dag(call.dag_id).dag_id
            dag_terms = _terms(filters, "dag_id_prefix_pattern")
            selected = self._world.select(dag_id, dag_terms, _terms(filters, "run_id_prefix_pattern"))
            runs = [run for run in selected if run.dag_id not in self.hidden]
            if states := filters.get("state"):
                runs = [run for run in runs if run.state.value in states]
            if since := filters.get("logical_date_gte"):
                bound = datetime.fromisoformat(since[0])
                runs = [run for run in runs if run.logical_date is not None and run.logical_date >= bound]
            if until := filters.get("logical_date_lte"):
                bound = datetime.fromisoformat(until[0])
                runs = [run for run in runs if run.logical_date is not None and run.logical_date <= bound]
            page = _page(_sorted(runs, filters.get("order_by", ["id"])), filters)
            return bodies.page_body(page, len(runs))

    def _dag(self, call: Call) -> dict[str, Any]:
        with self._world.changed:
            return bodies.dag_body(self._existing_dag(call.dag_id))

    def _dags(self, call: Call) -> dict[str, Any]:
        filters = _read_query(call.query)
        terms = _terms(filters, "dag_id_prefix_pattern")
        with self._world.changed:
            names = self._world.select_dags(terms)
            return {
                "dags": [bodies.dag_body(self._world.dags[name]) for name in _page(names, filters)],
                "total_entries": len(names),
            }

    def _existing_dag(self, dag_id: str) -> Dag:
        dag = self._world.find_dag(dag_id)
        if dag is None:
            raise Refusal(404, f"The Dag with ID: `{dag_id}` was not found")
        return dag


def kind_of(method: str, parts: list[str]) -> str | None:
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
        case "GET", ["api", "v2", "dags", _]:
            return "dag"
        case "GET", ["api", "v2", "dags"]:
            return "dags"
        case "POST", ["auth", "token"]:
            return "login"
        case "GET", ["api", "v2", "version"] | ["api", "v2", "monitor", "health"]:
            return "public"
    return None


def _read_body(shape: type[Any], content: bytes) -> Any:
    try:
        return shape.model_validate(json.loads(content), from_attributes=True)
    except json.JSONDecodeError:
        return shape.model_validate(content.decode(errors="replace"), from_attributes=True)


def _check_run_id(run_id: str) -> None:
    if ".." in run_id:
        raise Refusal(400, f"The run_id '{run_id}' must not contain '..' to prevent path traversal")
    if not RUN_ID.match(run_id):
        raise Refusal(400, f"The run_id provided '{run_id}' does not match regex pattern '{RUN_ID.pattern}'")


def _read_query(query: str) -> dict[str, list[str]]:
    filters = parse_qs(query, keep_blank_values=True)
    unknown = filters.keys() - _FILTERS
    if unknown:
        # Airflow ignores what it does not know; a stand-in that did so would hide its own gaps.
        raise Refusal(501, f"the stand-in does not have the filters {sorted(unknown)}")
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


def _terms(filters: dict[str, list[str]], name: str) -> list[str] | None:
    if name not in filters:
        return None
    value = filters[name][0]
    if value == "~":
        return [""]
    return [term.strip() for term in value.split("|") if term.strip()] or [value]


def _page(items: list[Any], filters: dict[str, list[str]]) -> list[Any]:
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
