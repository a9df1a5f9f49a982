"""A stand-in for Airflow 3.3's API server, for tests and benchmarks.

In a test::

    with StandInAirflow() as airflow:
        airflow.dag("quick", auto=0)             # runs by itself, at once
        airflow.dag("slow")                      # waits for airflow.start(...) and airflow.finish(...)
        airflow.on_state(report)                 # called for running, success, failed, in order
        airflow.faults.next("trigger", Fault.cut_after())

As a process of its own, so that a benchmark does not share its interpreter::

    python -m tests.standin.airflow --port 0 --any-dag

prints its port, and gives the requests that it got at ``/_standin/requests``.
"""

from __future__ import annotations

import argparse
import json
import signal
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from coordinator.model.runstate import State
from coordinator.runners.port import ObservedRun
from tests.airflow_model import bodies
from tests.airflow_model.old_rest import OldRestApi
from tests.airflow_model.rest import Answer, Call, RestApi
from tests.airflow_model.runs import Airflow, Change, Partitioning, What
from tests.standin.faults import Fault, Faults
from tests.standin.http11 import Request, Response, Server
from tests.standin.login import Logins
from tests.standin.reports import OnState, Reports
from tests.standin.scheduler import Plan, Scheduler

USERNAME, PASSWORD = "admin", "admin"

SQLITE_COMMIT = 0.005
"""Seconds that a trigger holds the database of an Airflow on SQLite: long enough to meet another one."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request that arrived. ``arrived``: time.monotonic(), which all processes of a Linux machine share."""

    arrived: float
    kind: str
    method: str
    path: str
    dag_id: str | None
    run_id: str | None
    status: int | None
    """``None``: the connection was cut instead of an answer."""
    size: int = 0
    """Characters of the address, with its query."""
    headers: frozenset[str] = frozenset()
    """The names of its headers, in lower case."""


class StandInAirflow:
    """The server, and the hands of the people and of the scheduler behind it.

    :param port: 0 takes a free one.
    :param sqlite: as Airflow on SQLite: of two triggers at once, one is answered 500.
    :param old: speak as Airflow 2 does.
    :param tls: speak HTTPS with this certificate.
    :param witness: called with every change of the runs, in order, under their lock.
    :ivar model: what it holds. Who reads it in another thread than its own holds ``changed``.
    :ivar changed: the lock of the runs; notified of every change.
    :ivar history: every state that any run has taken, in order.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        sqlite: bool = False,
        old: bool = False,
        tls: ssl.SSLContext | None = None,
        witness: Callable[[Change], None] | None = None,
    ) -> None:
        lock = threading.RLock()
        self.changed = threading.Condition(lock)
        self.model = Airflow(now=lambda: datetime.now(UTC), changed=self._note)
        self.history: list[ObservedRun] = []
        self._witness = witness
        self._reports = Reports()
        self._last_report = threading.Event()
        self._scheduler = Scheduler(self.model, lock)
        self.faults = Faults()
        self.logins = Logins({USERNAME: (PASSWORD, "admin"), "eve": ("eve", "viewer")})
        self.requests: list[Recorded] = []
        self.api = OldRestApi(self.model) if old else RestApi(self.model)
        self.logins.basic = old
        self._sqlite = sqlite
        self._writing = threading.Lock()
        self._answered = threading.Condition()
        self._stopped = threading.Event()
        self._scheme = "http" if tls is None else "https"
        self._server = Server(self._handle, port, tls)
        self._server.start()

    # Where it is, and whether

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    username, password = USERNAME, PASSWORD

    @property
    def connections(self) -> int:
        """How many have been opened so far."""
        return self._server.accepted

    def down(self) -> None:
        """Stop listening and cut every connection. What runs, goes on."""
        self._server.stop()

    def up(self) -> None:
        """Listen again, on the same port."""
        self._server.start()

    def close(self) -> None:
        self._stopped.set()
        self._server.stop()
        self._scheduler.close()
        self._reports.close()

    def __enter__(self) -> StandInAirflow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # DAGs, people, the scheduler

    def dag(
        self,
        dag_id: str,
        *,
        auto: float | None = None,
        ends: State = State.SUCCESS,
        paused: bool = False,
        tasks: bool = True,
        refuse: Callable[[dict[str, Any]], str | None] | None = None,
        keys: Partitioning | None = None,
    ) -> None:
        """Declare a DAG, or declare it again; its runs stay.

        :param auto: seconds that a run takes by itself; ``None``: until :meth:`start` and :meth:`finish`.
        :param ends: the state in which runs end by themselves.
        :param tasks: without tasks, a clear changes nothing.
        :param refuse: looks at a conf, and says what is wrong with it.
        :param keys: of its runs; ``None``: it is not partitioned.
        """
        with self.changed:
            self._scheduler.plans[dag_id] = Plan(auto, ends)
            self.model.dag(dag_id, paused=paused, tasks=tasks, refuse=refuse, keys=keys)

    def remove_dag(self, dag_id: str) -> None:
        """As ``airflow dags delete``: the DAG and all its runs."""
        with self.changed:
            self.model.remove_dag(dag_id)

    def on_state(self, subscriber: OnState, *, queued: bool = False) -> None:
        """Call for every run that becomes running, success or failed; in order, in one other thread.

        :param queued: for queued too, which no listener in Airflow hears of.
        """
        self._reports.subscribe(subscriber, queued=queued)

    @property
    def failures(self) -> list[str]:
        """Tracebacks of subscribers that raised."""
        return self._reports.failures

    def trigger_by_hand(
        self,
        dag_id: str,
        run_id: str | None = None,
        *,
        logical_date: datetime | None = None,
        partition_key: str | None = None,
        conf: dict[str, Any] | None = None,
    ) -> ObservedRun:
        with self.changed:
            return self.model.create(
                dag_id, run_id, logical_date=logical_date, partition_key=partition_key, conf=conf, by="somebody"
            ).observed()

    def test_by_hand(self, dag_id: str, run_id: str, *, logical_date: datetime | None) -> None:
        """Returns once the subscribers have heard of it."""
        with self.changed:
            self.model.test(dag_id, run_id, logical_date=logical_date)
            reported = self._last_report
        self._wait(reported)

    def clear_by_hand(self, dag_id: str, run_id: str) -> ObservedRun:
        with self.changed:
            return self.model.clear(dag_id, run_id).observed()

    def start(self, dag_id: str, run_id: str) -> None:
        """Let a queued run begin; returns once the subscribers have heard of it."""
        with self.changed:
            self.model.begin(dag_id, run_id)
            reported = self._last_report
        self._wait(reported)

    def finish(self, dag_id: str, run_id: str, state: State = State.SUCCESS) -> None:
        """Let a run end; one that is still queued begins first. Returns once the subscribers have heard of it."""
        with self.changed:
            if self.model.get(dag_id, run_id).state is State.QUEUED:
                self.model.begin(dag_id, run_id)
            self.model.end(dag_id, run_id, state)
            reported = self._last_report
        self._wait(reported)

    def set_state(self, dag_id: str, run_id: str, state: State) -> None:
        """As a person in the UI: queued, success or failed; returns once the subscribers have heard of it."""
        with self.changed:
            self.model.set_state(dag_id, run_id, state)
            reported = self._last_report
        self._wait(reported)

    def delete(self, dag_id: str, run_id: str) -> None:
        with self.changed:
            self.model.delete(dag_id, run_id)

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Paused: new runs stay queued. Unpaused: they go on."""
        with self.changed:
            self.model.pause(dag_id, paused)
            self._scheduler.look_at(dag_id)

    # Looking and waiting

    def run(self, dag_id: str, run_id: str) -> ObservedRun | None:
        with self.changed:
            run = self.model.runs.get((dag_id, run_id))
            return None if run is None else run.observed()

    def runs(self, dag_id: str) -> list[ObservedRun]:
        """All runs of a DAG, oldest first."""
        with self.changed:
            return [run.observed() for run in self.model.runs_of(dag_id)]

    def starts(self, dag_id: str) -> int:
        """How often runs of a DAG have begun: every attempt counts."""
        with self.changed:
            return sum(run.starts for run in self.model.runs_of(dag_id))

    def await_run(self, dag_id: str, run_id: str, state: State, *, timeout: float = 10.0) -> ObservedRun:
        """Wait for a run to be in a state. :raises AssertionError: it is not in time."""

        def reached() -> bool:
            run = self.run(dag_id, run_id)
            return run is not None and run.state is state

        self.await_that(reached, f"{dag_id}/{run_id} {state}", timeout=timeout)
        run = self.run(dag_id, run_id)
        assert run is not None
        return run

    def await_that(self, holds: Callable[[], bool], what: str, *, timeout: float = 10.0) -> None:
        """Wait for something that changes with runs. :raises AssertionError: not in time."""
        with self.changed:
            assert self.changed.wait_for(holds, timeout), f"not within {timeout} s: {what}"

    def await_requests(
        self, kind: str, count: int, *, dag_id: str | None = None, timeout: float = 10.0
    ) -> list[Recorded]:
        """Wait until so many requests of a kind have been answered. :raises AssertionError: not in time."""
        with self._answered:
            ok = self._answered.wait_for(lambda: len(self.requests_of(kind, dag_id)) >= count, timeout)
        found = self.requests_of(kind, dag_id)
        assert ok, f"not within {timeout} s: {count} requests of kind {kind!r}; found {len(found)}"
        return found

    def requests_of(self, kind: str, dag_id: str | None = None) -> list[Recorded]:
        """:param dag_id: only those about this DAG; None: about any."""
        return [r for r in list(self.requests) if r.kind == kind and dag_id in (None, r.dag_id)]

    def _wait(self, delivered: threading.Event) -> None:
        assert delivered.wait(30), "a subscriber has not come back within 30 s"
        assert not self.failures, self.failures[0]

    def _note(self, change: Change) -> None:
        """The model has changed; the lock is held."""
        what, run, before = change
        if self._witness is not None:
            self._witness(change)
        is_new_state = before is None or what is What.SET or run.state is not before.state
        if is_new_state:
            self.history.append(run)
            self._last_report = self._reports.put(run)
        if what is not What.DELETED:
            self._scheduler.plan(run)
        self.changed.notify_all()

    # Requests

    def _handle(self, request: Request) -> Response | None:
        split = urlsplit(request.target)
        parts = unquote(split.path).strip("/").split("/")
        if parts[0] == "_standin":
            return self._own(request, parts)
        filters = parse_qs(split.query, keep_blank_values=True) if split.query else {}
        call = Call(request.method, parts, filters, _read(request.body))
        kind = self.api.kind(request.method, parts)
        dag_id = parts[3] if len(parts) > 3 and parts[2] == "dags" else None
        run_id = parts[5] if len(parts) > 5 else None
        fault = self.faults.take(kind) if kind else None
        response: Response | None = None
        if fault is not None and not fault.acts_first:
            self._keep_waiting(fault)
        if fault is None or fault.acts:
            response = self._answer(kind, call, request.headers.get("authorization"))
        if fault is not None and fault.acts_first:
            self._keep_waiting(fault)
        if kind in ("trigger", "clear_tasks"):
            run_id = _named_run(call.body)
        if fault is not None:
            if fault.cuts:
                response = None
            elif fault.status is not None:
                text = isinstance(fault.body, str)
                as_it_is = fault.body if isinstance(fault.body, bytes) else fault.body.encode() if text else None
                response = Response(
                    fault.status,
                    bodies.encode(fault.body) if as_it_is is None else as_it_is,
                    content_type="text/plain" if text else "application/json",
                    headers=fault.headers,
                )
            elif response is not None:
                response.drip = fault.drip
        if kind is not None:
            status = None if response is None else response.status
            with self._answered:
                self.requests.append(
                    Recorded(
                        request.arrived,
                        kind,
                        request.method,
                        split.path,
                        dag_id,
                        run_id,
                        status,
                        len(request.target),
                        frozenset(request.headers),
                    )
                )
                self._answered.notify_all()
        return response

    def _answer(self, kind: str | None, call: Call, authorization: str | None) -> Response:
        status, body = self._act(kind, call, authorization)
        return Response(status) if status == 204 else Response(status, bodies.encode(body))

    def _act(self, kind: str | None, call: Call, authorization: str | None) -> Answer:
        if kind == "login":
            return self.logins.answer(call.body)
        if kind not in (None, "public"):
            refusal = self.logins.refusal(authorization, writes=call.method != "GET")
            if refusal is not None:
                return refusal[0], {"detail": refusal[1]}
        if not (self._sqlite and kind == "trigger"):
            return self._ask(kind, call)
        if not self._writing.acquire(blocking=False):
            return 500, bodies.DATABASE_ERROR
        try:
            time.sleep(SQLITE_COMMIT)
            return self._ask(kind, call)
        finally:
            self._writing.release()

    def _ask(self, kind: str | None, call: Call) -> Answer:
        with self.changed:
            answer = self.api.answer(kind, call)
            if kind == "patch" and call.dag_id in self.model.dags:
                self._scheduler.look_at(call.dag_id)
            return answer

    def _keep_waiting(self, fault: Fault) -> None:
        if fault.wait is not None:
            while not fault.wait.wait(0.05) and not self._stopped.is_set():
                pass
        if fault.seconds is not None:
            self._stopped.wait(fault.seconds)

    def _own(self, request: Request, parts: list[str]) -> Response:
        """What only the stand-in has, for whoever runs it as a process of its own."""
        match request.method, parts[1:]:
            case "GET", ["requests"]:
                listed = [
                    [entry.arrived, entry.kind, entry.dag_id, entry.run_id, entry.status]
                    for entry in list(self.requests)
                ]
                return Response(200, bodies.encode(listed))
            case "GET", ["clock"]:
                return Response(200, bodies.encode(time.monotonic()))
            case "POST", ["reset"]:
                self.requests.clear()
                return Response(204)
        return Response(404, bodies.encode({"error": "no such thing in the stand-in"}))


def _read(body: bytes) -> Any:
    """What a body says as JSON, or the text that is none."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def _named_run(body: Any) -> str | None:
    named = body.get("dag_run_id") if isinstance(body, dict) else None
    return named if isinstance(named, str) else None


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in Airflow as a process of its own; prints its port.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--any-dag", action="store_true", help="every DAG exists")
    parser.add_argument("--dag", action="append", default=[], metavar="ID[=SECONDS]", help="a DAG; SECONDS: by itself")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with StandInAirflow(options.port) as airflow:
        for declared in options.dag:
            name, _, seconds = declared.partition("=")
            airflow.dag(name, auto=float(seconds) if seconds else None)
        if options.any_dag:
            airflow.model.any_dag = True
        print(airflow.port, flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
