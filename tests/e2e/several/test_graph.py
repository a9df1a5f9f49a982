"""One graph over three real Airflows: each pipeline runs once per wave, in its order, whatever happens meanwhile.

Attempts are counted in etcd's history: every attempt of a run has a start of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from coordinator.model.runstate import State
from coordinator.model.trigger import Status
from coordinator.store.connection import EtcdStore
from tests.e2e.conftest import eventually
from tests.e2e.required import required
from tests.e2e.several.environments import DEPENDENCIES, FINANCE, LEGACY, SALES, Environments
from tests.e2e.several.reports import AllReports
from tests.e2e.test_main_job import WatcherProcess

WAVE = 180.0
ROOTS = ("finance/extract", "legacy/rates")
FAILING = "finance/broken"
AWAY = 60.0
"""Seconds for which one Airflow does not answer."""

ONCE = dict.fromkeys((*ROOTS, *DEPENDENCIES), 1)


def again(before: dict[str, int], *pipelines: str) -> dict[str, int]:
    """As many attempts, and one more of these."""
    return {pipeline: count + (pipeline in pipelines) for pipeline, count in before.items()}


class Waves:
    """The graph, in its Airflows and in etcd."""

    def __init__(self, environments: Environments, store: EtcdStore) -> None:
        self.reports = AllReports(store)
        self._environments = environments

    def start(self, date: datetime) -> None:
        for root in ROOTS:
            self.trigger(root, date)

    def trigger(self, pipeline: str, date: datetime) -> None:
        environment, _, dag_id = pipeline.partition("/")
        self._environments[environment].api.trigger(dag_id, date.isoformat())

    def clear(self, pipeline: str, date: datetime) -> None:
        environment, _, dag_id = pipeline.partition("/")
        run_id = self.reports.reported(pipeline, date)[-1].run_id
        assert run_id is not None
        self._environments[environment].api.clear(dag_id, run_id)

    def attempts(self, date: datetime) -> dict[str, int]:
        return {pipeline: self.reports.attempts(pipeline, date) for pipeline in ONCE}

    def is_through(self, date: datetime, attempts: dict[str, int]) -> bool:
        """Each pipeline has had so many attempts, the last one has ended, and its trigger is done."""
        for pipeline, least in attempts.items():
            if self.reports.attempts(pipeline, date) < least:
                return False
            if not self.reports.reported(pipeline, date)[-1].state.is_terminal:
                return False
        records = [self.reports.record(pipeline, date) for pipeline in DEPENDENCIES]
        return all(record is not None and record.status is Status.DONE for record in records)

    def await_wave(self, date: datetime, attempts: dict[str, int], watcher: WatcherProcess) -> None:
        """Wait for the wave, then for the watcher's rest; nothing more has run, and all of it in order."""
        eventually(lambda: self.is_through(date, attempts), f"the wave of {date}: {attempts}", within=WAVE)
        watcher.await_rest()
        assert self.attempts(date) == attempts
        self._ran_in_order(date)

    def _ran_in_order(self, date: datetime) -> None:
        last = {pipeline: self.reports.reported(pipeline, date)[-1] for pipeline in ONCE}
        for pipeline, document in last.items():
            assert document.state is (State.FAILED if pipeline == FAILING else State.SUCCESS), pipeline
        for pipeline, upstreams in UPSTREAMS.items():
            began = last[pipeline].start_date
            assert began is not None
            for upstream in upstreams:
                ended = last[upstream].end_date
                assert ended is not None
                assert began >= ended, f"{pipeline} began before {upstream} had ended"


UPSTREAMS = {
    "sales/orders": ("finance/extract",),
    "finance/ledger": ("finance/extract",),
    "finance/report": ("sales/orders", "finance/ledger", "legacy/rates"),
    "finance/broken": ("legacy/rates",),
    "legacy/archive": ("sales/orders", "finance/ledger"),
    "sales/alarm": ("finance/broken",),
}


@pytest.fixture(scope="module", autouse=True)
def no_component_ends(environments: Environments) -> Iterator[None]:
    """A part that died unseen would make these tests say less than they do."""
    yield
    for name in (FINANCE, SALES, LEGACY):
        airflow = environments[name]
        assert [airflow.status_of(component) for component in airflow.components] == [None] * len(airflow.components)


@pytest.fixture
def waves(environments: Environments, store: EtcdStore) -> Waves:
    return Waves(environments, store)


@pytest.fixture
def watcher(environments: Environments) -> Iterator[WatcherProcess]:
    watcher = WatcherProcess(environments.folder)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.stop()


def test_finance_runs_on_postgresql(environments: Environments) -> None:
    if not environments.postgresql:
        required("PostgreSQL", "it with: apt-get install postgresql")
    health = environments[FINANCE].api.health()
    assert health["metadatabase"]["status"] == "healthy"
    assert not (environments[FINANCE].home / "airflow.db").exists(), "it uses SQLite"


@pytest.mark.promise("once")
def test_a_wave_and_clears_at_the_top_and_in_the_middle(
    waves: Waves, watcher: WatcherProcess, logical_date: datetime
) -> None:
    waves.start(logical_date)
    waves.await_wave(logical_date, ONCE, watcher)

    waves.clear("finance/extract", logical_date)
    below_extract = ("sales/orders", "finance/ledger", "finance/report", "legacy/archive")
    top = again(ONCE, "finance/extract", *below_extract)
    waves.await_wave(logical_date, top, watcher)

    waves.clear("sales/orders", logical_date)
    middle = again(top, "sales/orders", "finance/report", "legacy/archive")
    waves.await_wave(logical_date, middle, watcher)

    waves.clear("legacy/rates", logical_date)
    other_top = again(middle, "legacy/rates", "finance/report", "finance/broken", "sales/alarm")
    waves.await_wave(logical_date, other_top, watcher)


@pytest.mark.promise("kill")
def test_a_watcher_killed_in_mid_wave(waves: Waves, watcher: WatcherProcess, logical_date: datetime) -> None:
    waves.start(logical_date)
    waves.reports.wait("finance/extract", logical_date, "success")
    eventually(lambda: waves.reports.record("finance/ledger", logical_date), "the wave is on its way")
    watcher.kill()
    watcher.start()
    waves.await_wave(logical_date, ONCE, watcher)


@pytest.mark.promise("once")
def test_an_airflow_that_is_away_for_a_minute(
    environments: Environments, waves: Waves, watcher: WatcherProcess, logical_date: datetime
) -> None:
    """It accepts connections and answers nothing; afterwards it may still do what it was asked meanwhile."""
    environments[SALES].freeze_api_server()
    try:
        away_since = time.monotonic()
        waves.start(logical_date)
        waves.reports.wait("finance/ledger", logical_date, "success")
        waves.reports.wait("finance/broken", logical_date, "failed")
        time.sleep(max(0.0, AWAY - (time.monotonic() - away_since)))
        assert waves.attempts(logical_date) == {
            **ONCE,
            "sales/orders": 0,
            "sales/alarm": 0,
            "finance/report": 0,
            "legacy/archive": 0,
        }
    finally:
        environments[SALES].thaw_api_server()
    waves.await_wave(logical_date, ONCE, watcher)
