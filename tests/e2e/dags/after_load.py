"""Two DAGs that wait for the task ``load`` of ``staged``: one by dependencies.json, one in its middle, by a sensor."""

from __future__ import annotations

from airflow.sdk import dag, task

from coordinator.airflow_provider import PipelineSensor


@dag(dag_id="after_load", schedule=None, max_active_runs=64)
def after_load() -> None:
    @task
    def work() -> None: ...

    work()


@dag(dag_id="halves", schedule=None, max_active_runs=64)
def halves() -> None:
    @task
    def first() -> None: ...

    @task
    def second() -> None: ...

    first() >> PipelineSensor(task_id="sensor", pipeline="staged", task="load", timeout=300, rerun="clear") >> second()


after_load()
halves()
