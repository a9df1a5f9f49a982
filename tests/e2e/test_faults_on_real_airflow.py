"""A real Airflow that has acted, and whose answer never comes: it is asked what became of it, and nothing is repeated.

The pipeline in question is paused: its run waits in the queue until the fault is over, so that a second clear would
show in its ``queued_at``, and no task of it meets an API server that is away.
"""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from coordinator.model.partitions.instants import format_instant
from coordinator.store.embedded import EmbeddedEtcd
from examples.demo.airflow import AirflowProcess
from tests.e2e.conftest import REPOSITORY, eventually
from tests.e2e.test_main_job import END, JOIN, Playground, WatcherProcess, _date_of
from tests.e2e.test_main_job import playground as playground  # a fixture
from tests.faults.line import Line, Way, _Connection

REQUEST = 65536


class DeafAfter(Line):
    """A line that carries no more answers from that to a certain request on.

    An answer that the server has failed (5xx) is carried: Airflow on SQLite gives one now and then, and has done
    nothing. The answer to the repeated request is the one that counts.

    :ivar met: set once that request has been answered.
    """

    def __init__(self, target: int) -> None:
        self._wanted: tuple[bytes, ...] = ()
        self._asking: dict[_Connection, bytes] = {}
        self.met = threading.Event()
        super().__init__(target)

    def deafen_at(self, *wanted: str) -> None:
        """... at the next one in which all of this stands."""
        self.met.clear()
        self._wanted = tuple(part.encode() for part in wanted)

    def _forward(self, connection: _Connection, source: socket.socket) -> None:
        if self._wanted:
            said = source.recv(REQUEST, socket.MSG_PEEK)
            if source is connection.client:
                begins = said.startswith((b"GET ", b"POST "))
                self._asking[connection] = said if begins else self._asking.get(connection, b"") + said
            elif said.startswith(b"HTTP/1.1 5"):
                self._asking.pop(connection, None)
            elif said and all(part in self._asking.get(connection, b"") for part in self._wanted):
                self._wanted, self._way = (), Way.DEAF
                self.met.set()
        super()._forward(connection, source)


@pytest.fixture
def line(airflow: AirflowProcess) -> Iterator[DeafAfter]:
    """Between the watcher and Airflow."""
    with DeafAfter(airflow.port) as line:
        yield line


@pytest.fixture
def watcher(airflow: AirflowProcess, airflow_etcd: EmbeddedEtcd, line: DeafAfter, tmp_path: Path) -> Iterator[Any]:
    """One that reaches Airflow over the line."""
    shutil.copy(REPOSITORY / "dependencies.json", tmp_path)
    (tmp_path / "password").write_text(airflow.password)
    (tmp_path / "coordinator.toml").write_text(
        f"""
        [etcd]
        endpoints = ["{airflow_etcd.endpoint}"]
        [environments.default]
        url = "http://127.0.0.1:{line.port}"
        username = "{airflow.username}"
        password_file = "{tmp_path / "password"}"
        max_in_flight = 1  # SQLite
        """
    )
    watcher = WatcherProcess(tmp_path)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.stop()


@pytest.mark.promise("answers")
@pytest.mark.parametrize("how", ["the API server is restarted", "the line is cut"])
def test_what_has_happened_is_not_repeated_though(
    how: str, playground: Playground, watcher: WatcherProcess, line: DeafAfter, logical_date: datetime
) -> None:
    """The API server is killed between what it did and its answer, or the line is cut there."""
    partition = format_instant(logical_date)
    create = (f"POST /api/v2/dags/{END}/dagRuns HTTP", f"coordinator__{partition}__1")
    clear = (f"POST /api/v2/dags/{END}/dagRuns/coordinator__{quote(partition, safe='')}__1/clear",)
    for wave, (request, attempts) in enumerate(((create, [1] * 7), (clear, [1, 1, 1, 1, 1, 2, 2])), 1):
        playground.airflow.api.set_paused([END], paused=True)
        line.deafen_at(*request)
        if wave == 1:
            playground.trigger(logical_date)
        else:
            playground.clear(JOIN, logical_date)
        eventually(line.met.is_set, f"wave {wave}: the request for {END}")
        asked_for = eventually(lambda: _queued(playground, logical_date), f"wave {wave}: Airflow has acted")
        if how == "the line is cut":
            line.set(Way.CUT)
        else:
            playground.airflow.kill_api_server()
            playground.airflow.start_api_server()
        line.set(Way.OPEN)
        eventually(lambda: _is_sent(playground, logical_date), f"wave {wave}: the watcher knows")
        playground.airflow.api.set_paused([END], paused=False)
        playground.await_wave(logical_date, attempts)
        watcher.await_rest()
        assert playground.all_attempts(logical_date) == attempts
        (run,) = _runs(playground, logical_date)
        assert (run["dag_run_id"], run["queued_at"]) == (asked_for["dag_run_id"], asked_for["queued_at"])


def _runs(playground: Playground, date: datetime) -> list[dict[str, Any]]:
    return [run for run in playground.airflow.api.runs(END) if _date_of(run) == date]


def _queued(playground: Playground, date: datetime) -> dict[str, Any] | None:
    return next((run for run in _runs(playground, date) if run["state"] == "queued"), None)


def _is_sent(playground: Playground, date: datetime) -> bool:
    record, run = playground.record(END, date), _queued(playground, date)
    if record is None or record.attempt is None or run is None:
        return False
    return record.attempt == datetime.fromisoformat(run["queued_at"])
