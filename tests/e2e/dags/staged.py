"""Three tasks: ``load`` ends at once; ``rest`` runs until a file is there, or for a minute; ``check`` follows."""

from __future__ import annotations

import time
from pathlib import Path

from airflow.sdk import dag, task


@dag(dag_id="staged", schedule=None, max_active_runs=64)
def staged() -> None:
    @task
    def load() -> None: ...

    @task
    def rest(dag_run=None) -> None:
        until, end = time.monotonic() + 60, Path((dag_run.conf or {}).get("until", "/"))
        while not end.exists() and time.monotonic() < until:
            time.sleep(0.1)

    @task
    def check() -> None: ...

    load() >> rest() >> check()


staged()
