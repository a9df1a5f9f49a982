"""The DAGs of the recorded conversation (``tests/airflow_model/recorded``)."""

from __future__ import annotations

import time

from airflow.sdk import (
    DAG,
    Asset,
    CronPartitionTimetable,
    Param,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
    task,
)


@task
def go() -> None: ...


@task
def fail() -> None:
    raise RuntimeError("as it is meant to")


@task
def take_long() -> None:
    time.sleep(60)


with DAG("quick", schedule=None):
    go()

with DAG("slow", schedule=None):
    take_long()

with DAG("broken", schedule=None):
    fail()

with DAG("choosy", schedule=None, params={"n": Param(1, type="integer")}):
    go()

with DAG("empty", schedule=None):
    pass

with DAG("sleeping", schedule=None, is_paused_upon_creation=True):
    go()

with DAG("keyed", schedule=PartitionedAtRuntime()):
    go()

with DAG("keyed_by_asset", schedule=PartitionedAssetTimetable(assets=Asset("orders")), is_paused_upon_creation=True):
    go()

with DAG("keyed_by_cron", schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC"), is_paused_upon_creation=True):
    go()
