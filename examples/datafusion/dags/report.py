"""Reports that the tables of this partition are there."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(dag_id="report", schedule=None, tags=["example"])
def pipeline() -> None:
    @task
    def write() -> str:
        return "all tables are there"

    write()


pipeline()
