"""Fails at once."""

from __future__ import annotations

from datetime import datetime

from airflow.decorators import dag, task


@dag(dag_id="failing", schedule=None, start_date=datetime(2025, 1, 1), max_active_runs=64)
def failing() -> None:
    @task
    def work() -> None:
        raise RuntimeError("as it is meant to")

    work()


failing()
