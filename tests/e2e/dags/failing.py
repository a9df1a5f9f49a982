"""Fails at once."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(dag_id="failing", schedule=None, max_active_runs=64)
def failing() -> None:
    @task
    def work() -> None:
        raise RuntimeError("as it is meant to")

    work()


failing()
