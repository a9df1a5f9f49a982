"""The top of the playground: runs by the clock. Everything below it is in dependencies.json."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, task


@dag(
    dag_id="01_pipeline",
    schedule="* * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    tags=["playground"],
)
def pipeline() -> None:
    @task
    def work() -> str:
        return "done"

    work()


pipeline()
