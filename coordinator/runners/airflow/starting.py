"""Sending triggers and clears, interpreting the answers, and asking when an answer is ambiguous
(docs/architecture.md#request).

The answers are those of Airflow 3.3 (``api_fastapi/core_api/routes/public/dag_run.py``); what is different in Airflow 2
stands in :mod:`~coordinator.runners.airflow.dialect`. Of identical requests that arrive together, one gets 200, others
409 or 500: that is resolved by reading. How runs are created: :mod:`~coordinator.runners.airflow.creating`.
"""

from __future__ import annotations

from typing import Any

from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.model.trigger import Action
from coordinator.runners.airflow.client import AirflowClient, addressable, addressable_dag, segment
from coordinator.runners.airflow.creating import ask_created, create
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.partitioned import PartitionedDags
from coordinator.runners.airflow.runs import find_run, read_run, run_path
from coordinator.runners.airflow.sending import post, refused
from coordinator.runners.port import (
    Happened,
    NotHappened,
    ObservedRun,
    Outcome,
    Permit,
    Refused,
    RequestRefused,
    StartRequest,
)

AMBIGUOUS = (409, 500)


def start(
    client: AirflowClient,
    partitioned: PartitionedDags,
    request: StartRequest,
    deadline: Deadline,
    permit: Permit | None = None,
) -> Outcome:
    """Send the request once; resolve an ambiguous answer by asking.

    :param partitioned: which DAGs are.
    :param permit: called before bytes leave; not for requests that only read.
    :raises EnvironmentUnavailable: it may or may not have happened.
    :raises RequestRefused: it may or may not have happened, and the environment refuses the question.
    """
    if not (addressable_dag(request.dag_id) and addressable(request.run_id)):
        return _without_address(request)
    if request.action is Action.CREATE:
        return create(client, partitioned, request, deadline, permit)
    return _clear(client, request, deadline, permit)


def ask(client: AirflowClient, request: StartRequest, deadline: Deadline) -> Outcome:
    """The outcome of a request that may have been sent, by GET requests only.

    :raises EnvironmentUnavailable: no answer that settles it.
    :raises RequestRefused: the environment refuses the question, so it may have happened.
    """
    if request.action is Action.CREATE:
        return ask_created(client, request, deadline)
    return _ask_cleared(client, request, deadline)


def _clear(client: AirflowClient, request: StartRequest, deadline: Deadline, permit: Permit | None) -> Outcome:
    # dry_run is true by default.
    path, body = f"{run_path(request.dag_id, request.run_id)}/clear", {"dry_run": False}
    if request.tasks:
        path, body = f"/dags/{segment(request.dag_id)}/clearTaskInstances", _clear_of_tasks(client, request)
    answer = post(client, path, body, deadline, permit)
    if isinstance(answer, Refused):
        return answer
    if answer.status == 200 and request.tasks:  # the answer is a list of task instances
        outcome = _ask_cleared(client, request, deadline)
        return _nothing_cleared(request) if isinstance(outcome, NotHappened) and not outcome.run_missing else outcome
    if answer.status == 200:
        return _evaluate_cleared(request, read_run(client, answer, request.dag_id, request.run_id))
    if answer.status in AMBIGUOUS:
        return _ask_cleared(client, request, deadline)
    if answer.status == 404:
        outcome = refused(answer)
        try:
            run = find_run(client, request.dag_id, request.run_id, deadline)
        except RequestRefused:
            return outcome  # it is certain that nothing has been cleared
        return _missing(client, request, deadline) if run is None else outcome
    return refused(answer)


def _evaluate_cleared(request: StartRequest, run: ObservedRun) -> Outcome:
    """The outcome of a clear. Its answer is the run after the clear, with its new queued_at.

    Airflow sets a new one only for runs with task instances (``clear_task_instances``): without any, a clear is
    answered with 200 and nothing runs. A person must see that; it must not be repeated for ever.
    """
    if run.queued_at != request.before:
        return Happened(run.after(request.before))
    return _nothing_cleared(request)


def _nothing_cleared(request: StartRequest) -> Refused:
    why = "a run without task instances cannot be cleared"
    if request.tasks:
        why = f"the DAG has no task {' or '.join(request.tasks)} any more; clear the whole run once, by hand"
    return Refused(
        200,
        f"Airflow cleared nothing of {request.dag_id}/{request.run_id}: its queued_at has not changed; {why}",
    )


def _clear_of_tasks(client: AirflowClient, request: StartRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "dag_run_id": request.run_id,
        "task_ids": list(request.tasks),
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
        "dry_run": False,
    }
    if client.dialect.can_protect_running_tasks:
        body["prevent_running_task"] = True
    return body


def _ask_cleared(client: AirflowClient, request: StartRequest, deadline: Deadline) -> Outcome:
    run = find_run(client, request.dag_id, request.run_id, deadline)
    if run is None:
        return _missing(client, request, deadline)
    if run.queued_at != request.before:
        return Happened(run.after(request.before))
    return NotHappened(f"the queued_at of {request.dag_id}/{request.run_id} has not changed since before the request")


def _missing(client: AirflowClient, request: StartRequest, deadline: Deadline) -> Outcome:
    """The run to clear does not exist: a deleted run is created again, a deleted DAG needs a person."""
    if not addressable_dag(request.dag_id):
        return _without_address(request)
    answer = client.get(f"/dags/{segment(request.dag_id)}", deadline=deadline)
    if answer.status == 200:
        if client.dialect.dag(answer).is_stale:
            return Refused(404, f"the DAG {request.dag_id} is stale: no file defines it any more")
        return NotHappened(f"there is no run {request.run_id} of {request.dag_id} to clear", run_missing=True)
    return refused(answer)


def _without_address(request: StartRequest) -> Refused:
    named = printable(f"{request.dag_id}/{request.run_id}", limit=bounds.DETAIL)
    return Refused(400, f"{named} cannot be named in an address of Airflow's API")
