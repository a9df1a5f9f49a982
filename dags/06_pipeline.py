"""Has no schedule: it runs when 02_pipeline to 05_pipeline have ended well (dependencies.json)."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(dag_id="06_pipeline", schedule=None, catchup=False, max_active_runs=4, tags=["playground"])
def pipeline() -> None:
    @task
    def work() -> str:
        return "done"

    work()


pipeline()
