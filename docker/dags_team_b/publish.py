"""Has no schedule: it runs when enrich here and 06_pipeline of the other Airflow have ended well."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(dag_id="publish", schedule=None, catchup=False, max_active_runs=4, tags=["playground"])
def pipeline() -> None:
    @task
    def work() -> str:
        return "done"

    work()


pipeline()
