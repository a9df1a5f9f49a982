"""Two DAGs that wait for each other's tasks: ``left`` for ``right.r1``, ``right`` for ``left.l2``."""

from __future__ import annotations

from airflow.sdk import dag, task

from coordinator.airflow_provider import PipelineSensor


@dag(dag_id="left", schedule=None, max_active_runs=64)
def left() -> None:
    @task
    def l1() -> None: ...

    @task
    def l2() -> None: ...

    l1() >> PipelineSensor(task_id="ls", pipeline="right", task="r1", rerun="clear") >> l2()


@dag(dag_id="right", schedule=None, max_active_runs=64)
def right() -> None:
    @task
    def r1() -> None: ...

    @task
    def r2() -> None: ...

    r1() >> PipelineSensor(task_id="rs", pipeline="left", task="l2", rerun="clear") >> r2()


left()
right()
