"""A DAG that finance gets later."""

from __future__ import annotations

from airflow.sdk import Asset, dag, task


@dag(dag_id="consume_new", schedule=[Asset("s3://lake/orders/new")])
def consume_new() -> None:
    @task
    def work() -> None:
        pass

    work()


consume_new()
