"""``coordinator rerun`` on a real Airflow: the run that is there is cleared, and where there is none one is created."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from coordinator.model.partitions.instants import format_instant
from examples.demo.airflow import AirflowProcess
from tests.e2e.conftest import Reports
from tests.e2e.test_main_job import WatcherProcess


def test_an_ordered_rerun_clears_the_run_and_where_there_is_none_creates_one(
    airflow: AirflowProcess, reports: Reports, next_date: Callable[[], datetime]
) -> None:
    folder = airflow.dags_folder.parent

    def coordinator(*arguments: str) -> Any:
        command = (sys.executable, "-m", "coordinator.cli", *arguments, "--config", str(folder / "coordinator.toml"))
        done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    watcher = WatcherProcess(folder)
    watcher.start()
    try:
        first, other = next_date(), next_date()
        airflow.api.trigger("quick", logical_date=first.isoformat())
        before = reports.wait("quick", format_instant(first), "success")

        (step,) = coordinator("rerun", "quick", format_instant(first), "--dry-run")["runs"]
        assert (step["how"], step["run_id"], step["state"]) == ("clear", before.run_id, "success")
        coordinator("rerun", "quick", format_instant(first), "--reason", "a test")
        after = reports.wait("quick", format_instant(first), "success", after=before.queued_at)
        assert after.run_id == before.run_id

        assert coordinator("rerun", "quick", format_instant(other), "--new-partition")["runs"][0]["how"] == "create"
        created = reports.wait("quick", format_instant(other), "success")
        assert created.run_id == f"coordinator__{format_instant(other)}__1"
        watcher.await_rest()
        runs = [run for run in airflow.api.runs("quick") if run["logical_date"] is not None]
        dates = [datetime.fromisoformat(run["logical_date"]) for run in runs]
        assert (dates.count(first), dates.count(other)) == (1, 1)
        assert [act["act"] for act in coordinator("acts", "--pipeline", "quick")["acts"]] == ["rerun", "rerun"]
    finally:
        watcher.stop()
