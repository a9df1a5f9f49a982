"""The main job on a real Airflow: the wave, the cascade below a cleared run, and nothing lost or doubled.

Each test has partitions of its own; what runs by the clock beside them does not count. A wave's attempts are
counted in etcd's history: every attempt of a run has a queued_at of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from coordinator.config.etcd import EtcdSettings
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd, free_port
from coordinator.store.keys import Keys
from examples.demo.airflow import AirflowProcess
from tests.e2e.conftest import eventually
from tests.metrics import scrape

WAVE = 120.0
"""Seconds within which a wave must be through: seven runs, one request at a time, on a busy machine."""

DAGS = tuple(f"0{number}_pipeline" for number in range(1, 8))
SOURCE, ARMS, JOIN, END = DAGS[0], DAGS[1:5], DAGS[5], DAGS[6]
TRIGGERED = DAGS[1:]


class Playground:
    """The seven pipelines, in Airflow and in etcd."""

    def __init__(self, airflow: AirflowProcess, store: EtcdStore, folder: Path) -> None:
        self.airflow = airflow
        self.folder = folder
        self._store = store
        self._keys = Keys()

    def trigger(self, date: datetime) -> None:
        self.airflow.api.trigger(SOURCE, logical_date=date.isoformat())

    def run_of(self, dag_id: str, date: datetime) -> dict[str, Any]:
        (run,) = [run for run in self.airflow.api.runs(dag_id) if _date_of(run) == date]
        return run

    def clear(self, dag_id: str, date: datetime) -> None:
        self.airflow.api.clear(dag_id, self.run_of(dag_id, date)["dag_run_id"])

    def attempts(self, dag_id: str, date: datetime) -> int:
        """How many attempts have been reported in this partition, by etcd's history of the key."""
        target = Target(PipelineRef("default", dag_id), format_instant(date))
        entry = self._store.get(self._keys.state(target))
        queued: set[datetime] = set()
        while entry is not None:
            document = RunStateDocument.model_validate_json(entry.value)
            assert document.queued_at is not None
            queued.add(document.queued_at)
            earlier = entry.mod_revision - 1
            entry = self._store.get(entry.key, revision=earlier) if entry.mod_revision > entry.create_revision else None
        return len(queued)

    def all_attempts(self, date: datetime) -> list[int]:
        return [self.attempts(dag_id, date) for dag_id in DAGS]

    def record(self, dag_id: str, date: datetime) -> TriggerRecord | None:
        found = self._store.get(self._keys.trigger(Target(PipelineRef("default", dag_id), format_instant(date))))
        record = read_record(found.value) if found is not None else None
        assert record is None or isinstance(record, TriggerRecord)
        return record

    def await_wave(self, date: datetime, attempts: list[int]) -> None:
        """Wait until each pipeline has had so many attempts and its trigger is done."""

        def through() -> bool:
            records = [self.record(dag_id, date) for dag_id in TRIGGERED]
            done = all(record is not None and record.status is Status.DONE for record in records)
            return done and self.all_attempts(date) >= attempts

        eventually(through, f"the wave of {date} with attempts {attempts}", within=WAVE)

    def await_state(self, dag_id: str, date: datetime, *states: str) -> None:
        def reached() -> bool:
            runs = [run for run in self.airflow.api.runs(dag_id) if _date_of(run) == date]
            return any(run["state"] in states for run in runs)

        eventually(reached, f"{dag_id} is {' or '.join(states)}", within=WAVE)

    def ran_in_order(self, date: datetime) -> bool:
        """Every run began after all its upstreams had ended."""
        runs = {dag_id: self.run_of(dag_id, date) for dag_id in DAGS}
        began = {dag_id: datetime.fromisoformat(run["start_date"]) for dag_id, run in runs.items()}
        ended = {dag_id: datetime.fromisoformat(run["end_date"]) for dag_id, run in runs.items()}
        return (
            all(began[arm] >= ended[SOURCE] for arm in ARMS)
            and all(began[JOIN] >= ended[arm] for arm in ARMS)
            and began[END] >= ended[JOIN]
        )

    @contextmanager
    def watcher(self) -> Iterator[WatcherProcess]:
        watcher = WatcherProcess(self.folder)
        watcher.start()
        try:
            yield watcher
        finally:
            watcher.stop()


class WatcherProcess:
    """``coordinator watch`` as a process, with the repository's dependencies.json."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "watcher.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._health = f"http://127.0.0.1:{free_port()}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "coordinator.cli", "watch"),
                    *("--config", str(self._folder / "coordinator.toml")),
                    *("--dependencies", str(self._folder / "dependencies.json")),
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "COORDINATOR_HTTP__LISTEN": self._health.removeprefix("http://")},
            )
        eventually(lambda: self.says("leader"), "the watcher leads")

    def says(self, metric: str) -> bool:
        """Whether this metric is 1."""
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()
        try:
            return scrape(self._health).value(metric) == 1
        except requests.ConnectionError:
            return False

    def refusals(self) -> list[str]:
        """Why its file has been refused, from its log."""
        entries = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [str(entry["reason"]) for entry in entries if entry["event"] == "dependencies.refused"]

    def await_rest(self) -> None:
        """Wait until nothing is left to decide, ask, send or write."""
        eventually(lambda: self.says("idle"), "the watcher is at rest")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                assert self.process.wait(30) == 0, self._log.read_text()
            finally:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def playground(airflow: AirflowProcess, airflow_etcd: EmbeddedEtcd) -> Iterator[Playground]:
    airflow.api.set_paused(DAGS, paused=False)
    store = connect(EtcdSettings(endpoints=[airflow_etcd.endpoint]))
    yield Playground(airflow, store, airflow.dags_folder.parent)
    airflow.api.set_paused([SOURCE], paused=True)
    store.close()


@pytest.mark.promise("once")
def test_the_wave_in_normal_order_and_the_cascade_below_a_cleared_run(
    playground: Playground, logical_date: datetime
) -> None:
    with playground.watcher() as watcher:
        playground.trigger(logical_date)
        playground.await_wave(logical_date, [1] * 7)
        watcher.await_rest()
        assert playground.all_attempts(logical_date) == [1] * 7
        assert playground.ran_in_order(logical_date)
        first = {dag_id: playground.run_of(dag_id, logical_date)["dag_run_id"] for dag_id in DAGS}

        playground.clear(SOURCE, logical_date)
        playground.await_wave(logical_date, [2] * 7)
        watcher.await_rest()
        assert playground.all_attempts(logical_date) == [2] * 7
        assert playground.ran_in_order(logical_date)

        playground.clear("03_pipeline", logical_date)
        playground.await_wave(logical_date, [2, 2, 3, 2, 2, 3, 3])
        watcher.await_rest()
        assert playground.all_attempts(logical_date) == [2, 2, 3, 2, 2, 3, 3]
        # Cleared, not created: the same runs on the same logical date; run_of finds exactly one of each.
        assert {dag_id: playground.run_of(dag_id, logical_date)["dag_run_id"] for dag_id in DAGS} == first


@pytest.mark.promise("downtime")
def test_the_watcher_catches_up_on_what_ran_while_it_was_off(
    playground: Playground, next_date: Callable[[], datetime]
) -> None:
    with playground.watcher():
        pass  # the dependencies are published: what follows is not their past
    dates = [next_date() for _ in range(3)]
    for date in dates:
        playground.trigger(date)
    for date in dates:
        playground.await_state(SOURCE, date, "success")
    with playground.watcher() as watcher:
        for date in dates:
            playground.await_wave(date, [1] * 7)
        watcher.await_rest()
    assert [playground.all_attempts(date) for date in dates] == [[1] * 7] * 3


@pytest.mark.promise("kill")
def test_a_watcher_killed_in_mid_wave_and_started_again_is_as_if_nothing_had_happened(
    playground: Playground, logical_date: datetime
) -> None:
    with playground.watcher() as watcher:
        playground.trigger(logical_date)
        playground.await_state(ARMS[0], logical_date, "queued", "running", "success")
        watcher.kill()
        watcher.start()
        playground.await_wave(logical_date, [1] * 7)
        watcher.await_rest()
    assert playground.all_attempts(logical_date) == [1] * 7


@pytest.mark.promise("downtime")
def test_an_end_that_came_while_etcd_was_away_arrives_and_the_wave_goes_on(
    playground: Playground, airflow_etcd: EmbeddedEtcd, logical_date: datetime
) -> None:
    with playground.watcher() as watcher:
        airflow_etcd.kill()
        try:
            playground.trigger(logical_date)
            playground.await_state(SOURCE, logical_date, "success")
        finally:
            airflow_etcd.restart()
        playground.await_wave(logical_date, [1] * 7)
        watcher.await_rest()
    assert playground.all_attempts(logical_date) == [1] * 7


@pytest.mark.promise("shutdown")
def test_the_watcher_dag_does_what_the_service_does(playground: Playground, logical_date: datetime) -> None:
    with playground.watcher():
        pass
    playground.airflow.api.set_paused(["00_watcher"], paused=False)
    try:
        playground.trigger(logical_date)
        playground.await_wave(logical_date, [1] * 7)
        playground.clear(SOURCE, logical_date)
        playground.await_wave(logical_date, [2] * 7)
        assert playground.all_attempts(logical_date) == [2] * 7
    finally:
        playground.airflow.api.set_paused(["00_watcher"], paused=True)


def _date_of(run: dict[str, Any]) -> datetime | None:
    return datetime.fromisoformat(run["logical_date"]) if run["logical_date"] else None
