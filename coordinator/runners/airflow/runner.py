"""Airflow 3 as an environment: the port's methods, put together."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.runners.airflow import checking, looking, starting
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import EnvironmentReport, Looked, Outcome, Permit, RunRef, StartRequest
from coordinator.settings import EnvironmentSettings


class AirflowRunner:
    """One Airflow 3 over its REST API v2 (see ``port.Runner``). Used from several threads at once.

    ``settings.request_timeout`` bounds each ``start`` and ``ask`` as a whole: a login that is due, connecting,
    sending, the answer down to its last byte, and the reading that resolves an ambiguous answer share one
    deadline (see ``deadline``). What is over by then ends in ``EnvironmentUnavailable``. It bounds this side
    only: a request that Airflow has got may still take effect later.

    :param name: the environment's name, for messages.
    :raises ConfigurationError: the URL holds credentials.
    """

    def __init__(self, name: str, settings: EnvironmentSettings) -> None:
        self._request_timeout = settings.request_timeout
        self._client = AirflowClient(name, settings)

    def __repr__(self) -> str:
        return f"<AirflowRunner {self._client!r}>"

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        return starting.start(self._client, request, Deadline(self._request_timeout), permit)

    def ask(self, request: StartRequest) -> Outcome:
        return starting.ask(self._client, request, Deadline(self._request_timeout))

    def look(self, runs: Sequence[RunRef], *, timeout: float) -> Looked:
        return looking.look(self._client, runs, Deadline(timeout))

    def check(self, dag_ids: Sequence[str]) -> EnvironmentReport:
        return checking.check(self._client, dag_ids, request_timeout=self._request_timeout)

    def close(self) -> None:
        """Close the connections. To be called when no method is running any more."""
        self._client.close()
