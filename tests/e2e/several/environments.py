"""Three real Airflows and one etcd: ``finance`` (3.3 on PostgreSQL), ``sales`` (3.3 on SQLite), ``legacy`` (2.11).

``sales`` is only observed: nothing reports there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from coordinator.store.embedded import EmbeddedEtcd
from examples.demo.airflow import AirflowProcess
from tests.e2e.airflow2 import Airflow2Process
from tests.e2e.conftest import PAGE
from tests.e2e.postgresql import PostgresServer, programs

log = structlog.get_logger(__name__)

DAGS = Path(__file__).parent / "dags"
FINANCE, SALES, LEGACY = "finance", "sales", "legacy"
ALL_DAGS = {
    FINANCE: ("extract", "ledger", "report", "broken"),
    SALES: ("orders", "alarm"),
    LEGACY: ("rates", "archive", "quick", "failing", "slow"),
}
DEPENDENCIES = {
    "sales/orders": {"upstream": "finance/extract"},
    "finance/ledger": {"upstream": "finance/extract"},
    "finance/report": {"upstream": ["sales/orders", "finance/ledger", "legacy/rates"]},
    "finance/broken": {"upstream": "legacy/rates"},
    "legacy/archive": {"upstream": ["sales/orders", "finance/ledger"]},
    "sales/alarm": {"upstream": {"pipeline": "finance/broken", "on": "failure"}},
}
"""A fan-in over all three, and what follows a failure in another environment."""


@dataclass(frozen=True)
class Environments:
    """What runs. The configuration and ``dependencies.json`` of a watcher are in :attr:`folder`.

    :ivar postgresql: whether ``finance`` runs on PostgreSQL; on SQLite where the machine has none.
    :ivar seconds: how long the start of all of them took.
    """

    folder: Path
    etcd: EmbeddedEtcd
    airflows: dict[str, AirflowProcess]
    postgresql: bool
    seconds: float

    def __getitem__(self, name: str) -> AirflowProcess:
        return self.airflows[name]


@contextmanager
def started(folder: Path) -> Iterator[Environments]:
    """Start all of them side by side; everything has ended afterwards.

    :param folder: for what they keep.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        etcd = stack.enter_context(EmbeddedEtcd(folder / "etcd"))
        airflows: dict[str, AirflowProcess] = {}
        postgresql = programs()
        of_finance = {}
        if postgresql is not None:
            server = stack.enter_context(PostgresServer(postgresql))
            server.create(FINANCE)
            of_finance = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url(FINANCE)}
        for name, dag_ids in ALL_DAGS.items():
            kind = Airflow2Process if name == LEGACY else AirflowProcess
            dags = folder / name / "dags"
            shutil.copytree(DAGS / name, dags)
            airflows[name] = kind(
                folder / name / "home",
                dags_folder=dags,
                environment_name=name,
                env={
                    # Without it the plugin, which is installed beside every Airflow here, reports nothing.
                    **({} if name == SALES else {"COORDINATOR_CONFIG": str(folder / "coordinator.toml")}),
                    **(of_finance if name == FINANCE else {}),
                },
                expected_dags=dag_ids,
            )
        _write_configuration(folder, etcd, airflows, postgresql=postgresql is not None)
        stack.callback(_each, airflows, lambda one: one.stop(patience=0))
        _each(airflows, lambda one: one.start())
        seconds = time.monotonic() - began
        log.info("environments.started", seconds=round(seconds, 1), postgresql=postgresql is not None)
        yield Environments(folder, etcd, airflows, postgresql is not None, seconds)


def _each(airflows: Mapping[str, AirflowProcess], act: Callable[[AirflowProcess], object]) -> None:
    """Do something with all of them at once."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(act, airflows.values()))


def _write_configuration(
    folder: Path, etcd: EmbeddedEtcd, airflows: dict[str, AirflowProcess], *, postgresql: bool
) -> None:
    lines = ["[etcd]", f'endpoints = ["{etcd.endpoint}"]', "[watcher]", "observe_every = 0.5", "observe_idle = 2.0"]
    lines += ["[ui]", f'url = "{PAGE}"']
    for name, airflow in airflows.items():  # legacy too: a document names none that is not configured
        password = folder / f"{name}.password"
        password.touch(mode=0o600)
        password.write_text(airflow.password)
        lines += [
            f"[environments.{name}]",
            f'url = "{airflow.url}"',
            f'username = "{airflow.username}"',
            f'password_file = "{password}"',
        ]
        if name == LEGACY:
            lines.append('kind = "airflow2"')
        if name == SALES:
            lines.append("observe = true")
        if name != FINANCE or not postgresql:
            lines.append("max_in_flight = 1  # SQLite")
    (folder / "coordinator.toml").write_text("\n".join(lines) + "\n")
    (folder / "dependencies.json").write_text(json.dumps(DEPENDENCIES, indent=2))
