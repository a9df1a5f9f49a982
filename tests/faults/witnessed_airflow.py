"""A stand-in Airflow that writes down who changed what: people, the scheduler, and each watcher by its name."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from coordinator.model.runstate import State
from coordinator.runners.port import ObservedRun
from tests.simulation.clockwork import seconds_of
from tests.standin.airflow import StandInAirflow
from tests.standin.dagruns import DagRuns, Run
from tests.standin.http11 import Request, Response

BY = "/by/"
"""What the path of a watcher's requests begins with, and then its name: an Airflow behind a proxy has such paths."""


def present() -> float:
    """Seconds, on the clock of the histories (:mod:`tests.simulation.clockwork`)."""
    return seconds_of(datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that changed in an environment.

    :ivar what: created, cleared, begun, ended.
    :ivar sender: the watcher that asked for it; ``None``: a person, or the scheduler.
    :ivar asked_at: when its request arrived.
    """

    time: float
    environment: str
    what: str
    run: ObservedRun
    before: ObservedRun | None = None
    sender: str | None = None
    asked_at: float = 0.0


class _WitnessedRuns(DagRuns):
    def __init__(self, note: Callable[[str, ObservedRun, ObservedRun | None], None]) -> None:
        self._note = note
        super().__init__()

    def trigger(
        self,
        dag_id: str,
        run_id: str | None = None,
        *,
        logical_date: datetime | None = None,
        partition_key: str | None = None,
        conf: dict[str, Any] | None = None,
        by: str = "admin",
        note: str | None = None,
    ) -> Run:
        with self.changed:
            run = super().trigger(
                dag_id, run_id, logical_date=logical_date, partition_key=partition_key, conf=conf, by=by, note=note
            )
            self._note("created", run.observed(), None)
            return run

    def clear(self, dag_id: str, run_id: str) -> Run:
        with self.changed:
            before = self.get(dag_id, run_id).observed()
            run = super().clear(dag_id, run_id)
            if run.queued_at != before.queued_at:
                self._note("cleared", run.observed(), before)
            return run

    def _announce(self, run: Run) -> threading.Event:
        if run.state is not State.QUEUED:
            self._note("begun" if run.state is State.RUNNING else "ended", run.observed(), None)
        return super()._announce(run)


class WitnessedAirflow(StandInAirflow):
    """Use as a context manager.

    :param seen: called with all that happens, in order, under the lock of the runs.
    :param tls: speak HTTPS with this certificate.
    """

    def __init__(
        self, environment: str, seen: Callable[[Happened], None], *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._environment = environment
        self._seen = seen
        self._request = threading.local()
        super().__init__(world=_WitnessedRuns(self._note), tls=tls)

    def url_for(self, watcher: str, port: int) -> str:
        """The address at which a watcher finds it, over a line that listens on this port."""
        return f"{urlsplit(self.base_url).scheme}://127.0.0.1:{port}{BY}{watcher}"

    def _note(self, what: str, run: ObservedRun, before: ObservedRun | None) -> None:
        sender = getattr(self._request, "sender", None)
        asked_at = getattr(self._request, "asked_at", 0.0)
        self._seen(Happened(present(), self._environment, what, run, before, sender, asked_at))

    def _handle(self, request: Request) -> Response | None:
        if request.target.startswith(BY):
            sender, _, rest = request.target.removeprefix(BY).partition("/")
            self._request.sender = sender
            self._request.asked_at = present() - (time.monotonic() - request.arrived)
            request = replace(request, target=f"/{rest}")
        try:
            return super()._handle(request)
        finally:
            self._request.sender, self._request.asked_at = None, 0.0
