"""The present state of many runs, in few requests (design section 5, point 1).

One list request answers for up to a hundred runs: ``GET /dags/~/dagRuns`` with prefixes of run ids *and* of DAG
ids, or ``GET /dags/<dag_id>/dagRuns`` where all are of one DAG. Both can be answered from Airflow's unique index
on (dag_id, run_id), which is why the DAG ids go along: there is none on run_id alone, and the runs of one
partition share their run_id over all DAGs. ``POST /dags/~/dagRuns/list`` was the other candidate; it knows no
run_id, so it would answer with the whole history of each DAG.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from coordinator.runners.airflow.answers import Answer, RunsAnswer
from coordinator.runners.airflow.client import AirflowClient, addressable, addressable_dag
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.listing import Page, batches, gather, pattern, usable_as_prefix
from coordinator.runners.airflow.starting import find_run, refusal, runs_path
from coordinator.runners.port import ObservedRun, RequestRefused, RunRef

ANY_DAG = "/dags/~/dagRuns"


def look(client: AirflowClient, runs: Collection[RunRef], deadline: Deadline) -> Mapping[RunRef, ObservedRun | None]:
    """The runs as they are now; ``None`` for one that is known not to exist.

    One that Airflow will not tell about is left out: it must not hide the others.

    :raises RequestRefused: not allowed to look at any.
    :raises EnvironmentUnavailable: no complete answer within the deadline.
    """
    found: dict[RunRef, ObservedRun | None] = {}
    # By run_id first: the runs of one partition share it, so a batch asks for what it needs and little more.
    listable = sorted({run for run in runs if _listable(run)}, key=lambda run: (run.run_id, run.dag_id))
    if len(listable) > 1:
        for batch in batches(listable, parts=lambda run: (run.run_id, run.dag_id)):
            found.update(_list(client, batch, deadline))
    refused: RequestRefused | None = None
    for run in runs:
        if run in found:
            continue
        try:
            found[run] = _find(client, run, deadline)
        except RequestRefused as refusal:
            refused = refusal
    if refused is not None and not found:
        raise refused
    return found


def _find(client: AirflowClient, run: RunRef, deadline: Deadline) -> ObservedRun | None:
    if not addressable(run.run_id) and _listable(run):
        # No address, but ``[scheduler] allowed_run_id_pattern`` may let it exist; a list takes any name.
        return _list(client, [run], deadline).get(run)
    return find_run(client, run.dag_id, run.run_id, deadline)


def _listable(run: RunRef) -> bool:
    return usable_as_prefix(run.run_id) and usable_as_prefix(run.dag_id) and addressable_dag(run.dag_id)


def _list(client: AirflowClient, batch: list[RunRef], deadline: Deadline) -> dict[RunRef, ObservedRun]:
    dag_ids = {run.dag_id for run in batch}
    filters = {"run_id_prefix_pattern": pattern(run.run_id for run in batch)}
    if len(dag_ids) == 1:
        path = runs_path(dag_ids.pop())
    else:
        path = ANY_DAG
        filters["dag_id_prefix_pattern"] = pattern(dag_ids)
    return gather(client, path, filters, wanted=batch, read=_read_page, deadline=deadline)


def _read_page(answer: Answer) -> Page[RunRef, ObservedRun]:
    if answer.status == 404:
        # The one DAG that was asked about is gone; whether its runs are, each run's own address says.
        answer.detail()
        return Page({}, 0, 0)
    if answer.status != 200:
        raise refusal(answer)
    page = answer.read(RunsAnswer)
    return Page(
        {RunRef(run.dag_id, run.dag_run_id): run.observed() for run in page.dag_runs},
        len(page.dag_runs),
        page.total_entries,
    )
