"""Asks Data Fusion whether every table of this partition has been loaded."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from airflow.sdk import dag, task


@dag(dag_id="check_tables", schedule=None, tags=["example"])
def pipeline() -> None:
    @task
    def check(dag_run: object = None) -> list[str]:
        import requests

        moment: datetime = dag_run.logical_date  # type: ignore[attr-defined]
        partition = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        rows = json.loads((Path(os.environ["TABLES_DIRECTORY"]) / f"{partition}.json").read_text(encoding="utf-8"))
        address = f"{os.environ['CDAP']}/v3/namespaces/default/apps/load-table/workflows/DataPipelineWorkflow/runs"
        runs = requests.get(address, timeout=30).json()
        loaded = set()
        for run in runs:
            arguments = json.loads(run["properties"]["runtimeArgs"])
            if run["status"] == "COMPLETED" and arguments["coordinator.partition"] == partition:
                loaded.add(json.loads(arguments["item"])["name"])
        if missing := [row["name"] for row in rows if row["name"] not in loaded]:
            raise RuntimeError(f"not loaded: {', '.join(missing)}")
        return sorted(loaded)

    check()


pipeline()
