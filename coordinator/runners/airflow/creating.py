"""Creating a run, exactly once: what is ambiguous is resolved by reading, and a run that is there already is adopted.

A 409 does not show which of the two unique constraints was violated, run_id or logical date. A ``partition_key`` is not
unique in Airflow: so before a run of a partitioned DAG is created, its runs are asked for one with that key. (A run
that Airflow makes for the same key at this very moment is not seen.) Airflow gives its own runs of such DAGs a key and
no logical date; ours has both where the partition is a date-time, as a run has that is triggered by hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coordinator.model.partitions.instants import format_instant
from coordinator.runners.airflow.answers import Answer
from coordinator.runners.airflow.client import AirflowClient, segment
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.partitioned import PartitionedDags
from coordinator.runners.airflow.runs import find_run, find_run_with_key, read_run, refusal, runs_path
from coordinator.runners.airflow.sending import post, refused
from coordinator.runners.port import (
    AnswerTooLarge,
    EnvironmentUnavailable,
    Foreign,
    Happened,
    NotHappened,
    NotSent,
    ObservedRun,
    Outcome,
    Permit,
    Refused,
    RequestRefused,
    StartRequest,
)

_NO_KEY = {400: b"is not a partitioned Dag", 422: b"partition_key"}
"""What a refusal says of a key that is too much: for a DAG that is not partitioned
(``exceptions.DagNotPartitionedError``), or of an Airflow that has no keys."""


class _NoKeyForIt:
    """The DAG takes no key any more: nothing has happened."""


def create(
    client: AirflowClient,
    partitioned: PartitionedDags,
    request: StartRequest,
    deadline: Deadline,
    permit: Permit | None,
) -> Outcome:
    """Raises as :func:`~coordinator.runners.airflow.starting.start` does."""
    try:
        with_key = _is_partitioned(client, partitioned, request.dag_id, deadline)
        found = find_run_with_key(client, request, deadline) if with_key and not request.beside else None
    except AnswerTooLarge as large:  # this DAG's alone: its environment does not fail
        return Refused(200, str(large))
    except EnvironmentUnavailable as error:
        raise NotSent(str(error), retry_after=error.retry_after) from error
    except RequestRefused as error:
        return Refused(error.status, str(error))
    if found is not None:
        return Happened(found) if found.token == request.token else Foreign(found)
    if not with_key:
        return _send_without_key(client, request, deadline, permit)
    outcome = _send_with_key(client, request, deadline, permit)
    if isinstance(outcome, Foreign) and outcome.run.partition_key not in (None, request.partition):
        # The date is that of a run in another partition.
        outcome = _send_with_key(client, replace(request, logical_date=None), deadline, permit)
    if isinstance(outcome, _NoKeyForIt):
        partitioned.note_ordinary(request.dag_id)
        outcome = _send_without_key(client, request, deadline, permit)
    return outcome


def ask_created(client: AirflowClient, request: StartRequest, deadline: Deadline) -> Outcome:
    """Whether a run has been created. Raises as :func:`~coordinator.runners.airflow.starting.ask` does."""
    try:
        run = find_run(client, request.dag_id, request.run_id, deadline)
    except RequestRefused as refusal:
        if refusal.status != 404:
            raise
        run = None  # whatever its text: repeating a create is safe, because its run_id is unique
    if run is None:
        return NotHappened(f"there is no run {request.run_id} of {request.dag_id}")
    return Happened(run) if run.token == request.token else Foreign(run)


def _is_partitioned(client: AirflowClient, partitioned: PartitionedDags, dag_id: str, deadline: Deadline) -> bool:
    """Whether the runs of a DAG take a key. The environment is asked if nothing has been heard of the DAG lately.

    A DAG that may not be read, or is not there, counts as an ordinary one: the request itself says what is wrong.

    :raises EnvironmentUnavailable: no answer.
    """
    if not client.dialect.has_partition_keys:
        return False
    known = partitioned.is_partitioned(dag_id)
    if known is not None:
        return known
    answer = client.get(f"/dags/{segment(dag_id)}", deadline=deadline)
    if answer.status == 200:
        dag = client.dialect.dag(answer)
        partitioned.note([dag])
        return dag.is_partitioned
    answer.raise_if_unsettled()
    partitioned.note_ordinary(dag_id)
    return False


def _send_with_key(
    client: AirflowClient, request: StartRequest, deadline: Deadline, permit: Permit | None
) -> Outcome | _NoKeyForIt:
    answer = _send(client, request, {"partition_key": request.partition}, deadline, permit)
    if isinstance(answer, Answer) and answer.status in _NO_KEY and _NO_KEY[answer.status] in answer.body:
        return _NoKeyForIt()
    outcome = _outcome(client, request, answer, deadline)
    if isinstance(outcome, Refused) and "key_format" in outcome.answer:
        remedy = "let its dependencies name its partitions in that format ('output_format')"
        return replace(outcome, answer=f"{outcome.answer}; {remedy}")
    return outcome


def _send_without_key(
    client: AirflowClient, request: StartRequest, deadline: Deadline, permit: Permit | None
) -> Outcome:
    return _outcome(client, request, _send(client, request, {}, deadline, permit), deadline)


def _send(
    client: AirflowClient, request: StartRequest, more: dict[str, Any], deadline: Deadline, permit: Permit | None
) -> Answer | Refused:
    """:param more: fields of the body."""
    body: dict[str, Any] = {"dag_run_id": request.run_id, "conf": dict(request.conf)}
    if request.logical_date is not None:
        body["logical_date"] = format_instant(request.logical_date)
    elif client.dialect.has_undated_runs:
        body["logical_date"] = None  # without the key, Airflow answers 422
    return post(client, runs_path(request.dag_id), body | more, deadline, permit)


def _outcome(client: AirflowClient, request: StartRequest, answer: Answer | Refused, deadline: Deadline) -> Outcome:
    if isinstance(answer, Refused):
        return answer
    if answer.status == 200:
        return Happened(read_run(client, answer, request.dag_id, request.run_id))
    if answer.status == 500:
        return ask_created(client, request, deadline)
    if answer.status == 409:
        return _resolve_conflict(client, request, deadline)
    return refused(answer)


def _resolve_conflict(client: AirflowClient, request: StartRequest, deadline: Deadline) -> Outcome:
    outcome = ask_created(client, request, deadline)
    if not isinstance(outcome, NotHappened) or request.logical_date is None:
        return outcome
    same_date = _find_on_date(client, request, deadline)
    if same_date is not None:
        return Foreign(same_date)
    return NotHappened(
        f"Airflow answered 409 to {request.dag_id}/{request.run_id}, and now has neither this run nor another one on "
        "its logical date: the conflicting run was deleted"
    )


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
