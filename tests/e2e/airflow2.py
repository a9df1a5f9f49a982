"""A real Airflow 2.11 on SQLite, in the virtual environment that ``make airflow2`` makes.

Two processes: the webserver, and the scheduler, which reads the DAGs too. On SQLite it has the SequentialExecutor: one
task at a time, and the scheduler waits for it.
"""

from __future__ import annotations

import os
import secrets
import signal
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from examples.demo.airflow import MIGRATION, SCHEDULER, AirflowProcess
from examples.demo.airflow_api import AirflowApi, AirflowApiError

REPOSITORY = Path(__file__).parents[2]
PYTHON = REPOSITORY / ".venv-airflow2" / "bin" / "python"
WEBSERVER = "webserver"

_PREPARE = """
import os
from airflow.cli.cli_parser import get_parser
for command in (
    ["db", "migrate"],
    ["users", "create", "--role", "Admin", "--username", os.environ["AIRFLOW_USER"], "--firstname", "A",
     "--lastname", "B", "--email", "a@example.org", "--password", os.environ["AIRFLOW_PASSWORD"]],
):
    arguments = get_parser().parse_args(command)
    arguments.func(arguments)
"""
"""In one process: Airflow takes seconds to import."""


class Airflow2Api(AirflowApi):
    """Its REST API v1, with a user's name and password in every request."""

    path: ClassVar[str] = "/api/v1"

    def token(self) -> str:
        """What stands for the user.

        :raises AirflowApiError: 401 when it is another Airflow that answers, or another password.
        """
        self._token = b64encode(":".join(self._credentials.values()).encode()).decode()
        self.call("GET", "/dags", params={"limit": 1})
        return self._token

    def authorization(self) -> str:
        if self._token is None:
            raise AirflowApiError("GET", "/dags", 401, "the password is refused")
        return f"Basic {self._token}"

    def health(self) -> dict[str, Any]:
        answer = self._session.get(f"{self.url}{self.path}/health", timeout=30)
        answer.raise_for_status()
        return dict(answer.json())

    def trigger(
        self,
        dag_id: str,
        logical_date: str | None,
        *,
        run_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Start a run. Without a logical date Airflow 2 takes the present moment."""
        body: dict[str, Any] = {"conf": dict(conf or {})}
        if logical_date is not None:
            body["logical_date"] = logical_date
        if run_id is not None:
            body["dag_run_id"] = run_id
        return self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)


class Airflow2Process(AirflowProcess):
    """One Airflow 2.11; as :class:`AirflowProcess` otherwise."""

    components: Sequence[str] = (WEBSERVER, SCHEDULER)
    server: ClassVar[str] = WEBSERVER
    python: ClassVar[str] = str(PYTHON)

    def _make_api(self) -> AirflowApi:
        return Airflow2Api(self.url, self.username, self.password)

    def _own_environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW_", "_AIRFLOW", "COORDINATOR_")) and name != "PYTHONDONTWRITEBYTECODE"
        }
        airflow = {
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_FOLDER": str(self.dags_folder),
            "CORE__EXECUTOR": "SequentialExecutor",
            "CORE__PARALLELISM": "4",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
            "CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "1",
            "API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
            "WEBSERVER__SECRET_KEY": secrets.token_hex(32),
            "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "WEBSERVER__WEB_SERVER_PORT": str(self.port),
            "WEBSERVER__BASE_URL": self.url,
            "WEBSERVER__WORKERS": "1",
            # It ends by itself where its only worker gets no time for two minutes, on a machine with much else to do.
            "WEBSERVER__WEB_SERVER_MASTER_TIMEOUT": "900",
            "WEBSERVER__WEB_SERVER_WORKER_TIMEOUT": "900",
            "WEBSERVER__WORKER_REFRESH_INTERVAL": "0",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            "SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
            "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
            "SCHEDULER__PARSING_PROCESSES": "1",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        return {
            **inherited,
            # The SequentialExecutor starts its tasks as "airflow".
            "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_USER": self.username,
            "AIRFLOW_PASSWORD": self.password,
            **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PYTHONWARNINGS": "ignore",
        }

    def _command(self, component: str) -> list[str]:
        if component == MIGRATION:
            return [self.python, "-c", _PREPARE]
        arguments = {
            WEBSERVER: ("--workers", "1", "--pid", str(self.home / "webserver.pid")),
            SCHEDULER: ("--skip-serve-logs",),  # its log server would bind 0.0.0.0:8793
        }
        return [self.python, "-m", "airflow", component, *arguments[component]]

    def _end(self, component: str, *, patience: float) -> None:
        """The child that reads the DAGs is in the scheduler's session and in a process group of its own: it would
        outlive a scheduler that is killed."""
        session = _processes_of_session(self._processes[component].pid)
        super()._end(component, patience=patience)
        for pid in session:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _warm_up(self) -> None:
        """Its tasks use the database, and no API."""

    def _healthy(self) -> bool:
        health = self.api.health()
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler"))


def _processes_of_session(leader: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getsid(int(path.name)) == leader:
                found.append(int(path.name))
    return found
