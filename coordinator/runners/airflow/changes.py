"""Reading which runs have changed since a moment, for environments in which nothing reports.

``GET /dags/~/dagRuns?updated_at_gte=...`` finds them; no answer contains ``updated_at``. They are sorted by id, which
stays: a run that changes while the pages are read moves nowhere. One that comes to match meanwhile may be left out. It
has changed after the first page was made: the next question, which reaches back to before that, finds it.

Whoever changes a run sets ``updated_at``, mostly a scheduler. So a time up to which all changes are known is one by the
clock of the scheduler, too. Its last heartbeat says what time it is there (``GET /monitor/health``).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import structlog

from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.partitions.instants import format_instant
from coordinator.model.printable import printable
from coordinator.runners.airflow.answers import Answer, HealthAnswer
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.listing import PAGE, Page
from coordinator.runners.airflow.looking import ANY_DAG
from coordinator.runners.airflow.runs import refusal
from coordinator.runners.port import (
    BEGINNING,
    AnswerTooLarge,
    Changed,
    EnvironmentUnavailable,
    ListPlace,
    ObservedRun,
    RequestRefused,
    RunRef,
)

_log = structlog.get_logger(__name__)

PAGES = 20
"""Pages that are read in one go: two thousand runs. The rest follows."""


def changed_runs(client: AirflowClient, since: datetime | None, place: ListPlace, deadline: Deadline) -> Changed:
    """Raises nothing; parameters as in ``port.Runner``.

    Each page begins with the last run of the one before it. Where that stands elsewhere, runs were deleted, and others
    have moved forward and may have been passed over: it begins again.
    """
    runs: list[ObservedRun] = []
    made_at: datetime | None = None
    behind = timedelta(0)
    query: dict[str, str | int] = {"order_by": "id"}
    if since is not None:
        query["updated_at_gte"] = format_instant(since)
    limit = 1 if since is None else PAGE
    (offset, last), begun_at = place, place
    try:
        if place == BEGINNING:
            behind = _scheduler_behind(client, deadline)
        for _ in range(PAGES):
            begin = offset if last is None else offset - 1
            try:
                answer = client.get(ANY_DAG, query={**query, "limit": limit, "offset": begin}, deadline=deadline)
                if answer.status != 200:
                    raise refusal(answer)
                page = _read_page(client, answer)
            except (AnswerTooLarge, _UnreadableRuns) as error:
                if limit == 1 and last is None:
                    _log_one_run(client, offset, error)
                    offset, limit = offset + 1, PAGE
                limit, last = max(1, limit // 2), None
                continue
            made_at = made_at or (answer.date and answer.date - behind)
            if since is None:
                return Changed(made_at=made_at, behind=behind)
            refs = list(page.items)
            if last is not None and refs[:1] != [last]:
                return Changed(tuple(runs), made_at=made_at, behind=behind, next=BEGINNING)
            runs += [run for ref, run in page.items.items() if ref != last]
            offset, last = begin + page.length, refs[-1] if refs else last
            if page.length == 0 or offset >= page.total:
                return Changed(tuple(runs), made_at=made_at, behind=behind)
            limit = min(PAGE, limit * 2)
    except (EnvironmentUnavailable, RequestRefused) as error:
        if (offset, last) == begun_at:
            return Changed(error=error.with_traceback(None))
        _log.info("observe.unfinished", environment=repr(client), runs=len(runs), reason=str(error))
    return Changed(tuple(runs), made_at=made_at, behind=behind, next=ListPlace(offset, last))


def _log_one_run(client: AirflowClient, place: int, error: CoordinatorError) -> None:
    """A single run is passed over. :param place: in the list."""
    if isinstance(error, AnswerTooLarge):
        _log.warning("observe.run_too_large", environment=repr(client), reason=str(error))
    else:
        _log.warning("observe.run_unreadable", environment=repr(client), place=place, reason=str(error))


def _scheduler_behind(client: AirflowClient, deadline: Deadline) -> timedelta:
    """How old the scheduler's last heartbeat is by the API server's clock; zero where the address of the health check
    is closed to us.

    :raises EnvironmentUnavailable: no answer.
    :raises RequestRefused: it is not known now. To go on without it could pass over what has changed.
    """
    answer = client.get(client.dialect.health, deadline=deadline)
    if answer.status in (403, 404):
        return timedelta(0)
    if answer.status != 200:
        raise refusal(answer)
    heartbeat = answer.read(HealthAnswer).scheduler.latest_scheduler_heartbeat
    if answer.date is None or heartbeat is None:
        return timedelta(0)
    return max(timedelta(0), answer.date - heartbeat)


class _UnreadableRuns(EnvironmentUnavailable):
    """A page of runs that Airflow has answered, of which one or more cannot be read."""


def _read_page(client: AirflowClient, answer: Answer) -> Page[RunRef, ObservedRun]:
    """:raises _UnreadableRuns: one of its runs cannot be read.
    :raises EnvironmentUnavailable: it is no page of runs.
    """
    try:
        return client.dialect.runs(answer)
    except AnswerTooLarge:
        raise
    except EnvironmentUnavailable as error:
        if (runs := _runs_in(answer)) is None:
            raise  # a proxy's page, which says nothing of any run
        names = f" ({runs[0].get('dag_id')!r}, {runs[0].get('dag_run_id')!r})" if len(runs) == 1 else ""
        raise _UnreadableRuns(printable(f"{error}{names}", limit=bounds.DETAIL)) from error


def _runs_in(answer: Answer) -> list[dict[str, Any]] | None:
    """The runs of a page, unread; ``None``: it is no page with runs."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("total_entries"), int):
        return None
    runs = document.get("dag_runs")
    return runs if isinstance(runs, list) and runs and all(isinstance(one, dict) for one in runs) else None
