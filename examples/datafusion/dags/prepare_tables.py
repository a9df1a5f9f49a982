"""Writes down which tables are to be loaded in this partition: one row for each."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from airflow.sdk import dag, task


@dag(dag_id="prepare_tables", schedule=None, tags=["example"])
def pipeline() -> None:
    @task
    def write(dag_run: object = None) -> int:
        directory = Path(os.environ["TABLES_DIRECTORY"])
        wanted = (directory / "wanted").read_text(encoding="utf-8").split()
        rows = [{"name": name, "source": f"shop.{name}", "target": f"lake.{name}"} for name in wanted]
        moment: datetime = dag_run.logical_date  # type: ignore[attr-defined]
        file = directory / f"{moment:%Y-%m-%dT%H:%M:%SZ}.json"
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(rows), encoding="utf-8")
        unfinished.replace(file)  # nobody reads half of it
        return len(rows)

    write()


pipeline()
