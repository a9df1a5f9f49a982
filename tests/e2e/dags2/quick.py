"""Succeeds at once."""

from __future__ import annotations

from datetime import datetime

from airflow.decorators import dag, task


@dag(dag_id="quick", schedule=None, start_date=datetime(2025, 1, 1), max_active_runs=64)
def quick() -> None:
    @task
    def work() -> None: ...

    work()


quick()
