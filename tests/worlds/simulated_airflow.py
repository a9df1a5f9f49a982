"""The model of an Airflow, spoken to by the real runner's conversations, without a line or a process between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import unquote

from coordinator.model.partitions.instants import dag_or_item, parse_instant, partition_of_run
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import State
from coordinator.runners.airflow import assets, changes, looking, starting, stopping
from coordinator.runners.airflow.answers import Answer
from coordinator.runners.airflow.assets import KnownAssets
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.dialect import AIRFLOW_3, Dialect
from coordinator.runners.airflow.partitioned import PartitionedDags
from coordinator.runners.port import (
    NO_TASKS,
    Changed,
    EnvironmentReport,
    EnvironmentUnavailable,
    ListPlace,
    Looked,
    ObservedRun,
    Outcome,
    Permit,
    RunOrTask,
    RunRef,
    StartRequest,
)
from tests.airflow_model.rest import Call, RestApi, kind_of
from tests.airflow_model.runs import Airflow, Change, Run, What

FAR = Deadline(1e9)
"""Time-outs are the line's; the real clock has nothing to say."""


class SimulatedAirflow(Airflow):
    """One environment, in which every DAG exists.

    :ivar is_down: it answers nothing; what runs, goes on.
    :ivar started: DAG and partition of every attempt that has begun.
    :ivar effects: DAG and partition of every request that has created or cleared a run.
    :ivar behind: how far the clock of its scheduler is behind that of its API server.
    """

    behind = timedelta(0)

    def __init__(self, *, now: Callable[[], datetime], changed: Callable[[Change], None]) -> None:
        super().__init__(now=now, changed=self._count)
        self.any_dag = True
        self._told = changed
        self.api = RestApi(self)
        self.is_down = False
        self.started: list[tuple[str, str]] = []
        self.effects: list[tuple[str, str]] = []

    def now(self) -> datetime:
        return super().now() - self.behind

    def newest(self, dag_id: str, partition: str, *states: State) -> Run:
        found = [
            run
            for run in self.runs.values()
            if name_of(run) == dag_id and partition_of(run) == partition and (not states or run.state in states)
        ]
        assert found, f"no run of {dag_id} in {partition} that is {' or '.join(states) or 'there'}"
        return max(found, key=lambda run: run.queued_at or datetime.min)

    def _count(self, change: Change) -> None:
        if change.what is What.BEGUN:
            self.started.append((name_of(change.run), partition_of(change.run)))
        self._told(change)


class DirectLine:
    """``get`` and ``post`` of an ``AirflowClient``. :param date: the ``Date`` of its answers."""

    name = "the simulated Airflow"
    dialect: Dialect = AIRFLOW_3

    def __init__(self, airflow: SimulatedAirflow, date: Callable[[], datetime | None] = lambda: None) -> None:
        self.airflow = airflow
        self._date = date

    def get(self, path: str, *, deadline: Deadline, query: Mapping[str, str | int] | None = None) -> Answer:
        del deadline
        return self._exchange("GET", path, filters={name: [str(value)] for name, value in (query or {}).items()})

    def post(self, path: str, body: Mapping[str, Any], *, deadline: Deadline, permit: Permit | None = None) -> Answer:
        del deadline
        if permit is not None:
            permit(0.0)
        return self._exchange("POST", path, body=json.loads(json.dumps(body)))  # nothing is shared

    def patch(self, path: str, body: Mapping[str, Any], *, deadline: Deadline, permit: Permit | None = None) -> Answer:
        del deadline
        if permit is not None:
            permit(0.0)
        return self._exchange("PATCH", path, body=dict(body))

    def carry(self, question: str, call: Call) -> tuple[int, Any]:
        """Bring a request there, and its answer back. :raises EnvironmentUnavailable: there is none."""
        del question
        return self.act(call)

    def act(self, call: Call) -> tuple[int, Any]:
        """What the environment does and answers, once the request is there."""
        status, body = self.airflow.api.answer(kind_of(call.method, call.parts), call)
        assert status != 422, f"{call} is no request that Airflow understands: {body}"
        if call.method == "POST" and status == 200 and call.parts[-1] in ("dagRuns", "clear", "clearTaskInstances"):
            made = body if "dag_run_id" in body else next(iter(body["task_instances"]), None)
            if made is not None:
                run = self.airflow.get(made["dag_id"], made["dag_run_id"])
                self.airflow.effects.append((name_of(run), partition_of(run)))
        return status, body

    def _exchange(self, method: str, path: str, **more: Any) -> Answer:
        question = f"{method} {path}"
        call = Call(method, ["api", "v2", *unquote(path).strip("/").split("/")], **more)
        if self.airflow.is_down:
            raise EnvironmentUnavailable("connection refused")
        status, body = self.carry(question, call)
        return Answer(question, status, json.dumps(body).encode(), date=self._date())


class DirectRunner:
    """The runner port over such a line."""

    def __init__(self, line: DirectLine) -> None:
        self.airflow = line.airflow
        self._client = cast(AirflowClient, line)
        self._partitioned = PartitionedDags()
        self._assets = KnownAssets()

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        if request.delivery is not None:
            return assets.send(self._client, request.delivery, FAR, permit, self._assets)
        return starting.start(self._client, self._partitioned, request, FAR, permit)

    def ask(self, request: StartRequest) -> Outcome:
        if request.delivery is not None:
            return assets.ask(self._client, request.delivery, FAR, self._assets)
        return starting.ask(self._client, request, FAR)

    def look(self, asked: Sequence[RunOrTask], *, timeout: float) -> Looked:
        del timeout
        return looking.look(self._client, asked, FAR)

    def changed_runs(self, since: datetime | None, *, place: ListPlace, timeout: float) -> Changed:
        del timeout
        return changes.changed_runs(self._client, since, place, FAR)

    def stop(self, ref: RunRef, *, before: datetime | None, permit: Permit | None = None) -> Outcome:
        return stopping.stop(self._client, ref, before, FAR, permit)

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        del tasks
        del dag_ids
        return EnvironmentReport(version="simulated")

    def close(self) -> None:
        pass


def partition_of(run: ObservedRun) -> str:
    return partition_of_run(
        run_id=run.run_id, logical_date=run.logical_date, partition_key=run.partition_key, conf=run.conf
    )


def name_of(run: ObservedRun) -> str:
    """The name of its pipeline, without the environment: its DAG, or an item of it."""
    return dag_or_item(run.dag_id, run.run_id, dict(run.conf))


def dag_of(name: str) -> str:
    """The DAG of a pipeline that is named so."""
    return PipelineRef("", name).run_dag_id


def logical_date_of(partition: str) -> datetime | None:
    return parse_instant(partition)
