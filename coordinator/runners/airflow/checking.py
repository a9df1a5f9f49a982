"""The checks of ``doctor``: an environment is reachable, its credentials work, every DAG exists and is not paused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from coordinator.model.alike import alike
from coordinator.runners.airflow.answers import Answer, DagAnswer, HealthAnswer, TasksOfDagAnswer, VersionAnswer
from coordinator.runners.airflow.client import AirflowClient, addressable_dag, segment
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.listing import Page, batches, gather, pattern, usable_as_prefix
from coordinator.runners.airflow.partitioned import PartitionedDags
from coordinator.runners.airflow.runs import refusal
from coordinator.runners.airflow.tasks import PATH as TASKS
from coordinator.runners.port import (
    NO_TASKS,
    EnvironmentFault,
    EnvironmentReport,
    EnvironmentUnavailable,
    MissingTask,
    RequestRefused,
    ServerFailed,
)


def check(
    client: AirflowClient,
    partitioned: PartitionedDags,
    dag_ids: Sequence[str],
    *,
    tasks: Mapping[str, Collection[str]] = NO_TASKS,
    request_timeout: float,
) -> EnvironmentReport:
    """Check an environment; raises nothing. A check that is answered with 5xx is repeated, up to twice.

    Credentials are good if they may read DAGs, and task instances where those are needed. Whether they may also trigger
    runs cannot be tried without doing it.

    :param partitioned: notes which of the DAGs are partitioned.
    :param tasks: by DAG, those that something waits for.
    :param request_timeout: seconds, for each request.
    """
    repeated = Retrying(
        retry=retry_if_exception_type(ServerFailed), stop=stop_after_attempt(3), wait=wait_fixed(1), reraise=True
    )
    version: str | None = None
    try:
        version = repeated(lambda: _version(client, Deadline(request_timeout)))
        report = repeated(_examine, client, partitioned, dag_ids, tasks, request_timeout)
        sick = repeated(lambda: _sick_part(client, Deadline(request_timeout)))
    except (EnvironmentUnavailable, RequestRefused) as error:
        return EnvironmentReport(version=version, problem=str(error), fault=EnvironmentFault.of(error))
    report = replace(report, version=version)
    return report if sick is None else replace(report, problem=sick[1], fault=sick[0])


def _examine(
    client: AirflowClient,
    partitioned: PartitionedDags,
    dag_ids: Sequence[str],
    tasks: Mapping[str, Collection[str]],
    request_timeout: float,
) -> EnvironmentReport:
    """What is missing and paused. Raises as :func:`_find_dags` and :func:`_missing_tasks` do."""
    dags = _find_dags(client, dag_ids, request_timeout)
    partitioned.note(dags.values())
    missing_tasks: tuple[MissingTask, ...] = ()
    if tasks:
        _read_a_task(client, dag_ids, Deadline(request_timeout))
        there = {dag_id: wanted for dag_id, wanted in tasks.items() if dag_id in dags}
        missing_tasks = tuple(_missing_tasks(client, there, request_timeout))
    return EnvironmentReport(
        missing_dags=tuple(dag_id for dag_id in dag_ids if dag_id not in dags),
        paused_dags=tuple(dag_id for dag_id in dag_ids if dag_id in dags and dags[dag_id].is_paused),
        missing_tasks=missing_tasks,
        asset_dags=tuple(dag_id for dag_id in dag_ids if dag_id in dags and dags[dag_id].is_started_by_assets),
    )


def _version(client: AirflowClient, deadline: Deadline) -> str:
    """Without credentials, so that it is known though these are wrong; with them where nothing is shown without."""
    answer = client.get_public(f"{client.dialect.api}/version", deadline=deadline)
    if answer.status in (302, 401, 403):
        answer = client.get("/version", deadline=deadline)
    if answer.status != 200:
        raise refusal(answer)
    return answer.read(VersionAnswer).version


def _sick_part(client: AirflowClient, deadline: Deadline) -> tuple[EnvironmentFault, str] | None:
    """The part of it that it calls not healthy itself, and what that means."""
    answer = client.get(client.dialect.health, deadline=deadline)
    if answer.status != 200:
        raise refusal(answer)
    health = answer.read(HealthAnswer)
    for fault, component in (
        (EnvironmentFault.DATABASE, health.metadatabase),
        (EnvironmentFault.SCHEDULER, health.scheduler),
    ):
        if component.status != "healthy":
            return fault, f"its {fault} is {component.status or 'not running'}: nothing that is triggered will run"
    return None


def _read_a_task(client: AirflowClient, dag_ids: Sequence[str], deadline: Deadline) -> None:
    """:raises RequestRefused: the credentials may not."""
    answer = client.post(TASKS, {"dag_ids": list(dag_ids[:1]), "page_limit": 1}, deadline=deadline)
    if answer.status != 200:
        raise refusal(answer)


def _missing_tasks(
    client: AirflowClient, tasks: Mapping[str, Collection[str]], request_timeout: float
) -> Iterator[MissingTask]:
    """:raises RequestRefused: the credentials may not read the tasks of a DAG."""
    for dag_id, wanted in sorted(tasks.items()):
        answer = client.get(f"/dags/{segment(dag_id)}/tasks", deadline=Deadline(request_timeout))
        if answer.status == 404:
            continue  # it has just gone
        if answer.status != 200:
            raise refusal(answer)
        known = {task.task_id for task in answer.read(TasksOfDagAnswer).tasks}
        for task_id in sorted({*wanted} - known):
            near = alike(task_id, sorted(known))
            yield MissingTask(dag_id, task_id, tuple(near))


def _find_dags(client: AirflowClient, dag_ids: Sequence[str], request_timeout: float) -> dict[str, DagAnswer]:
    found: dict[str, DagAnswer] = {}
    listable = sorted({dag_id for dag_id in dag_ids if usable_as_prefix(dag_id)})
    named = batches(listable, parts=lambda dag_id: (dag_id,)) if client.dialect.has_prefix_filters else [listable]

    def read_page(answer: Answer) -> Page[str, DagAnswer]:
        if answer.status != 200:
            raise refusal(answer)
        return client.dialect.dags(answer)

    for batch in named:
        filters = {"dag_id_prefix_pattern": pattern(batch)} if client.dialect.has_prefix_filters else {}
        found.update(gather(client, "/dags", filters, wanted=batch, read=read_page, deadline=Deadline(request_timeout)))
    if not listable:
        read_page(client.get("/dags", query={"limit": 1}, deadline=Deadline(request_timeout)))
    for dag_id in dag_ids:
        if dag_id not in found and addressable_dag(dag_id):
            answer = client.get(f"/dags/{segment(dag_id)}", deadline=Deadline(request_timeout))
            if answer.status == 200:
                found[dag_id] = client.dialect.dag(answer)
            elif answer.status != 404:
                raise refusal(answer)
    return {dag_id: dag for dag_id, dag in found.items() if not dag.is_stale}
