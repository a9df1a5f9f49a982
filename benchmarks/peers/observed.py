"""What Airflow's database says about runs: read there, so that looking costs the API server nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy

from benchmarks.peers.means import TASK

ENDED = ("success", "failed")

_RUNS = sqlalchemy.text(
    """
    SELECT run.dag_id, run.run_id, run.state, task.start_date, task.end_date, run.end_date, task.try_number
    FROM dag_run AS run LEFT JOIN task_instance AS task
      ON task.dag_id = run.dag_id AND task.run_id = run.run_id AND task.task_id = :task
    WHERE run.dag_id = ANY(:dag_ids) AND run.created_at >= :since
    """
)
_DEFERRED = sqlalchemy.text(
    """
    SELECT count(*) FROM task_instance JOIN dag_run USING (dag_id, run_id)
    WHERE dag_id = ANY(:dag_ids) AND task_instance.state = 'deferred' AND created_at >= :since
    """
)
_VISIBLE = sqlalchemy.text("SELECT count(*) FROM dag WHERE NOT is_stale AND NOT is_paused")


@dataclass(frozen=True)
class Run:
    """A run, and its task ``work``.

    :ivar began: when the task did.
    :ivar worked: when the task had ended.
    :ivar ended: when the run had.
    :ivar tries: how often the task has begun.
    """

    dag_id: str
    run_id: str
    state: str
    began: datetime | None
    worked: datetime | None
    ended: datetime | None
    tries: int


class Database:
    """:param url: SQLAlchemy's URL of Airflow's database, a PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")

    def runs(self, dag_ids: Collection[str], since: datetime) -> list[Run]:
        """Those that were created since then."""
        with self._engine.connect() as connection:
            rows = connection.execute(_RUNS, {"dag_ids": list(dag_ids), "since": since, "task": TASK}).all()
        return [Run(*row[:6], tries=row[6] or 0) for row in rows]

    def deferred(self, dag_ids: Collection[str], since: datetime) -> int:
        """How many tasks of such runs are deferred."""
        return self._count(_DEFERRED, dag_ids=list(dag_ids), since=since)

    def visible(self) -> int:
        """How many DAGs can be started."""
        return self._count(_VISIBLE)

    def close(self) -> None:
        self._engine.dispose()

    def _count(self, question: sqlalchemy.TextClause, **parameters: object) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(question, parameters).scalar_one())
