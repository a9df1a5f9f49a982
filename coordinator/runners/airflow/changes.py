"""Reading which runs have changed since a moment, for environments in which nothing reports.

``GET /dags/~/dagRuns?updated_at_gte=...`` finds them; no answer contains ``updated_at``. They are sorted by id, which
stays: a run that changes while the pages are read moves nowhere. One that comes to match meanwhile may be left out. It
has changed after the first page was made: the next question, which reaches back to before that, finds it.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from coordinator.model.partitions.instants import format_instant
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.listing import PAGE
from coordinator.runners.airflow.looking import ANY_DAG
from coordinator.runners.airflow.runs import refusal
from coordinator.runners.port import AnswerTooLarge, Changed, EnvironmentUnavailable, ObservedRun, RequestRefused

_log = structlog.get_logger(__name__)

PAGES = 20
"""Pages that are read in one go: two thousand runs. The rest follows."""


def changed_runs(client: AirflowClient, since: datetime | None, offset: int, deadline: Deadline) -> Changed:
    """Raises nothing; parameters as in ``port.Runner``."""
    runs: list[ObservedRun] = []
    first_made_at: datetime | None = None
    total: int | None = None
    query: dict[str, str | int] = {"order_by": "id"}
    if since is not None:
        query["updated_at_gte"] = format_instant(since)
    limit = 1 if since is None else PAGE
    try:
        for _ in range(PAGES):
            try:
                answer = client.get(ANY_DAG, query={**query, "limit": limit, "offset": offset}, deadline=deadline)
                if answer.status != 200:
                    raise refusal(answer)
                page = client.dialect.runs(answer)
            except AnswerTooLarge as error:
                if limit == 1:
                    _log.warning("observe.run_too_large", environment=repr(client), reason=str(error))
                    offset, limit = offset + 1, PAGE
                limit = max(1, limit // 2)
                continue
            first_made_at = first_made_at or answer.date
            if since is None:
                return Changed(made_at=first_made_at)
            if total is not None and page.total < total:
                # A run was deleted: what was behind it has moved forward, and may have been passed over.
                return Changed(tuple(runs), made_at=first_made_at, next_offset=0)
            total = page.total
            runs += page.items.values()
            offset += page.length
            if page.length == 0 or offset >= total:
                return Changed(tuple(runs), made_at=first_made_at)
    except (EnvironmentUnavailable, RequestRefused) as error:
        return Changed(tuple(runs), made_at=first_made_at, error=error.with_traceback(None))
    return Changed(tuple(runs), made_at=first_made_at, next_offset=offset)
