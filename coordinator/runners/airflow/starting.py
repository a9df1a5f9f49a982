"""Sending triggers and clears, interpreting the answers, and asking when an answer is ambiguous
(docs/architecture.md#request).

The answers are those of Airflow 3.3 (``api_fastapi/core_api/routes/public/dag_run.py``); what is different in Airflow 2
stands in :mod:`~coordinator.runners.airflow.dialect`. Two of them are ambiguous: a
409 does not show which of the two unique constraints was violated, run_id or logical date; and of identical requests
that arrive together, one gets 200, others 409 or 500. Both are resolved by reading.
"""

from __future__ import annotations

from typing import Any

from coordinator.model import bounds
from coordinator.model.partitions.instants import format_instant
from coordinator.model.printable import printable
from coordinator.model.trigger import Action
from coordinator.runners.airflow.answers import Answer
from coordinator.runners.airflow.client import AirflowClient, addressable, addressable_dag, segment
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import (
    Foreign,
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


def runs_path(dag_id: str) -> str:
    return f"/dags/{segment(dag_id)}/dagRuns"


def run_path(dag_id: str, run_id: str) -> str:
    return f"{runs_path(dag_id)}/{segment(run_id)}"


def start(client: AirflowClient, request: StartRequest, deadline: Deadline, permit: Permit | None = None) -> Outcome:
    """Send the request once; resolve an ambiguous answer by asking.

    :param permit: called before bytes leave; not for requests that only read.
    :raises EnvironmentUnavailable: it may or may not have happened.
    :raises RequestRefused: it may or may not have happened, and the environment refuses the question.
    """
    if not (addressable_dag(request.dag_id) and addressable(request.run_id)):
        return _without_address(request)
    if request.action is Action.CREATE:
        return _create(client, request, deadline, permit)
    return _clear(client, request, deadline, permit)


def ask(client: AirflowClient, request: StartRequest, deadline: Deadline) -> Outcome:
    """The outcome of a request that may have been sent, by GET requests only.

    :raises EnvironmentUnavailable: no answer that settles it.
    :raises RequestRefused: the environment refuses the question, so it may have happened.
    """
    if request.action is Action.CREATE:
        return _ask_created(client, request, deadline)
    return _ask_cleared(client, request, deadline)


def find_run(client: AirflowClient, dag_id: str, run_id: str, deadline: Deadline) -> ObservedRun | None:
    """One run; ``None`` if it is known not to exist.

    :raises RequestRefused: we may not read it.
    :raises EnvironmentUnavailable: no answer that settles it.
    """
    if not addressable_dag(dag_id) or not addressable(run_id):
        # It has no address, and Airflow's own rules for names prevent its existence.
        return None
    answer = client.get(run_path(dag_id, run_id), deadline=deadline)
    if answer.status == 200:
        return _read_run(client, answer, dag_id, run_id)
    # A 404 that does not name the run concerns the address: the url is wrong.
    # The whole text: after a long name of a DAG, the run would be cut off.
    if answer.status == 404 and printable(run_id) in answer.detail(limit=None):
        return None
    raise refusal(answer)


def refusal(answer: Answer) -> RequestRefused:
    """The error for a refusal. :raises EnvironmentUnavailable: the answer does not settle the question."""
    answer.raise_if_unsettled()
    return RequestRefused(f"{answer.question} answered {answer.status}: {answer.detail()}", status=answer.status)


def _create(client: AirflowClient, request: StartRequest, deadline: Deadline, permit: Permit | None) -> Outcome:
    body: dict[str, Any] = {"dag_run_id": request.run_id, "conf": dict(request.conf)}
    if request.logical_date is not None:
        body["logical_date"] = format_instant(request.logical_date)
    elif client.dialect.has_undated_runs:
        body["logical_date"] = None  # without the key, Airflow answers 422
    answer = _post(client, runs_path(request.dag_id), body, deadline, permit)
    if isinstance(answer, Refused):
        return answer
    if answer.status == 200:
        return Happened(_read_run(client, answer, request.dag_id, request.run_id))
    if answer.status == 500:
        return _ask_created(client, request, deadline)
    if answer.status == 409:
        return _resolve_conflict(client, request, deadline)
    return _refused(answer)


def _resolve_conflict(client: AirflowClient, request: StartRequest, deadline: Deadline) -> Outcome:
    outcome = _ask_created(client, request, deadline)
    if not isinstance(outcome, NotHappened) or request.logical_date is None:
        return outcome
    same_date = _find_on_date(client, request, deadline)
    if same_date is not None:
        return Foreign(same_date)
    return NotHappened(
        f"Airflow answered 409 to {request.dag_id}/{request.run_id}, and now has neither this run nor another one on "
        "its logical date: the conflicting run was deleted"
    )


def _ask_created(client: AirflowClient, request: StartRequest, deadline: Deadline) -> Outcome:
    try:
        run = find_run(client, request.dag_id, request.run_id, deadline)
    except RequestRefused as refusal:
        if refusal.status != 404:
            raise
        run = None  # whatever its text: repeating a create is safe, because its run_id is unique
    if run is None:
        return NotHappened(f"there is no run {request.run_id} of {request.dag_id}")
    return Happened(run) if run.token == request.token else Foreign(run)


def _find_on_date(client: AirflowClient, request: StartRequest, deadline: Deadline) -> ObservedRun | None:
    assert request.logical_date is not None
    date = format_instant(request.logical_date)
    # Answered from the unique index on (dag_id, logical_date), so there is at most one.
    answer = client.get(
        runs_path(request.dag_id),
        query={**dict.fromkeys(client.dialect.date_filters, date), "limit": 1},
        deadline=deadline,
    )
    if answer.status != 200:
        raise refusal(answer)
    for run in client.dialect.runs(answer).items.values():
        if run.dag_id == request.dag_id and run.logical_date == request.logical_date:
            return run
    return None


def _clear(client: AirflowClient, request: StartRequest, deadline: Deadline, permit: Permit | None) -> Outcome:
    # dry_run is true by default.
    path, body = f"{run_path(request.dag_id, request.run_id)}/clear", {"dry_run": False}
    if request.tasks:
        path, body = f"/dags/{segment(request.dag_id)}/clearTaskInstances", _clear_of_tasks(client, request)
    answer = _post(client, path, body, deadline, permit)
    if isinstance(answer, Refused):
        return answer
    if answer.status == 200 and request.tasks:  # the answer is a list of task instances
        outcome = _ask_cleared(client, request, deadline)
        return _nothing_cleared(request) if isinstance(outcome, NotHappened) and not outcome.run_missing else outcome
    if answer.status == 200:
        return _evaluate_cleared(request, _read_run(client, answer, request.dag_id, request.run_id))
    if answer.status in AMBIGUOUS:
        return _ask_cleared(client, request, deadline)
    if answer.status == 404:
        refused = _refused(answer)
        try:
            run = find_run(client, request.dag_id, request.run_id, deadline)
        except RequestRefused:
            return refused  # it is certain that nothing has been cleared
        return _missing(client, request, deadline) if run is None else refused
    return _refused(answer)


def _post(
    client: AirflowClient, path: str, body: dict[str, Any], deadline: Deadline, permit: Permit | None
) -> Answer | Refused:
    """The answer; ``Refused`` if the credentials were not accepted, so that nothing was sent."""
    try:
        return client.post(path, body, deadline=deadline, permit=permit)
    except RequestRefused as refusal:
        return Refused(refusal.status, str(refusal))


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
    return _refused(answer)


def _without_address(request: StartRequest) -> Refused:
    named = printable(f"{request.dag_id}/{request.run_id}", limit=bounds.DETAIL)
    return Refused(400, f"{named} cannot be named in an address of Airflow's API")


def _read_run(client: AirflowClient, answer: Answer, dag_id: str, run_id: str) -> ObservedRun:
    run = client.dialect.run(answer)
    if (run.dag_id, run.run_id) != (dag_id, run_id):
        raise answer.unavailable(f"about another run: {run.dag_id}/{run.run_id}")
    return run


def _refused(answer: Answer) -> Refused:
    answer.raise_if_unsettled()
    return Refused(answer.status, answer.detail())
