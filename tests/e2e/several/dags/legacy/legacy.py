"""The DAGs of legacy. Their one task fails where the DAG is named for it, and lasts as long as the conf says."""

from __future__ import annotations

import time
from datetime import datetime

from airflow.decorators import dag, task

FAILING = ("broken", "failing")


def pipeline(dag_id: str) -> None:
    @dag(dag_id=dag_id, schedule=None, start_date=datetime(2025, 1, 1), max_active_runs=64)
    def one() -> None:
        @task
        def work(dag_run=None) -> None:
            time.sleep(float((dag_run.conf or {}).get("seconds", 0)))
            if dag_id in FAILING:
                raise RuntimeError("as it is meant to")

        work()

    one()


for name in ("rates", "archive", "quick", "failing", "slow"):
    pipeline(name)
