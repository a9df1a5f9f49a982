"""Dependencies on tasks, and a sensor inside a DAG, on a real Airflow with a triggerer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from coordinator.model.partitions.instants import format_instant
from coordinator.store.embedded import EmbeddedEtcd
from examples.demo.airflow import AirflowProcess
from tests.e2e.conftest import PAGE, REPOSITORY, Reports, eventually, write_config
from tests.e2e.test_main_job import WatcherProcess


class Scene:
    """``after_load`` waits for the task ``load`` of ``staged``."""

    def __init__(self, folder: Path, airflow: AirflowProcess) -> None:
        self.folder = folder
        self.airflow = airflow

    def trigger(self, dag_id: str, date: datetime) -> str:
        """:returns: the run_id."""
        conf = {"until": str(self._end_of(date))}
        return str(self.airflow.api.trigger(dag_id, logical_date=date.isoformat(), conf=conf)["dag_run_id"])

    def end(self, date: datetime) -> None:
        """Let the run of ``staged`` go on to its end."""
        self._end_of(date).touch()

    def _end_of(self, date: datetime) -> Path:
        return self.folder / f"end-{date:%Y%m%dT%H}"

    def tasks(self, dag_id: str, run_id: str) -> dict[str, tuple[str | None, str]]:
        """The state of each task, and the id of its instance."""
        found = self.airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {one["task_id"]: (one["state"], one["id"]) for one in found}

    def await_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        eventually(lambda: self.tasks(dag_id, run_id)[task_id][0] == state, f"{dag_id}.{task_id} is {state}")

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """A person clears tasks, with what is below them."""
        self.airflow.api.call(
            "POST",
            f"/dags/{dag_id}/clearTaskInstances",
            json={
                "dry_run": False,
                "only_failed": False,
                "dag_run_id": run_id,
                "task_ids": [*task_ids],
                "include_downstream": True,
            },
        )

    def at_rest(self, *dag_ids: str) -> None:
        """Wait until the coordinator has nothing to do for these pipelines, and no run of them goes on."""
        waiting = {"queued", "running"}

        def rests() -> bool:
            runs = [self.airflow.api.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"] for dag_id in dag_ids]
            found = (
                self.coordinator("status", "--all", "--pipeline", dag_id, may_tell_problems=True) for dag_id in dag_ids
            )
            shown = [one for status in found for one in status["pipelines"]]
            settled = all(one["readiness"] == "settled" for one in shown if one["pipeline"] in dag_ids)
            return settled and not any(run["state"] in waiting for some in runs for run in some)

        eventually(rests, f"{', '.join(dag_ids)} are at rest")

    def coordinator(self, *arguments: str, may_tell_problems: bool = False) -> Any:
        command = [sys.executable, "-m", "coordinator.cli", *arguments]
        command += ["--config", str(self.folder / "coordinator.toml"), "--json"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=not may_tell_problems)
        return json.loads(found.stdout)


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, airflow: AirflowProcess, airflow_etcd: EmbeddedEtcd
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("tasks")
    write_config(folder, airflow, airflow_etcd)
    others = json.loads((REPOSITORY / "dependencies.json").read_text())
    entry = {"after_load": {"upstream": {"pipeline": "staged", "task": "load"}}}
    (folder / "dependencies.json").write_text(json.dumps(others | entry))
    watcher = WatcherProcess(folder)
    watcher.start()
    scene = Scene(folder, airflow)
    try:
        published = lambda: "after_load" in scene.coordinator("dependencies", "show")["dependencies"]  # noqa: E731
        eventually(published, "it is published")
        yield scene
    finally:
        (folder / "dependencies.json").write_text(json.dumps(others))
        gone = lambda: "after_load" not in scene.coordinator("dependencies", "show")["dependencies"]  # noqa: E731
        eventually(gone, "it is as the other tests know it")
        watcher.stop()


def test_a_dependency_on_a_task_fires_before_the_run_has_ended_and_after_its_clear_again(
    scene: Scene, reports: Reports, next_date: Callable[[], datetime]
) -> None:
    date = next_date()
    partition = format_instant(date)
    run_id = scene.trigger("staged", date)
    reports.wait("after_load", partition, "success")
    staged = reports.document("staged", partition)
    assert staged is not None
    assert staged.state == "running"
    scene.end(date)
    ended = reports.wait("staged", partition, "success")

    scene.clear("staged", run_id, "rest")  # not ``load``
    again = reports.wait("staged", partition, "success", after=ended.queued_at)
    assert reports.history("after_load", partition) == ["running", "success"], "once"

    scene.clear("staged", run_id, "load")
    before = reports.document("after_load", partition)
    assert before is not None
    reports.wait("after_load", partition, "success", after=before.queued_at)
    reports.wait("staged", partition, "success", after=again.queued_at)
    assert reports.history("after_load", partition) == ["running", "success", "running", "success"], "once more"


def test_a_sensor_in_the_middle_of_a_dag_defers_and_passes(
    scene: Scene, reports: Reports, next_date: Callable[[], datetime]
) -> None:
    date = next_date()
    partition = format_instant(date)
    halves = scene.trigger("halves", date)
    scene.await_task("halves", halves, "sensor", "deferred")
    (wait,) = eventually(lambda: scene.coordinator("waits", "halves")["waits"], "its wait is there")
    assert (wait["status"], wait["upstream"]["task"]) == ("waiting", "load")
    assert wait["says"] == "staged:load has not ended: staged has no run in this partition yet"
    links = scene.airflow.api.call("GET", f"/dags/halves/dagRuns/{halves}/taskInstances/sensor/links")["extra_links"]
    assert links == {"Explanation": f"{PAGE}/runs/default/halves/{quote(halves, safe='')}"}

    scene.airflow.restart_triggerer()
    scene.trigger("staged", date)
    scene.await_task("halves", halves, "second", "success")
    staged = reports.document("staged", partition)
    assert staged is not None
    assert staged.state == "running", "the sensor has waited for the task only"
    reports.wait("halves", partition, "success")
    assert reports.history("halves", partition) == ["running", "success"]
    (wait,) = scene.coordinator("waits", "halves", "--all")["waits"]
    assert wait["status"] == "passed"
    scene.end(date)
    reports.wait("staged", partition, "success")


def test_after_a_clear_upstream_the_lower_half_of_a_dag_runs_again(
    scene: Scene, reports: Reports, next_date: Callable[[], datetime]
) -> None:
    date = next_date()
    partition = format_instant(date)
    scene.end(date)
    staged, halves = scene.trigger("staged", date), scene.trigger("halves", date)
    reports.wait("staged", partition, "success")
    before = reports.wait("halves", partition, "success")
    tasks = scene.tasks("halves", halves)

    scene.clear("staged", staged, "load")
    reports.wait("halves", partition, "success", after=before.queued_at)
    again = scene.tasks("halves", halves)
    assert again["first"] == tasks["first"], "what is above the sensor does not run again"
    assert {again[one][1] for one in ("sensor", "second")}.isdisjoint({tasks[one][1] for one in ("sensor", "second")})
    scene.at_rest("staged", "halves")
    assert reports.history("halves", partition) == ["running", "success", "running", "success"], "once"


def test_two_dags_wait_for_each_others_tasks(scene: Scene, reports: Reports, next_date: Callable[[], datetime]) -> None:
    date = next_date()
    partition = format_instant(date)
    left, right = scene.trigger("left", date), scene.trigger("right", date)
    ended = {name: reports.wait(name, partition, "success") for name in ("left", "right")}
    before = scene.tasks("left", left)

    scene.clear("right", right, "r1")
    for name in ("left", "right"):
        reports.wait(name, partition, "success", after=ended[name].queued_at)
    scene.at_rest("left", "right")
    after = scene.tasks("left", left)
    assert after["l1"] == before["l1"]
    assert after["l2"][1] != before["l2"][1]
    for name in ("left", "right"):
        assert reports.history(name, partition) == ["running", "success", "running", "success"], f"{name}: once more"


def test_airflow_lists_the_provider(airflow: AirflowProcess) -> None:
    providers = airflow.api.call("GET", "/providers?limit=100")["providers"]
    assert "etcd-coordinator" in {one["package_name"] for one in providers}
    answer = requests.get(
        f"{airflow.url}/ui/connections/hook_meta",
        headers={"Authorization": f"Bearer {airflow.api.token()}"},
        timeout=60,
        proxies={"http": ""},
    )
    (form,) = [one for one in answer.json() if one["connection_type"] == "etcd"]
    assert form["hook_name"] == "etcd (coordinator)"
    assert {"endpoints", "prefix", "environment"} <= form["extra_fields"].keys()
