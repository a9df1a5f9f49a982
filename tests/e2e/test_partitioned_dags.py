"""Partitioned DAGs on a real Airflow 3.3: keys go down a chain, clears follow, and Airflow's own runs are adopted."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from coordinator.store.embedded import EmbeddedEtcd
from examples.demo.airflow import AirflowProcess
from tests.e2e.conftest import REPOSITORY, Reports, eventually, write_config
from tests.e2e.test_main_job import WatcherProcess
from tests.e2e.test_tasks_and_sensors import Scene

US, EU = (f"{region}-{uuid.uuid4().hex[:8]}" for region in ("us", "eu"))
ENTRIES: dict[str, Any] = {
    "keyed_below": "keyed",
    "keyed_all": {
        "upstream": {
            "pipeline": "keyed_below",
            "partition": {"mapper": "segments", "segments": [US, EU], "downstream_key": "all"},
        }
    },
}


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, airflow: AirflowProcess, airflow_etcd: EmbeddedEtcd
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("partitioned")
    write_config(folder, airflow, airflow_etcd)
    others = json.loads((REPOSITORY / "dependencies.json").read_text())
    (folder / "dependencies.json").write_text(json.dumps(others | ENTRIES))
    watcher = WatcherProcess(folder)
    watcher.start()
    scene = Scene(folder, airflow)
    try:
        published = lambda: "keyed_all" in scene.coordinator("dependencies", "show")["dependencies"]  # noqa: E731
        eventually(published, "it is published")
        yield scene
    finally:
        (folder / "dependencies.json").write_text(json.dumps(others))
        gone = lambda: "keyed_all" not in scene.coordinator("dependencies", "show")["dependencies"]  # noqa: E731
        eventually(gone, "it is as the other tests know it")
        watcher.stop()


def trigger(scene: Scene, dag_id: str, key: str, *, conf: dict[str, Any] | None = None) -> str:
    body = {"logical_date": None, "partition_key": key, "conf": conf or {}}
    return str(scene.airflow.api.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])


def runs(scene: Scene, dag_id: str, key: str) -> list[dict[str, Any]]:
    return [run for run in scene.airflow.api.runs(dag_id) if run["partition_key"] == key]


@pytest.mark.promise("once")
@pytest.mark.timeout(600)
def test_keys_go_down_to_a_rollup_of_segments_and_a_clear_goes_after_them(scene: Scene, reports: Reports) -> None:
    first = trigger(scene, "keyed", US)
    below = reports.wait("keyed_below", US, "success")
    (run,) = runs(scene, "keyed_below", US)
    assert (run["dag_run_id"], run["logical_date"]) == (f"coordinator__{US}__1", None)
    assert reports.document("keyed_all", "all") is None

    trigger(scene, "keyed", EU)
    together = reports.wait("keyed_all", "all", "success")
    assert [one["partition_key"] for one in scene.airflow.api.runs("keyed_all")] == ["all"]
    assert "keyed_below" in json.dumps(scene.coordinator("explain", "keyed_all", "all"))

    scene.airflow.api.clear("keyed", first)
    reports.wait("keyed_below", US, "success", after=below.queued_at)
    reports.wait("keyed_all", "all", "success", after=together.queued_at)
    scene.at_rest("keyed_below", "keyed_all")
    assert [len(runs(scene, "keyed_below", region)) for region in (US, EU)] == [1, 1], "cleared, with its key"
    assert reports.history("keyed_below", US) == ["running", "success", "running", "success"]
    assert reports.history("keyed_below", EU) == ["running", "success"]
    assert reports.history("keyed_all", "all") == ["running", "success", "running", "success"]


@pytest.mark.promise("once")
@pytest.mark.timeout(600)
def test_a_run_that_an_asset_has_made_for_a_key_is_adopted(scene: Scene, reports: Reports) -> None:
    """The scheduler makes it when ``keyed`` succeeds; a person orders the same partition."""
    key = f"apac-{uuid.uuid4().hex[:8]}"
    trigger(scene, "keyed", key)
    made = reports.wait("keyed_by_asset", key, "success")
    assert made.run_id is not None
    assert made.run_id.startswith("asset_triggered__")
    scene.coordinator("forget", "keyed_by_asset", key, "--yes", "--reason", "etcd has lost it")
    scene.coordinator("rerun", "keyed_by_asset", key, "--new-partition", "--reason", "a test")
    again = reports.wait("keyed_by_asset", key, "success", after=made.queued_at)
    assert again.run_id == made.run_id
    scene.at_rest("keyed_by_asset")
    assert [run["dag_run_id"] for run in runs(scene, "keyed_by_asset", key)] == [made.run_id]
