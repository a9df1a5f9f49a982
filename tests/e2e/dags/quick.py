"""Succeeds at once."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(dag_id="quick", schedule=None, max_active_runs=64)
def quick() -> None:
    @task
    def work() -> None: ...

    work()


quick()
