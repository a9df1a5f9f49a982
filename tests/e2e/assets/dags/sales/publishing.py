"""DAGs that emit asset events: ``publish`` of an asset that finance knows, ``unheard_of`` of one that it does not."""

from __future__ import annotations

from airflow.sdk import Asset, Metadata, dag, task

URIS = {
    "publish": "s3://lake/orders/eu",
    "unheard_of": "s3://lake/orders/new",
    "private": "s3://lake/private/eu",
}


def publishing(dag_id: str, asset: Asset) -> None:
    @dag(dag_id=dag_id, schedule=None, max_active_runs=64)
    def one() -> None:
        @task(outlets=[asset])
        def publish():
            yield Metadata(asset, {"rows": 3})

        publish()

    one()


for dag_id, uri in URIS.items():
    publishing(dag_id, Asset(uri))
