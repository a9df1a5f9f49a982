"""A stand-in Airflow that writes down who changed what: people, the scheduler, and each watcher by its name."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from coordinator.model.runstate import State
from coordinator.runners.port import ObservedRun
from tests.airflow_model.runs import Change, What
from tests.simulation.clockwork import seconds_of
from tests.standin.airflow import StandInAirflow
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
        super().__init__(witness=self._write_down, tls=tls)

    def url_for(self, watcher: str, port: int) -> str:
        """The address at which a watcher finds it, over a line that listens on this port."""
        return f"{urlsplit(self.base_url).scheme}://127.0.0.1:{port}{BY}{watcher}"

    def _write_down(self, change: Change) -> None:
        what, run, before = change
        if what is What.DELETED or (what is What.SET and run.state is State.QUEUED):
            return  # no checker asks for it
        word = (What.ENDED if what is What.SET else what).value
        was = before.observed() if before is not None and what is What.CLEARED else None
        sender = getattr(self._request, "sender", None)
        asked_at = getattr(self._request, "asked_at", 0.0)
        self._seen(Happened(present(), self._environment, word, run.observed(), was, sender, asked_at))

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
