"""DAGs that assets start. A test adds the one of ``appears.py`` later."""

from __future__ import annotations

from airflow.sdk import Asset, dag, task


@dag(dag_id="consume", schedule=[Asset("s3://lake/orders/eu")])
def consume() -> None:
    @task
    def work(triggering_asset_events=None) -> None:
        print(triggering_asset_events)

    work()


@dag(dag_id="consume_private", schedule=[Asset("s3://lake/private/eu")])
def consume_private() -> None:
    @task
    def work() -> None:
        pass

    work()


@dag(dag_id="after_private", schedule=None, max_active_runs=64)
def after_private() -> None:
    """dependencies.json makes it wait for an asset of sales."""

    @task
    def work() -> None:
        pass

    work()


consume()
consume_private()
after_private()
