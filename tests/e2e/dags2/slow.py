"""Runs for half a minute, or for as many seconds as its conf says."""

from __future__ import annotations

import time
from datetime import datetime

from airflow.decorators import dag, task


@dag(dag_id="slow", schedule=None, start_date=datetime(2025, 1, 1), max_active_runs=64)
def slow() -> None:
    @task
    def work(dag_run=None) -> None:
        time.sleep(float((dag_run.conf or {}).get("seconds", 30)))

    work()


slow()
