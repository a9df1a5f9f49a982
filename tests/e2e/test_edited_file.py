"""A name mistyped in dependencies.json, as a person lives it on a real Airflow: refused, and where it was accepted all
the same, the hour that ended meanwhile runs once the file is repaired."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.model.partitions.instants import format_instant
from coordinator.store.embedded import EmbeddedEtcd
from examples.demo.airflow import AirflowProcess
from tests.e2e.conftest import REPOSITORY, Reports, eventually, write_config
from tests.e2e.test_main_job import WatcherProcess

DOWNSTREAM, UPSTREAM, MISTYPED = "failing", "quick", "quik"


class Editor:
    """A folder with a dependencies.json that somebody edits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "dependencies.json"
        self.others = json.loads((REPOSITORY / "dependencies.json").read_text())

    def write(self, upstream: str | None) -> None:
        """What ``failing`` waits for, beside the playground; ``None``: nothing, as before."""
        entry = {DOWNSTREAM: upstream} if upstream is not None else {}
        new = self.folder / "new.json"
        new.write_text(json.dumps(self.others | entry))
        new.replace(self.file)

    def run(self, *arguments: str) -> str:
        """The command line. Returns what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "coordinator.cli", *arguments],
            env={**os.environ, "COORDINATOR_CONFIG": str(self.folder / "coordinator.toml")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    def in_force(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.run("dependencies", "show", "--json"))
        return shown


@pytest.fixture
def editor(tmp_path: Path, airflow: AirflowProcess, airflow_etcd: EmbeddedEtcd) -> Editor:
    write_config(tmp_path, airflow, airflow_etcd)
    return Editor(tmp_path)


def test_a_mistyped_name_is_refused_and_an_accepted_one_loses_no_hour(
    editor: Editor, airflow: AirflowProcess, reports: Reports, next_date: Callable[[], datetime]
) -> None:
    editor.write(UPSTREAM)
    watcher = WatcherProcess(editor.folder)
    watcher.start()
    try:
        eventually(lambda: editor.in_force()["dependencies"].get(DOWNSTREAM) == UPSTREAM, "it is published")

        editor.write(MISTYPED)
        (said, *_) = eventually(watcher.refusals, "the edit is refused")
        assert MISTYPED in said
        assert "--accept" in said
        assert editor.in_force()["dependencies"][DOWNSTREAM] == UPSTREAM, "the last good one stays in force"

        editor.run("apply", str(editor.file), "--accept", "--yes")
        eventually(lambda: editor.in_force()["dependencies"][DOWNSTREAM] == MISTYPED, "it is accepted")
        hour = next_date()
        airflow.api.trigger(UPSTREAM, logical_date=hour.isoformat())
        reports.wait(UPSTREAM, format_instant(hour), "success")
        eventually(lambda: watcher.says("idle"), "nothing waits for it now")
        assert reports.entry(DOWNSTREAM, format_instant(hour)) is None

        editor.write(UPSTREAM)
        reports.wait(DOWNSTREAM, format_instant(hour), "failed")
        assert reports.history(DOWNSTREAM, format_instant(hour)) == ["running", "failed"], "once"

        editor.write(None)  # as the other tests know it
        eventually(lambda: DOWNSTREAM not in editor.in_force()["dependencies"], "it is taken out again")
    finally:
        watcher.stop()
