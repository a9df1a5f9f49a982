"""A real Airflow 3.3 on SQLite, for the demo and for end-to-end tests.

Three processes are enough: API server, scheduler, dag processor. A triggerer is for deferrable tasks only.
``airflow standalone`` is not used: it binds 0.0.0.0 and leaves its children alive on SIGTERM. All of it listens
on 127.0.0.1 and lives in one home.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import requests
import structlog

from coordinator.airflow_plugin.outbox import OUTBOX_NAME
from coordinator.errors import CoordinatorError
from examples.demo.airflow_api import AirflowApi
from examples.demo.airflow_environment import airflow_environment, waits_longer
from examples.demo.orphan_guard import OrphanGuard

log = structlog.get_logger(__name__)

API_SERVER = "api-server"
SCHEDULER = "scheduler"
DAG_PROCESSOR = "dag-processor"
TRIGGERER = "triggerer"
COMPONENTS = (API_SERVER, SCHEDULER, DAG_PROCESSOR)
MIGRATION = "migrate"
_ARGUMENTS = {
    API_SERVER: (API_SERVER,),
    SCHEDULER: (SCHEDULER, "--skip-serve-logs"),  # its log server would bind 0.0.0.0:8793
    DAG_PROCESSOR: (DAG_PROCESSOR,),
    TRIGGERER: (TRIGGERER, "--skip-serve-logs"),
    MIGRATION: ("db", "migrate"),
}
_API_ANSWERS = "the API server answers"

_START_LIMIT = 240.0
_STOP_PATIENCE = 5.0
_SENDER_PATIENCE = 20.0
_LOOK_EVERY = 0.1


class AirflowDidNotStart(CoordinatorError):
    """An Airflow did not come up; the message quotes its log."""


class AirflowProcess:
    """One Airflow. Use as a context manager, or call :meth:`start` and :meth:`stop`.

    :param home: its AIRFLOW_HOME: database, logs, outbox. Made if need be; used again when it is there.
    :param dags_folder: where its DAGs are.
    :param environment_name: what the coordinator calls it.
    :param env: more environment variables for its processes: COORDINATOR_..., or AIRFLOW__... of your own.
    :param expected_dags: DAGs that must be visible before it counts as started; without them, all files' worth
        of DAGs, one each.
    :param triggerer: whether to start one, too.
    """

    username = "admin"
    components: Sequence[str] = COMPONENTS
    server: ClassVar[str] = API_SERVER
    python: ClassVar[str] = sys.executable

    def __init__(
        self,
        home: Path,
        *,
        dags_folder: Path,
        environment_name: str = "default",
        env: Mapping[str, str] | None = None,
        expected_dags: Sequence[str] = (),
        triggerer: bool = False,
    ) -> None:
        if triggerer:
            self.components = (*self.components, TRIGGERER)
        self.home = home.absolute()
        self.dags_folder = dags_folder.absolute()
        self.logs = self.home / "process-logs"
        self.outbox = self.home / OUTBOX_NAME
        self._passwords = self.home / "passwords.json"
        self._held_port = hold_port()
        self.port: int = self._held_port.getsockname()[1]
        if sys.platform != "linux":
            self._held_port.close()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment_name = environment_name
        self.password = secrets.token_urlsafe(12)
        self.api = self._make_api()
        self._expected_dags = tuple(expected_dags)
        self._env = {
            **self._own_environment(),
            "COORDINATOR_REPORTER__ENVIRONMENT": environment_name,
            **(env or {}),
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: OrphanGuard | None = None
        self._on_wait = _just_wait

    def start(self, *, on_wait: Callable[[], None] | None = None) -> AirflowProcess:
        """Start it, and wait until it is healthy and shows its DAGs (about 10 s).

        :param on_wait: called about every tenth of a second while the start waits. What it raises ends the start.
        :raises AirflowDidNotStart: with the reason, as far as its logs show one.
        """
        self._on_wait = on_wait or _just_wait
        began = time.monotonic()
        self.logs.mkdir(parents=True, exist_ok=True)
        self._passwords.write_text(json.dumps({self.username: self.password}), encoding="utf-8")
        self._guard = OrphanGuard()
        try:
            self._migrate()
            for component in self.components:
                self._spawn(component)
            self._wait_until(_API_ANSWERS, self._answers)
            self.api.token()  # another Airflow on this port would not know this password
            self._warm_up()
            self._wait_until("scheduler and dag processor are healthy", self._healthy)
            self._wait_until("the DAGs are visible", self._shows_dags)
        except BaseException:
            self.stop(patience=0)
            raise
        finally:
            self._on_wait = _just_wait
        log.info(
            "airflow.started",
            environment=self.environment_name,
            url=self.url,
            home=str(self.home),
            seconds=round(time.monotonic() - began, 1),
        )
        return self

    def stop(self, *, patience: float = _STOP_PATIENCE) -> None:
        """End everything, and what it left behind; then wait for the sender, which leaves on its own."""
        for process in self._processes.values():
            if patience > 0 and process.poll() is None:
                process.send_signal(signal.SIGTERM)  # all at once; each is waited for below
        for component in list(self._processes):
            self._end(component, patience=patience)
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._wait_for_sender()
        self.api.close()
        self._held_port.close()

    @property
    def scheduler_pid(self) -> int:
        return self._processes[SCHEDULER].pid

    def kill_scheduler(self) -> None:
        """``kill -9`` for the scheduler and its workers."""
        self._end(SCHEDULER, patience=0)

    def restart_triggerer(self) -> None:
        """``kill -9`` for the triggerer, and another one."""
        self._end(TRIGGERER, patience=0)
        self._spawn(TRIGGERER)

    def start_scheduler(self) -> None:
        """Start a scheduler after :meth:`kill_scheduler`, and wait until it beats."""
        before = self.api.health()["scheduler"]["latest_scheduler_heartbeat"]
        self._spawn(SCHEDULER)
        self._wait_until(
            "the new scheduler beats",
            lambda: self._healthy() and self.api.health()["scheduler"]["latest_scheduler_heartbeat"] != before,
        )

    def restart_scheduler(self, env: Mapping[str, str] | None = None) -> None:
        """End the scheduler as an operator does (SIGTERM), and start another one.

        :param env: environment variables that are to be different from now on.
        """
        self._env.update(env or {})
        self._end(SCHEDULER, patience=_STOP_PATIENCE)
        self.start_scheduler()

    def kill_api_server(self) -> None:
        """``kill -9`` for the API server. What runs, goes on."""
        self._end(self.server, patience=0)

    def start_api_server(self) -> None:
        """Start an API server after :meth:`kill_api_server`, and wait until it answers, tasks too."""
        self._spawn(self.server)
        self._wait_until(_API_ANSWERS, self._answers)
        self._warm_up()

    def freeze_api_server(self) -> None:
        """``kill -STOP``: connections are accepted, and nothing is answered until :meth:`thaw_api_server`."""
        os.killpg(self._processes[self.server].pid, signal.SIGSTOP)

    def thaw_api_server(self) -> None:
        """It goes on, with the requests that have come meanwhile too."""
        os.killpg(self._processes[self.server].pid, signal.SIGCONT)

    def status_of(self, component: str) -> int | None:
        """The exit status of a component that has ended by itself, else ``None``."""
        process = self._processes.get(component)
        return None if process is None else process.poll()

    def how_it_ended(self, component: str) -> str:
        """How a component ended, with the last lines of its log."""
        return f"airflow {component} ended with {self.status_of(component)}; {_tail(self.logs / f'{component}.log')}"

    def log_of(self, component: str) -> str:
        """What a component has printed so far."""
        path = self.logs / f"{component}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def __enter__(self) -> AirflowProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _make_api(self) -> AirflowApi:
        return AirflowApi(self.url, self.username, self.password)

    def _own_environment(self) -> dict[str, str]:
        return airflow_environment(
            home=self.home,
            dags_folder=self.dags_folder,
            port=self.port,
            username=self.username,
            passwords=self._passwords,
        )

    def _command(self, component: str) -> list[str]:
        return [self.python, "-m", "airflow", *_ARGUMENTS[component]]

    def _migrate(self) -> None:
        self._spawn(MIGRATION)
        process = self._processes[MIGRATION]
        try:
            self._wait_until("the database is there", lambda: process.poll() is not None)
        finally:
            self._end(MIGRATION, patience=0)
        if process.returncode != 0:
            raise AirflowDidNotStart(
                f"airflow db migrate ended with {process.returncode}; {_tail(self.logs / f'{MIGRATION}.log')}"
            )

    def _spawn(self, component: str) -> None:
        assert self._guard is not None
        self._processes[component] = self._guard.start(
            self._command(component),
            log=self.logs / f"{component}.log",
            env=self._env if component == self.server else {**waits_longer(self.home), **self._env},
            cwd=self.home,
        )

    def _end(self, component: str, *, patience: float) -> None:
        assert self._guard is not None
        self._guard.end(self._processes.pop(component), patience=patience)

    def _answers(self) -> bool:
        try:
            self.api.health()
        except requests.RequestException:
            return False
        return True

    def _warm_up(self) -> None:
        """The first request to the execution API costs 5 s; better now than in the first task."""
        requests.get(f"{self.url}/execution/health", timeout=60, proxies={"http": ""})

    def _healthy(self) -> bool:
        health = self.api.health()
        others = (one.replace("-", "_") for one in self.components if one != self.server)
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", *others))

    def _shows_dags(self) -> bool:
        shown = self.api.dag_ids()
        if self._expected_dags:
            return shown >= set(self._expected_dags)
        return len(shown) >= sum(1 for path in self.dags_folder.glob("*.py") if not path.name.startswith("_"))

    def _wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + _START_LIMIT
        while not condition():
            for component in self.components:
                if self.status_of(component) is not None:
                    raise AirflowDidNotStart(f"before {what}: {self.how_it_ended(component)}")
            if time.monotonic() > until:
                raise AirflowDidNotStart(f"not within {_START_LIMIT:.0f} s: {what}; {self._why_not()}")
            self._on_wait()
            time.sleep(_LOOK_EVERY)

    def _why_not(self) -> str:
        try:
            errors = self.api.import_errors()
        except Exception as error:  # noqa: BLE001 - this is an explanation of another failure, which is raised
            return f"and Airflow does not say why ({error}); see {self.logs}"
        return "\n".join(errors) or f"no import errors; see {self.logs}"

    def _wait_for_sender(self) -> None:
        """It is in a session of its own so that it outlives a scheduler; it leaves within seconds of us."""
        lock = self.outbox / "sender.lock"
        if not lock.exists():
            return
        until = time.monotonic() + _SENDER_PATIENCE
        while time.monotonic() < until:
            if not _locked(lock):
                return
            time.sleep(_LOOK_EVERY)
        pid = int(lock.read_text(encoding="utf-8") or 0)
        log.warning("sender.killed", pid=pid)
        if pid:
            os.kill(pid, signal.SIGKILL)


def hold_port() -> socket.socket:
    """A socket that keeps a port of 127.0.0.1 for one server, from when it is chosen until the socket is closed.

    Linux gives a bound port neither to an outgoing connection nor to anybody who asks for a free one, and lets a
    server listen there all the same: both sockets have SO_REUSEADDR, and this one does not listen. Elsewhere the
    server could not, so there the port is free only at this moment.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def _just_wait() -> None:
    pass


def _locked(path: Path) -> bool:
    import fcntl

    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _tail(path: Path, lines: int = 30) -> str:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return f"{path} ends with:\n" + "\n".join(text.splitlines()[-lines:])
