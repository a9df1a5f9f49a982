"""What all means run on: one Airflow 3.3 with PostgreSQL, an etcd, ``coordinator watch``, and the floor's loop.

The coordinator's plugin reports the runs of all means; what that costs, each of them bears.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.graph import Graph
from benchmarks.peers.means import DIRECT, MEANS
from benchmarks.peers.observed import Database
from benchmarks.peers.template import write_dags
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from examples.demo.airflow import AirflowProcess
from examples.demo.airflow_api import AirflowApi
from examples.demo.orphan_guard import OrphanGuard
from tests.e2e.postgresql import PostgresServer, programs

PLUGIN = Path(__file__).with_name("plugin.py")
START_LIMIT = 600.0
_DATABASE = "airflow"
_AIRFLOW = {
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "300",
    # Files are read once: reading them again would disturb what is measured.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "86400",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "600",
}


class NoPostgresql(Exception):
    """This machine has no PostgreSQL server."""


@dataclass(frozen=True)
class Stand:
    """What runs: Airflow's API, as a person uses it, and its database, to look."""

    api: AirflowApi
    database: Database


@contextmanager
def started(directory: Path, graphs: Mapping[str, Graph]) -> Iterator[Stand]:
    """Start everything; everything has ended afterwards.

    :param graphs: every means plays them, by name.
    :raises NoPostgresql: with the remedy.
    """
    postgresql = programs()
    if postgresql is None:
        raise NoPostgresql("expected a PostgreSQL server on this machine, found none; apt-get install postgresql")
    dags, home, socket = directory / "dags", directory / "home", directory / "direct.socket"
    for means in MEANS:
        write_dags(dags, means, dict(graphs))
    (home / "plugins").mkdir(parents=True)
    shutil.copy(PLUGIN, home / "plugins" / "peers_direct.py")
    config = directory / "coordinator.toml"
    with ExitStack() as stack:
        etcd = stack.enter_context(EmbeddedEtcd(directory / "etcd"))
        server = stack.enter_context(PostgresServer(postgresql))
        server.create(_DATABASE)
        database = stack.enter_context(closing(Database(server.url(_DATABASE))))
        airflow = AirflowProcess(
            home,
            dags_folder=dags,
            triggerer=True,
            env={
                **_AIRFLOW,
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url(_DATABASE),
                "COORDINATOR_CONFIG": str(config),
                "PEERS_DIRECT": str(socket),
            },
        )
        _configure(config, etcd, airflow)
        entries = {
            below: entry
            for means in MEANS
            for graph in graphs.values()
            for below, entry in means.entries(graph).items()
        }
        (directory / "dependencies.json").write_text(json.dumps(entries), encoding="utf-8")
        stack.callback(airflow.stop, patience=0)
        airflow.start()
        _await_that("all DAGs are visible", lambda: database.visible() == len(MEANS) * _pipelines(graphs))
        guard = stack.enter_context(OrphanGuard())
        _start_direct(guard, directory, airflow, socket, graphs)
        _start_watcher(guard, directory, config, etcd)
        yield Stand(airflow.api, database)


def _pipelines(graphs: Mapping[str, Graph]) -> int:
    return sum(len(graph.upstreams) for graph in graphs.values())


def _configure(config: Path, etcd: EmbeddedEtcd, airflow: AirflowProcess) -> None:
    password = config.with_name("password")
    password.touch(mode=0o600)
    password.write_text(airflow.password, encoding="utf-8")
    config.write_text(
        f"""
        [etcd]
        endpoints = ["{etcd.endpoint}"]
        [environments.default]
        url = "{airflow.url}"
        username = "{airflow.username}"
        password_file = "{password}"
        """,
        encoding="utf-8",
    )


def _start_direct(
    guard: OrphanGuard, directory: Path, airflow: AirflowProcess, socket: Path, graphs: Mapping[str, Graph]
) -> None:
    file = directory / "direct.json"
    file.write_text(
        json.dumps({below: its for graph in graphs.values() for below, its in DIRECT.upstreams(graph).items()}),
        encoding="utf-8",
    )
    arguments = ("--socket", str(socket), "--airflow", airflow.url, "--graph", str(file))
    guard.start(
        [sys.executable, "-m", "benchmarks.peers.direct", *arguments],
        log=directory / "direct.log",
        env={**_environment(), "PEERS_PASSWORD": airflow.password},
    )
    _await_that("the direct loop listens", socket.exists)


def _start_watcher(guard: OrphanGuard, directory: Path, config: Path, etcd: EmbeddedEtcd) -> None:
    arguments = ("--config", str(config), "--dependencies", str(directory / "dependencies.json"))
    guard.start(
        [sys.executable, "-m", "coordinator.cli", "watch", *arguments],
        log=directory / "watcher.log",
        env={**_environment(), "COORDINATOR_LOG_LEVEL": "warning"},
    )
    with closing(connect(etcd.settings)) as store:
        _await_that("the watcher has published", lambda: store.get(Keys().dependencies("default")) is not None)


def _environment() -> dict[str, str]:
    """A variable wins over the configuration: somebody's real etcd must not get a benchmark's triggers."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATOR_")}
    return {**inherited, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def _await_that(what: str, holds: Callable[[], bool]) -> None:
    until = time.monotonic() + START_LIMIT
    while not holds():
        assert time.monotonic() < until, f"not within {START_LIMIT:.0f} s: {what}"
        time.sleep(0.2)
