"""Two Airflows on SQLite and an etcd, started once for this folder. A line leads to the API server of ``finance``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from examples.demo.airflow import AirflowProcess
from tests.faults.line import Line

HERE = Path(__file__).parent
SALES, FINANCE = "sales", "finance"
DAGS = {
    SALES: ("publish", "unheard_of", "private", "refunds", "hand_over"),
    FINANCE: ("consume", "consume_private", "refund_report", "consume_handed", "after_private"),
}
DEPENDENCIES = {
    "assets": [
        {"from": SALES, "to": [FINANCE], "match": ["s3://lake/orders/*"]},
        {"from": SALES, "to": [FINANCE], "match": ["s3://lake/handed/*"], "explicit": True},
    ],
    "finance/refund_report": {"upstream": {"asset": "s3://lake/refunds/eu", "environment": SALES}},
    "finance/after_private": {"upstream": {"asset": "s3://lake/private/eu", "environment": SALES}},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(600))


@dataclass(frozen=True)
class Two:
    """What runs. The configuration and ``dependencies.json`` of a watcher are in :attr:`folder`."""

    folder: Path
    etcd: EmbeddedEtcd
    sales: AirflowProcess
    finance: AirflowProcess
    line: Line


@pytest.fixture(scope="package")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("assets")
    with ExitStack() as stack:
        etcd = stack.enter_context(EmbeddedEtcd(folder / "etcd"))
        airflows = {}
        for name, dag_ids in DAGS.items():
            dags = folder / name / "dags"
            shutil.copytree(HERE / "dags" / name, dags)
            airflows[name] = AirflowProcess(
                folder / name / "home",
                dags_folder=dags,
                environment_name=name,
                env={"COORDINATOR_CONFIG": str(folder / "coordinator.toml")},
                expected_dags=dag_ids,
            )
        line = stack.enter_context(Line(airflows[FINANCE].port))
        _write_configuration(folder, etcd, airflows, line)
        stack.callback(lambda: [one.stop(patience=3) for one in airflows.values()])
        with ThreadPoolExecutor() as pool:
            list(pool.map(AirflowProcess.start, airflows.values()))
        yield Two(folder, etcd, airflows[SALES], airflows[FINANCE], line)


@pytest.fixture
def store(two: Two) -> Iterator[EtcdStore]:
    store = connect(EtcdSettings(endpoints=[two.etcd.endpoint]))
    yield store
    store.close()


def _write_configuration(folder: Path, etcd: EmbeddedEtcd, airflows: dict[str, AirflowProcess], line: Line) -> None:
    urls = {SALES: airflows[SALES].url, FINANCE: f"http://127.0.0.1:{line.port}"}
    lines = ["[etcd]", f'endpoints = ["{etcd.endpoint}"]']
    for name, airflow in airflows.items():
        password = folder / f"{name}.password"
        password.touch(mode=0o600)
        password.write_text(airflow.password)
        lines += [
            f"[environments.{name}]",
            f'url = "{urls[name]}"',
            f'username = "{airflow.username}"',
            f'password_file = "{password}"',
            "max_in_flight = 1  # SQLite",
        ]
    (folder / "coordinator.toml").write_text("\n".join(lines) + "\n")
    (folder / "dependencies.json").write_text(json.dumps(DEPENDENCIES, indent=2))
