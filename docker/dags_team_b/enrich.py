"""Has no schedule: it runs when 03_pipeline of the other Airflow has ended well (docker/coordinator)."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(dag_id="enrich", schedule=None, catchup=False, max_active_runs=4, tags=["playground"])
def pipeline() -> None:
    @task
    def work() -> str:
        return "done"

    work()


pipeline()
