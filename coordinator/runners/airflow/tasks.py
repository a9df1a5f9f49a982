"""Reading the present state of many tasks in few requests (docs/architecture.md#tasks).

``POST /dags/~/dagRuns/~/taskInstances/list`` (``api_fastapi/core_api/routes/public/task_instances.py``) filters by
exact names of DAGs, runs and tasks, and answers with every combination of them, page by page. It changes nothing.

Entries move between pages while they are read, because a clear gives task instances new ids, by which the list is
sorted. Pages that do not fit together are read again in halves, at last task by task: the instances of one task are
sorted by map_index, which stays. A task that the list lacks is asked for separately, because the list leaves out what
we may not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coordinator.model import bounds
from coordinator.model.taskstate import TaskInstance
from coordinator.runners.airflow.answers import TaskInstancesAnswer
from coordinator.runners.airflow.client import AirflowClient, addressable, addressable_dag
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.listing import PAGE, batches
from coordinator.runners.airflow.runs import refusal, run_path
from coordinator.runners.port import (
    AnswerTooLarge,
    ObservedRun,
    ObservedTask,
    RequestRefused,
    RunOrTask,
    TaskRef,
)

PATH = "/dags/~/dagRuns/~/taskInstances/list"

_Instances = dict[TaskRef, dict[int, TaskInstance]]


class _PagesDiffer(Exception):
    """Entries have moved between pages while they were read."""


def look_at_tasks(
    client: AirflowClient,
    asked: Mapping[TaskRef, ObservedRun],
    deadline: Deadline,
    *,
    seen: dict[RunOrTask, ObservedRun | ObservedTask | None],
    refused: dict[RunOrTask, RequestRefused],
) -> None:
    """Add what became of each task, as far as there is time. What could not be read is left out.

    :param asked: the tasks, each with its run, which was read before.
    :raises EnvironmentUnavailable: there is no time left, or no answer.
    """

    def answer(batch: Sequence[TaskRef]) -> None:
        deadline.check(f"{client!r}: the look")
        try:
            found = _list(client, batch, deadline)
            for ref in batch:
                if ref not in found and client.dialect.sorts_tasks:
                    deadline.check(f"{client!r}: the look")
                    _check_missing(client, ref, deadline)
        except RequestRefused as why:
            if len(batch) == 1:
                refused[batch[0]] = why.with_traceback(None)
        except (AnswerTooLarge, _PagesDiffer) as trouble:
            if len(batch) == 1 and isinstance(trouble, AnswerTooLarge):
                refused[batch[0]] = RequestRefused(str(trouble), status=200)
        else:
            seen.update((ref, ObservedTask(asked[ref], tuple(found.get(ref, {}).values()))) for ref in batch)
            return
        if len(batch) > 1:
            middle = len(batch) // 2
            answer(batch[:middle])
            answer(batch[middle:])

    for batch in batches(sorted(asked), parts=tuple):
        answer(batch)


def _list(client: AirflowClient, batch: Sequence[TaskRef], deadline: Deadline) -> _Instances:
    """The instances of these tasks.

    :raises RequestRefused: the request is refused.
    :raises AnswerTooLarge: a page is too large, or there are too many instances.
    """
    body: dict[str, Any] = {
        "dag_ids": sorted({ref.dag_id for ref in batch}),
        "dag_run_ids": sorted({ref.run_id for ref in batch}),
        "task_ids": sorted({ref.task_id for ref in batch}),
        "page_limit": PAGE,
    }
    if client.dialect.sorts_tasks:
        body["order_by"] = "map_index" if len(batch) == 1 else "id"
    wanted = set(batch)
    found: _Instances = {}
    read, offset, total = set(), 0, None
    while total is None or offset < total:
        answer = client.post(PATH, {**body, "page_offset": offset}, deadline=deadline)
        if answer.status != 200:
            raise refusal(answer)
        page = answer.read(TaskInstancesAnswer)
        total = page.total_entries if total is None else total
        if total > bounds.TASK_INSTANCES:
            raise AnswerTooLarge(f"{PATH}: {total} task instances; expected at most {bounds.TASK_INSTANCES}")
        for one in page.task_instances:
            ref = TaskRef(one.dag_id, one.dag_run_id, one.task_id)
            read.add((ref, one.map_index))
            if ref in wanted:
                found.setdefault(ref, {})[one.map_index] = one.instance()
        offset += len(page.task_instances)
        if not page.task_instances:
            break
    if len(read) != total:
        raise _PagesDiffer
    return found


def _check_missing(client: AirflowClient, ref: TaskRef, deadline: Deadline) -> None:
    """Nothing, if the run has no such task.

    :raises RequestRefused: its tasks may not be read.
    :raises _PagesDiffer: it has one by now.
    """
    if addressable_dag(ref.dag_id) and addressable(ref.run_id):
        path = f"{run_path(ref.dag_id, ref.run_id)}/taskInstances"
        answer = client.get(path, query={"task_id": ref.task_id, "limit": 1}, deadline=deadline)
        if answer.status != 200:
            raise refusal(answer)
        if answer.read(TaskInstancesAnswer).task_instances:
            raise _PagesDiffer
