"""A small client of Airflow's REST API v2, for the demo and for tests: what a person does in the user interface.

Not what the coordinator uses (that is ``coordinator.runners.airflow``): this one asks no questions about
ambiguous answers. Requests go out one at a time, because Airflow on SQLite cannot take two triggers at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import requests

_TIMEOUT = 30.0
_TRIES = 5


class AirflowApiError(Exception):
    """Airflow answered with an error."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path}: expected 2xx, Airflow answered {status}: {body[:500]}")
        self.status = status


class AirflowApi:
    """One Airflow, one user.

    :param url: without a path, like ``http://127.0.0.1:8080``.
    """

    path: ClassVar[str] = "/api/v2"

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self._credentials = {"username": username, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy on the way to 127.0.0.1
        self._one_at_a_time = threading.Lock()
        self._token: str | None = None

    def token(self) -> str:
        """Log in; a token for the ``Authorization: Bearer`` header.

        :raises AirflowApiError: 401 when it is another Airflow that answers, or another password.
        """
        answer = self._session.post(f"{self.url}/auth/token", json=self._credentials, timeout=_TIMEOUT)
        if not answer.ok:
            raise AirflowApiError("POST", "/auth/token", answer.status_code, answer.text)
        return str(answer.json()["access_token"])

    def authorization(self) -> str:
        """The value of the ``Authorization`` header.

        :raises AirflowApiError: as :meth:`token`.
        """
        self._token = self._token or self.token()
        return f"Bearer {self._token}"

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """One request; ``path`` is below :attr:`path`. Keyword arguments are those of ``requests``.

        A 500 is tried again a few times: with SQLite it means a locked database, and that nothing was done.

        :raises AirflowApiError: any other answer than 2xx.
        """
        with self._one_at_a_time:
            for tries_left in reversed(range(_TRIES)):
                answer = self._session.request(
                    method,
                    f"{self.url}{self.path}{path}",
                    headers={"Authorization": self.authorization()},
                    timeout=_TIMEOUT,
                    **arguments,
                )
                if answer.ok:
                    return dict(answer.json()) if answer.content else {}
                if answer.status_code == 401:
                    self._token = None
                elif answer.status_code != 500:
                    break
                if not tries_left:
                    break
            raise AirflowApiError(method, path, answer.status_code, answer.text)

    def health(self) -> dict[str, Any]:
        """``/monitor/health``: a component, and its status. Needs no login."""
        answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=_TIMEOUT)
        answer.raise_for_status()
        return dict(answer.json())

    def dag_ids(self) -> set[str]:
        """The DAGs that Airflow has read."""
        return {dag["dag_id"] for dag in self.call("GET", "/dags", params={"limit": 100})["dags"]}

    def import_errors(self) -> list[str]:
        """What is wrong with the files of the DAGs folder."""
        errors = self.call("GET", "/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, oldest first, as Airflow shows them."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call(
                "GET", f"/dags/{dag_id}/dagRuns", params={"limit": 100, "offset": len(found), "order_by": "id"}
            )
            found += page["dag_runs"]
            if not page["dag_runs"] or len(found) >= page["total_entries"]:
                return found

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run. :raises AirflowApiError: 404, there is no such run."""
        return self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")

    def trigger(
        self,
        dag_id: str,
        logical_date: str | None,
        *,
        run_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Start a run.

        :param logical_date: a date-time with a time zone, or ``None`` for a run without one.
        :return: the run, as Airflow shows it.
        """
        body: dict[str, Any] = {"logical_date": logical_date, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)

    def clear(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Clear a run: all its tasks run again. ``dry_run`` has to be said: it is true by default."""
        return self.call("POST", f"/dags/{dag_id}/dagRuns/{run_id}/clear", json={"dry_run": False})

    def set_state(self, dag_id: str, run_id: str, state: str) -> dict[str, Any]:
        """Set a run's state by hand: ``queued``, ``success`` or ``failed``."""
        return self.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": state})

    def set_paused(self, dag_ids: Iterable[str], *, paused: bool) -> None:
        """Pause DAGs, or let them run."""
        for dag_id in dag_ids:
            self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": paused})

    def close(self) -> None:
        self._session.close()
