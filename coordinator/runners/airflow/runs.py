"""Reading one run: by its run_id, or by the partition key that it has."""

from __future__ import annotations

import re

from coordinator.model.printable import printable
from coordinator.runners.airflow.answers import Answer
from coordinator.runners.airflow.client import AirflowClient, addressable, addressable_dag, segment
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.listing import PAGE
from coordinator.runners.port import AnswerTooLarge, ObservedRun, RequestRefused, StartRequest

_PREFIX = re.compile(r"[!-{}~]*")
"""What Airflow takes for the beginning of a key: blanks around it are dropped."""


def runs_path(dag_id: str) -> str:
    return f"/dags/{segment(dag_id)}/dagRuns"


def run_path(dag_id: str, run_id: str) -> str:
    return f"{runs_path(dag_id)}/{segment(run_id)}"


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
        return read_run(client, answer, dag_id, run_id)
    # A 404 that does not name the run concerns the address: the url is wrong.
    # The whole text: after a long name of a DAG, the run would be cut off.
    if answer.status == 404 and printable(run_id) in answer.detail(limit=None):
        return None
    raise refusal(answer)


def refusal(answer: Answer) -> RequestRefused:
    """The error for a refusal. :raises EnvironmentUnavailable: the answer does not settle the question."""
    answer.raise_if_unsettled()
    return RequestRefused(f"{answer.question} answered {answer.status}: {answer.detail()}", status=answer.status)


def find_run_with_key(client: AirflowClient, request: StartRequest, deadline: Deadline) -> ObservedRun | None:
    """The run that a partition of a partitioned DAG has already: that of this request, else the newest one.

    Airflow lets any number of runs have one key (``models/dagrun.py``: only run_ids and logical dates are unique), and
    gives its own runs a key and no logical date.

    :raises RequestRefused: we may not read the runs.
    :raises AnswerTooLarge: one of them is too large to read.
    :raises EnvironmentUnavailable: no answer that settles it.
    """
    filters: dict[str, str | int] = {"order_by": "-id"}
    # An older Airflow ignores the filter, and answers with all runs; so each is compared.
    if (found := _PREFIX.match(request.partition)) and found[0]:
        filters["partition_key_prefix_pattern"] = found[0]
    offset, limit = 0, PAGE
    while True:
        query = {**filters, "limit": limit, "offset": offset}
        try:
            answer = client.get(runs_path(request.dag_id), query=query, deadline=deadline)
            if answer.status != 200:
                raise refusal(answer)
            page = client.dialect.runs(answer)
        except AnswerTooLarge:
            if limit == 1:
                raise
            limit //= 10
            continue
        same = [run for run in page.items.values() if run.partition_key == request.partition]
        if same:
            return next((run for run in same if run.token == request.token), same[0])
        offset += page.length
        if page.length == 0 or offset >= page.total:
            return None


def read_run(client: AirflowClient, answer: Answer, dag_id: str, run_id: str) -> ObservedRun:
    run = client.dialect.run(answer)
    if (run.dag_id, run.run_id) != (dag_id, run_id):
        raise answer.unavailable(f"about another run: {run.dag_id}/{run.run_id}")
    return run
