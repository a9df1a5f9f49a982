"""One real Airflow with the plugin and one real etcd for all end-to-end tests: a start takes ten seconds and more.

Tests keep out of each other's way by logical dates of their own, not by a fresh Airflow. A test that stops
something (etcd, the scheduler) starts it again.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.reporters import ReporterStatus, read_reporter
from coordinator.model.runstate import RunStateDocument
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import KeyValue
from examples.demo.airflow import AirflowProcess

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
KEYED_DAGS = ("keyed", "keyed_below", "keyed_all", "keyed_by_asset")
OWN_DAGS = ("quick", "slow", "failing", "staged", "after_load", "halves", "left", "right", *KEYED_DAGS)
PLAYGROUND = ("00_watcher", *(f"0{number}_pipeline" for number in range(1, 8)))
PAGE = "https://coordinator.example/page"
"""The address at which people would reach the page."""

DEADLINE = 120.0
"""Seconds after which a test gives up. They promise nothing; on a busy machine Airflow takes half of them."""

T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)


def eventually(look: Callable[[], T | None], what: str, *, within: float = DEADLINE) -> T:
    """What ``look`` finds, as soon as that is true."""
    until = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < until, f"not within {within} s: {what}"
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class AirflowApi:
    """Where the real Airflow is, for whoever brings a client of its own; and its DAGs (see ``dags/``)."""

    base_url: str
    username: str
    password: str
    quick: str = "quick"
    slow: str = "slow"


@pytest.fixture(scope="package")
def airflow_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEtcd]:
    """The etcd that the real Airflow reports to. A test may stop it, and starts it again."""
    with EmbeddedEtcd(tmp_path_factory.mktemp("airflow-etcd")) as server:
        yield server


@pytest.fixture(scope="package")
def airflow(tmp_path_factory: pytest.TempPathFactory, airflow_etcd: EmbeddedEtcd) -> Iterator[AirflowProcess]:
    """A real Airflow with the plugin, named ``default``. The playground's DAGs (``dags/``) are there, paused."""
    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    dags.mkdir()
    for source in (*HERE.glob("dags/*.py"), *REPOSITORY.glob("dags/*.py")):
        shutil.copy(source, dags)
    shutil.copy(REPOSITORY / "dependencies.json", folder)
    process = AirflowProcess(
        folder / "home",
        dags_folder=dags,
        env={
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "COORDINATOR_CONFIG": str(folder / "coordinator.toml"),
        },
        expected_dags=(*OWN_DAGS, *PLAYGROUND),
        triggerer=True,
    )
    write_config(folder, process, airflow_etcd)
    process.start()
    try:
        process.api.set_paused(OWN_DAGS, paused=False)
        yield process
    finally:
        process.stop(patience=3)  # a run of ``slow`` would hold a scheduler up that ends in good order


def write_config(folder: Path, airflow: AirflowProcess, etcd: EmbeddedEtcd) -> None:
    """The configuration that the plugin, the watcher and the watcher DAG share."""
    (folder / "password").write_text(airflow.password)
    (folder / "coordinator.toml").write_text(
        f"""
        [etcd]
        endpoints = ["{etcd.endpoint}"]
        [environments.default]
        url = "{airflow.url}"
        username = "{airflow.username}"
        password_file = "{folder / "password"}"
        max_in_flight = 1  # SQLite
        [ui]
        url = "{PAGE}"
        """
    )


@pytest.fixture(scope="package")
def airflow_api(airflow: AirflowProcess) -> AirflowApi:
    return AirflowApi(airflow.url, airflow.username, airflow.password)


_hours = itertools.count()


@pytest.fixture
def next_date() -> Callable[[], datetime]:
    """Gives logical dates that no other test uses; after the DAGs' start_date, before which runs have no tasks."""
    return lambda: datetime(2026, 2, 1, tzinfo=UTC) + timedelta(hours=next(_hours))


@pytest.fixture
def logical_date(next_date: Callable[[], datetime]) -> datetime:
    """One that no other test uses."""
    return next_date()


class Reports:
    """What arrived in etcd, under the keys of the environment ``default``."""

    def __init__(self, store: EtcdStore) -> None:
        self._store = store
        self._keys = Keys()

    def entry(self, dag_id: str, partition: str) -> KeyValue | None:
        return self._store.get(self._keys.state(Target(PipelineRef("default", dag_id), partition)))

    def reporters(self) -> list[ReporterStatus]:
        """What the reporters that are there say about themselves."""
        found = (read_reporter(item.value) for item in self._store.list(self._keys.every("reporter", "default")).items)
        return [one for one in found if isinstance(one, ReporterStatus)]

    def document(self, dag_id: str, partition: str) -> RunStateDocument | None:
        entry = self.entry(dag_id, partition)
        return None if entry is None else RunStateDocument.model_validate_json(entry.value)

    def history(self, dag_id: str, partition: str) -> list[str]:
        """Every state that stood under the key, in order."""
        newest = self.entry(dag_id, partition)
        states: list[str] = []
        while newest is not None:
            states.append(str(RunStateDocument.model_validate_json(newest.value).state))
            if newest.mod_revision == newest.create_revision:
                break
            newest = self._store.get(newest.key, revision=newest.mod_revision - 1)
        return states[::-1]

    def wait(
        self, dag_id: str, partition: str, state: str, *, after: datetime | None = None, within: float = DEADLINE
    ) -> RunStateDocument:
        """Wait for a state to arrive.

        :param after: of an attempt queued later than this.
        """

        def look() -> RunStateDocument | None:
            document = self.document(dag_id, partition)
            if document is None or document.state != state:
                return None
            newer = after is None or (document.queued_at is not None and document.queued_at > after)
            return document if newer else None

        return eventually(look, f"{dag_id} in {partition} is {state} in etcd", within=within)


@pytest.fixture
def reports(airflow_etcd: EmbeddedEtcd) -> Iterator[Reports]:
    store = connect(EtcdSettings(endpoints=[airflow_etcd.endpoint], timeout=2.0))
    yield Reports(store)
    store.close()
