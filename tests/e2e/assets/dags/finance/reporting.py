"""``refund_report`` waits for an asset of sales, in dependencies.json; ``consume_handed`` is scheduled by an asset."""

from __future__ import annotations

from airflow.sdk import Asset, dag, task


@dag(dag_id="refund_report", schedule=None)
def refund_report() -> None:
    @task
    def work() -> None:
        pass

    work()


@dag(dag_id="consume_handed", schedule=[Asset("s3://lake/handed/eu")])
def consume_handed() -> None:
    @task
    def work() -> None:
        pass

    work()


refund_report()
consume_handed()
