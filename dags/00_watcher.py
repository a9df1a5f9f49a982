"""The watcher as a DAG, for those who have an Airflow and no place for a service.

Every minute one bounded run of ``coordinator watch``, one at a time. What happens between two runs is not lost:
a watcher decides from what etcd says now, not from what it has seen. Paused at first: switch it on only where no
watcher runs as a service (two do no harm, the second one waits for the first one's lease, but a slot is wasted).

``COORDINATOR_CONFIG`` names coordinator.toml; ``COORDINATOR_DEPENDENCIES`` the dependencies, by default
dependencies.json beside this folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task

MAX_RUNTIME = 55
"""Seconds: shorter than the schedule, so that runs do not pile up."""


@dag(
    dag_id="00_watcher",
    schedule="* * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    tags=["coordinator"],
)
def watcher() -> None:
    @task(execution_timeout=timedelta(seconds=MAX_RUNTIME + 60))
    def watch() -> None:
        beside = Path(__file__).resolve().parent.parent / "dependencies.json"
        dependencies = os.environ.get("COORDINATOR_DEPENDENCIES") or str(beside)
        # A program of its own: a task is a fork of Airflow's, and gRPC does not survive being forked.
        subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "coordinator.cli",
                "watch",
                "--dependencies",
                dependencies,
                "--max-runtime",
                str(MAX_RUNTIME),
            ],
            check=True,
        )

    watch()


watcher()
