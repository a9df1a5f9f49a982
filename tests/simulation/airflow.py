"""An Airflow whose runs live by themselves, and that is spoken to over its REST API, as far as the runner uses it.

The runner's own logic (what each answer means) is the real one, ``coordinator.runners.airflow``; only the line is
not there: :class:`RestLine` stands in for the client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from urllib.parse import unquote

from coordinator.model.runstate import State
from coordinator.runners.airflow import looking, starting
from coordinator.runners.airflow.answers import Answer
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import (
    EnvironmentReport,
    EnvironmentUnavailable,
    Looked,
    ObservedRun,
    Outcome,
    Permit,
    RunRef,
    StartRequest,
)
from tests.worlds.simulated_airflow import SimulatedAirflow

CONFLICT = {"detail": {"reason": "Unique constraint violation"}}
DATABASE_ERROR = {"detail": {"reason": "Database error"}}
FAR = Deadline(1e9)
"""No deadline: :class:`RestLine` simulates time-outs, and the real clock must not interfere."""


class LivingAirflow(SimulatedAirflow):
    """:param plan_run: called when a run has been queued; it will begin and end.

    :ivar missing: DAGs that are not there just now.
    """

    def __init__(
        self, *, tick: Callable[[], datetime], report: Callable[[ObservedRun], None], plan_run: Callable[..., None]
    ) -> None:
        super().__init__(tick=tick, report=report)
        self._plan_run = plan_run
        self.missing: set[str] = set()

    def create(
        self,
        dag_id: str,
        run_id: str,
        *,
        logical_date: datetime | None,
        partition_key: str | None = None,
        conf: Mapping[str, object] | None = None,
    ) -> ObservedRun:
        run = super().create(dag_id, run_id, logical_date=logical_date, partition_key=partition_key, conf=conf)
        self._plan_run(run)
        return run

    def clear(self, dag_id: str, run_id: str) -> ObservedRun:
        present = self.runs[dag_id, run_id]
        run = super().clear(dag_id, run_id)
        if present.state is State.RUNNING:
            # Airflow keeps state and start_date of a running run; nobody is told that it begins again.
            run = self.runs[dag_id, run_id] = replace(run, state=State.RUNNING, start_date=present.start_date)
        self._plan_run(run)
        return run


Act = Callable[[], tuple[int, Any]]


class RestLine:
    """``get`` and ``post`` of an ``AirflowClient``, for one watcher's requests to one environment.

    :param fault: what goes wrong with the next request, if anything does.
    :param acted: called with every change that a request has made: before, after, and the body sent.
    """

    def __init__(
        self,
        airflow: LivingAirflow,
        *,
        fault: Callable[[str], str | None],
        acted: Callable[[ObservedRun | None, ObservedRun], None],
    ) -> None:
        self._airflow = airflow
        self._fault = fault
        self._acted = acted

    def get(self, path: str, *, deadline: Deadline, query: Mapping[str, str | int] | None = None) -> Answer:
        del deadline
        return self._exchange(f"GET {path}", lambda: self._read(path, query or {}))

    def post(self, path: str, body: Mapping[str, Any], *, deadline: Deadline, permit: Permit | None = None) -> Answer:
        del deadline
        if permit is not None:
            permit(0.0)
        return self._exchange(f"POST {path}", lambda: self._change(path, body))

    def _exchange(self, question: str, act: Act) -> Answer:
        body: Any
        if self._airflow.is_down:
            raise EnvironmentUnavailable("connection refused")
        match self._fault(question):
            case "no connection":
                raise EnvironmentUnavailable("connection refused")
            case "no answer":
                act()
                raise EnvironmentUnavailable("timed out")
            case "500 and done":
                act()
                status, body = 500, DATABASE_ERROR
            case "500 and not done":
                status, body = 500, DATABASE_ERROR
            case "503":
                status, body = 503, {"detail": "overloaded"}
            case "429":
                status, body = 429, {"detail": "too many"}
            case "403":
                status, body = 403, {"detail": "Forbidden"}
            case _:
                status, body = act()
        return Answer(question, status, json.dumps(body).encode(), None)

    def _read(self, path: str, query: Mapping[str, str | int]) -> tuple[int, Any]:
        match path.strip("/").split("/"):
            case ["dags", dag_id]:
                if unquote(dag_id) in self._airflow.missing:
                    return 404, {"detail": f"The Dag with ID: `{dag_id}` was not found"}
                return 200, {"dag_id": unquote(dag_id), "is_paused": False}
            case ["dags", dag_id, "dagRuns", run_id]:
                run = self._airflow.runs.get((unquote(dag_id), unquote(run_id)))
                return (200, _body(run)) if run else (404, {"detail": f"no run {unquote(run_id)}"})
            case ["dags", dag_id, "dagRuns"]:
                return 200, self._list(None if dag_id == "~" else unquote(dag_id), query)
        raise AssertionError(f"the runner asks for {path}, which this Airflow does not have")

    def _list(self, dag_id: str | None, query: Mapping[str, str | int]) -> dict[str, Any]:
        def wanted(run: ObservedRun) -> bool:
            for term, name in (("run_id_prefix_pattern", run.run_id), ("dag_id_prefix_pattern", run.dag_id)):
                if term in query and not name.startswith(tuple(str(query[term]).split("|"))):
                    return False
            if dag_id is not None and run.dag_id != dag_id:
                return False
            return "logical_date_gte" not in query or (
                run.logical_date == datetime.fromisoformat(str(query["logical_date_gte"]))
            )

        runs = [run for run in self._airflow.runs.values() if wanted(run)]
        begin = int(query.get("offset", 0))
        page = runs[begin : begin + int(query.get("limit", 50))]
        return {"dag_runs": [_body(run) for run in page], "total_entries": len(runs)}

    def _change(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        match path.strip("/").split("/"):
            case ["dags", dag_id, "dagRuns"]:
                return self._trigger(unquote(dag_id), body)
            case ["dags", dag_id, "dagRuns", run_id, "clear"]:
                before = self._airflow.runs.get((unquote(dag_id), unquote(run_id)))
                if before is None or before.dag_id in self._airflow.missing:
                    return 404, {"detail": f"no run {unquote(run_id)}"}
                run = self._airflow.clear(before.dag_id, before.run_id)
                self._acted(before, run)
                return 200, _body(run)
        raise AssertionError(f"the runner posts to {path}, which this Airflow does not have")

    def _trigger(self, dag_id: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        if dag_id in self._airflow.missing:
            return 404, {"detail": f"Dag with dag_id: '{dag_id}' not found"}
        date = None if body["logical_date"] is None else datetime.fromisoformat(body["logical_date"])
        for run in self._airflow.runs.values():
            same_date = date is not None and run.logical_date == date
            if run.dag_id == dag_id and (run.run_id == body["dag_run_id"] or same_date):
                return 409, CONFLICT
        run = self._airflow.create(dag_id, body["dag_run_id"], logical_date=date, conf=body["conf"])
        self._acted(None, run)
        return 200, _body(run)


def _body(run: ObservedRun) -> dict[str, Any]:
    def instant(value: datetime | None) -> str | None:
        return None if value is None else value.isoformat()

    return {
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "state": run.state.value,
        "queued_at": instant(run.queued_at),
        "logical_date": instant(run.logical_date),
        "start_date": instant(run.start_date),
        "end_date": instant(run.end_date),
        "conf": dict(run.conf),
    }


class RestRunner:
    """The runner port over a :class:`RestLine`, with the real runner's conversations.

    :param sending: called with a request that goes out; what changes belongs to it.
    :param sent: called when it is over, whatever came of it.
    """

    def __init__(self, line: RestLine, *, sending: Callable[[StartRequest], None], sent: Callable[[], None]) -> None:
        self._client = cast(AirflowClient, line)
        self._sending = sending
        self._sent = sent

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        self._sending(request)
        try:
            return starting.start(self._client, request, FAR, permit)
        finally:
            self._sent()

    def ask(self, request: StartRequest) -> Outcome:
        return starting.ask(self._client, request, FAR)

    def look(self, runs: Sequence[RunRef], *, timeout: float) -> Looked:
        del timeout
        return looking.look(self._client, runs, FAR)

    def check(self, dag_ids: Sequence[str]) -> EnvironmentReport:
        del dag_ids
        return EnvironmentReport(version="simulated")

    def close(self) -> None:
        pass
