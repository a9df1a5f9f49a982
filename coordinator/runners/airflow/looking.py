"""Reading the present state of many runs in few requests (docs/architecture.md#look).

One list request answers about up to a hundred runs: ``GET /dags/~/dagRuns`` with prefixes of run ids *and* of DAG ids,
or
``GET /dags/<dag_id>/dagRuns`` if all are of one DAG. Both can be answered from Airflow's unique index on
(dag_id, run_id), which is why the DAG ids are included: there is no index on run_id alone, and the runs of one
partition have the same run_id in all DAGs.

Airflow 2 cannot be asked for several run ids. ``POST /dags/~/dagRuns/list`` filters by DAGs and by logical date, which
most run ids contain: those of one date take one request, and any other run one of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from coordinator.runners.airflow.answers import Answer
from coordinator.runners.airflow.client import AirflowClient, addressable, addressable_dag
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.listing import PAGE, Page, batches, gather, pattern, usable_as_prefix
from coordinator.runners.airflow.starting import find_run, refusal, runs_path
from coordinator.runners.airflow.tasks import look_at_tasks
from coordinator.runners.port import (
    AnswerTooLarge,
    EnvironmentUnavailable,
    Looked,
    ObservedRun,
    ObservedTask,
    RequestRefused,
    RunOrTask,
    RunRef,
    TaskRef,
)

ANY_DAG = "/dags/~/dagRuns"

_DATE_IN_RUN_ID = re.compile(r"__(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))(?:__\d+)?$")


def look(client: AirflowClient, asked: Sequence[RunOrTask], deadline: Deadline) -> Looked:
    """The runs and tasks as they are now, as far as there is time. Each batch is answered before the next one begins.

    The run of a task is read before the task: so the task is at least as new as the attempt that it is seen in.

    :param asked: in the order of urgency. Runs that share a request with an urgent one come with it.
    """
    asked = tuple(dict.fromkeys(asked))
    tasks = [one for one in asked if isinstance(one, TaskRef)]
    runs: dict[RunRef, ObservedRun | None] = {}
    runs_refused: dict[RunRef, RequestRefused] = {}
    seen: dict[RunOrTask, ObservedRun | ObservedTask | None] = {}
    refused: dict[RunOrTask, RequestRefused] = {}
    error: EnvironmentUnavailable | RequestRefused | None = None
    try:
        for batch in _batches(
            client, tuple(dict.fromkeys(one.run if isinstance(one, TaskRef) else one for one in asked))
        ):
            _answer(client, batch, deadline, runs, runs_refused)
        of_runs = {task: run for task in tasks if (run := runs.get(task.run)) is not None}
        look_at_tasks(client, of_runs, deadline, seen=seen, refused=refused)
    except EnvironmentUnavailable as failure:
        has_answered = bool(runs or runs_refused)
        error = None if has_answered and deadline.remaining() <= 0 else failure.with_traceback(None)
    wanted = set(asked)
    seen |= {run: observed for run, observed in runs.items() if run in wanted}
    refused |= {run: why for run, why in runs_refused.items() if run in wanted}
    seen |= {task: None for task in tasks if task.run in runs and runs[task.run] is None}
    refused |= {task: runs_refused[task.run] for task in tasks if task.run in runs_refused}
    if error is None and refused and not seen:
        error = next(iter(refused.values()))
    return Looked(seen, refused, frozenset(asked) - seen.keys() - refused.keys(), error)


def _batches(client: AirflowClient, runs: Sequence[RunRef]) -> list[list[RunRef]]:
    """The runs grouped by request, the batch with the first run first. A run that no list can name is alone."""
    place = {run: number for number, run in enumerate(runs)}
    if not client.dialect.has_prefix_filters:
        return sorted(_of_one_date(runs), key=lambda batch: min(place[run] for run in batch))
    listable = [run for run in runs if _listable(run)]
    # Runs of one partition share their run_id, and those of one DAG its dag_id: take what needs fewer requests.
    by_run_id = sorted(listable, key=lambda run: (run.run_id, run.dag_id))
    by_dag = sorted(listable)
    found = min((list(batches(ordered, parts=tuple)) for ordered in (by_run_id, by_dag)), key=len)
    found += [[run] for run in runs if not _listable(run)]
    return sorted(found, key=lambda batch: min(place[run] for run in batch))


def _of_one_date(runs: Iterable[RunRef]) -> list[list[RunRef]]:
    """The runs grouped by the logical date in their run_id, by which Airflow 2 can list those of many DAGs."""
    found: dict[str | RunRef, list[RunRef]] = {}
    for run in runs:
        found.setdefault(_date_in(run.run_id) or run, []).append(run)
    return [batch[at : at + PAGE] for batch in found.values() for at in range(0, len(batch), PAGE)]


def _date_in(run_id: str) -> str | None:
    """The logical date that a run_id ends with, or has before the number of its sequence."""
    named = _DATE_IN_RUN_ID.search(run_id)
    return named[1] if named is not None else None


def _answer(
    client: AirflowClient,
    batch: list[RunRef],
    deadline: Deadline,
    seen: dict[RunRef, ObservedRun | None],
    refused: dict[RunRef, RequestRefused],
) -> None:
    """Answer each run of a batch. Refusals are kept without their frames, which would be a cycle.

    :raises EnvironmentUnavailable: there is no time left, or no answer.
    """
    if len(batch) > 1:
        deadline.check(f"{client!r}: the look")
        try:
            seen.update(_list(client, batch, deadline))
        except RequestRefused as refusal:
            refused.update(dict.fromkeys(batch, refusal.with_traceback(None)))
        except AnswerTooLarge:
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                _answer(client, half, deadline, seen, refused)
    for run in batch:
        if run not in seen and run not in refused:
            deadline.check(f"{client!r}: the look")
            try:
                seen[run] = _find(client, run, deadline)
            except RequestRefused as refusal:
                refused[run] = refusal.with_traceback(None)
            except AnswerTooLarge as large:
                refused[run] = RequestRefused(str(large), status=200)


def _find(client: AirflowClient, run: RunRef, deadline: Deadline) -> ObservedRun | None:
    if not addressable(run.run_id) and client.dialect.has_prefix_filters and _listable(run):
        # It has no address, but ``[scheduler] allowed_run_id_pattern`` may let it exist; a list can name it.
        return _list(client, [run], deadline).get(run)
    return find_run(client, run.dag_id, run.run_id, deadline)


def _listable(run: RunRef) -> bool:
    return usable_as_prefix(run.run_id) and usable_as_prefix(run.dag_id) and addressable_dag(run.dag_id)


def _list(client: AirflowClient, batch: Sequence[RunRef], deadline: Deadline) -> dict[RunRef, ObservedRun]:
    def read_page(answer: Answer) -> Page[RunRef, ObservedRun]:
        if answer.status == 404:
            # The one DAG that was asked about does not exist any more; each run's own address shows whether its runs
            # do.
            answer.detail()
            return Page({}, 0, 0)
        if answer.status != 200:
            raise refusal(answer)
        return client.dialect.runs(answer)

    dag_ids = {run.dag_id for run in batch}
    if not client.dialect.has_prefix_filters:
        date = _date_in(batch[0].run_id)
        body = {"dag_ids": sorted(dag_ids), **dict.fromkeys(client.dialect.date_filters, date), "page_limit": PAGE}
        found = read_page(client.post(f"{ANY_DAG}/list", body, deadline=deadline)).items
        return {run: found[run] for run in batch if run in found}
    filters = {"run_id_prefix_pattern": pattern(run.run_id for run in batch)}
    if len(dag_ids) == 1:
        path = runs_path(dag_ids.pop())
    else:
        path = ANY_DAG
        filters["dag_id_prefix_pattern"] = pattern(dag_ids)
    return gather(client, path, filters, wanted=batch, read=read_page, deadline=deadline)
