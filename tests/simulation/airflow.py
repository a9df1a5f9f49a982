"""What goes wrong on the line between a watcher of the simulation and an environment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from coordinator.runners.port import EnvironmentUnavailable, Outcome, Permit, RunRef, StartRequest
from tests.airflow_model import bodies
from tests.airflow_model.rest import Call
from tests.worlds.simulated_airflow import DirectLine, DirectRunner, SimulatedAirflow


class FaultyLine(DirectLine):
    """:param fault: what goes wrong with the next request, if anything does. :param now: the environment's clock."""

    def __init__(
        self, airflow: SimulatedAirflow, fault: Callable[[str], str | None], now: Callable[[], datetime]
    ) -> None:
        super().__init__(airflow, now)
        self._fault = fault

    def carry(self, question: str, call: Call) -> tuple[int, Any]:
        match self._fault(question):
            case "no connection":
                raise EnvironmentUnavailable("connection refused")
            case "no answer":
                self.act(call)
                raise EnvironmentUnavailable("timed out")
            case "500 and done":
                self.act(call)
                return 500, bodies.DATABASE_ERROR
            case "500 and not done":
                return 500, bodies.DATABASE_ERROR
            case "503":
                return 503, {"detail": "overloaded"}
            case "429":
                return 429, {"detail": "too many"}
            case "403":
                return 403, {"detail": "Forbidden"}
        return self.act(call)


class WatchedRunner(DirectRunner):
    """:param sending: called with a request that goes out; what changes belongs to it.

    :param sent: called when it is over, whatever came of it.
    :param stopping: as ``sending``, of a request that stops a run.
    """

    def __init__(
        self,
        line: FaultyLine,
        *,
        sending: Callable[[StartRequest], None],
        sent: Callable[[], None],
        stopping: Callable[[], None],
    ) -> None:
        super().__init__(line)
        self._sending = sending
        self._sent = sent
        self._stopping = stopping

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        self._sending(request)
        try:
            return super().start(request, permit=permit)
        finally:
            self._sent()

    def stop(self, ref: RunRef, *, before: datetime | None, permit: Permit | None = None) -> Outcome:
        self._stopping()
        try:
            return super().stop(ref, before=before, permit=permit)
        finally:
            self._sent()
