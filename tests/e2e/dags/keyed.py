"""Partitioned DAGs. What is below fails unless its run has its partition as its key, and its inputs."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, PartitionedAtRuntime, task

import coordinator
from coordinator.airflow_provider import PipelineSensor

regions = Asset("regions")


@task(outlets=[regions])
def work() -> None: ...


@task
def check(dag_run: Any = None) -> None:
    assert dag_run.partition_key == dag_run.conf["coordinator"]["partition"], dag_run.partition_key
    assert coordinator.inputs(), "it is started by something above"


with DAG("keyed", schedule=PartitionedAtRuntime(), max_active_runs=64):
    work()

with DAG("keyed_below", schedule=PartitionedAtRuntime(), max_active_runs=64):
    PipelineSensor(task_id="sensor", pipeline="keyed", timeout=300) >> check()

with DAG("keyed_all", schedule=PartitionedAtRuntime(), max_active_runs=64):
    check()

with DAG("keyed_by_asset", schedule=PartitionedAssetTimetable(assets=regions), max_active_runs=64):

    @task
    def go() -> None: ...

    go()
