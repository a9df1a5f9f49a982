"""``refunds`` emits an asset twice in each run, for a pipeline of finance that waits for it; ``hand_over`` has an
operator emit an event for finance alone."""

from __future__ import annotations

from airflow.sdk import Asset, dag, task

from coordinator.airflow_provider import AssetEventOperator

REFUNDS = Asset("s3://lake/refunds/eu")


@dag(dag_id="refunds", schedule=None)
def refunds() -> None:
    @task(outlets=[REFUNDS])
    def load() -> None:
        pass

    @task(outlets=[REFUNDS])
    def correct() -> None:
        pass

    load() >> correct()


@dag(dag_id="hand_over", schedule=None)
def hand_over() -> None:
    AssetEventOperator(task_id="tell", asset="s3://lake/handed/eu", to=["finance"], extra={"rows": 4})


refunds()
hand_over()
