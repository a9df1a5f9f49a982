"""A stand-in for CDAP's REST API, made from its documentation and source (``coordinator/runners/datafusion``).

In a test::

    with StandInCdap() as cdap:
        cdap.app("quick", takes=0)                       # its runs complete at once
        cdap.app("slow")                                 # its runs wait for cdap.end(...)
        cdap.listed_after = 1.0                          # a run is listed so long after its start was answered
        cdap.faults["start"].append(Fault.cut_after())

Kinds of requests, for the faults: ``start``, ``runs``, ``run``, ``stop``, ``version``.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.standin.faults import Fault
from tests.standin.http11 import Request, Response, Server

ENDS = ("COMPLETED", "FAILED", "KILLED", "REJECTED")


@dataclass
class App:
    """:ivar takes: seconds that a run takes; ``None``: it waits for somebody.

    :ivar ends: the state that it ends in, or what says so for a run.
    :ivar concurrent: whether several runs may go on at once.
    """

    takes: float | None = None
    ends: str | Callable[[Run], str] = "COMPLETED"
    program: str = "DataPipelineWorkflow"
    concurrent: bool = True


@dataclass
class Run:
    """:ivar listed_at: by ``time.monotonic()``. :ivar starting: seconds since 1970."""

    app: str
    arguments: dict[str, str]
    listed_at: float
    runid: str = field(default_factory=lambda: str(uuid.uuid1()))
    starting: int = field(default_factory=lambda: int(time.time()))
    began: float = field(default_factory=time.monotonic)
    status: str = "RUNNING"
    end: int | None = None

    def record(self) -> dict[str, Any]:
        times: dict[str, Any] = {"starting": self.starting}
        if self.status not in ("PENDING", "STARTING", "REJECTED"):
            times["start"] = self.starting
        if self.end is not None:
            times["end"] = self.end
        properties = {"runtimeArgs": json.dumps(self.arguments)}
        return {"runid": self.runid, "status": self.status, **times, "properties": properties, "cluster": {}}


class StandInCdap:
    """The server. Its state is changed under ``lock``.

    :ivar listed_after: seconds from the answer of a start until the run is listed.
    :ivar most: outstanding runs that are allowed; ``None``: any number.
    :ivar token: the bearer token that is expected; ``None``: none is needed.
    :ivar started: every run that was made, listed or not, REJECTED ones too.
    :ivar stopped: the ids of the runs that a request has stopped.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.apps: dict[str, App] = {}
        self.started: list[Run] = []
        self.stopped: list[str] = []
        self.asked: list[str] = []
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.listed_after = 0.0
        self.most: int | None = None
        self.token: str | None = None
        self._server = Server(self._handle)
        self._server.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def __enter__(self) -> StandInCdap:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def app(self, name: str, **plan: Any) -> None:
        with self.lock:
            self.apps[name] = App(**plan)

    def runs_of(self, app: str) -> list[Run]:
        """Those that have run, or are to."""
        with self.lock:
            return [one for one in self.started if one.app == app and one.status != "REJECTED"]

    def become(self, run: Run, status: str) -> None:
        with self.lock:
            run.status = status
            run.end = int(time.time()) if status in ENDS else None

    # -- requests ------------------------------------------------------------------------------------------------------

    def _handle(self, request: Request) -> Response | None:
        url = urlsplit(request.target)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        kind = self._kind(request.method, parts)
        with self.lock:
            self.asked.append(kind)
            waiting = self.faults[kind]
            fault = waiting.popleft() if waiting else None
        if fault is None:
            return self._act(request, kind, parts, parse_qs(url.query))
        fault.met.set()
        response = None
        if fault.acts and fault.acts_first:
            response = self._act(request, kind, parts, parse_qs(url.query))
        if fault.wait is not None:
            fault.wait.wait(30)
        if fault.seconds is not None:
            time.sleep(fault.seconds)
        if fault.acts and not fault.acts_first:
            response = self._act(request, kind, parts, parse_qs(url.query))
        if fault.cuts:
            return None
        return response if fault.status is None else _answer(fault.status, fault.body)

    def _kind(self, method: str, parts: list[str]) -> str:
        if method == "POST":
            return parts[-1]
        return {"version": "version", "runs": "runs"}.get(parts[-1], "run")

    def _act(self, request: Request, kind: str, parts: list[str], query: dict[str, list[str]]) -> Response:
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            return _answer(401, {"error": "invalid_token"})
        with self.lock:
            self._go_on()
            if kind == "version":
                return _answer(200, {"version": "6.10.1"})
            if parts[:2] != ["v3", "namespaces"] or parts[2] != "default":
                return _answer(404, "namespace not found")
            if kind == "start" and len(parts) == 4:
                return self._start(json.loads(request.body))
            app = self.apps.get(parts[4])
            if app is None or parts[5:7] != ["workflows", app.program]:
                return _answer(404, f"Program 'program:default.{'.'.join(parts[4:7])}' was not found.")
            listed = [one for one in self.started if one.app == parts[4] and one.listed_at <= time.monotonic()]
            if kind == "runs":
                return self._runs(listed, {name: int(values[0]) for name, values in query.items()})
            run = next((one for one in listed if one.runid == parts[8]), None)
            if run is None:
                return _answer(404, f"Run '{parts[8]}' was not found.")
            if kind != "stop":
                return _answer(200, run.record())
            if run.status in ENDS:
                return _answer(400, f"Program '{parts[6]}' is not running.")
            self.stopped.append(run.runid)
            self.become(run, "KILLED")
            return Response(200)

    def _start(self, programs: list[dict[str, Any]]) -> Response:
        results = []
        for one in programs:
            said = {name: one[name] for name in ("appId", "programType", "programId")}
            app = self.apps.get(one["appId"])
            if app is None or app.program != one["programId"] or one["programType"] != "Workflow":
                results.append({**said, "statusCode": 404, "error": f"'{one['appId']}' was not found."})
                continue
            going = [run for run in self.started if run.app == one["appId"] and run.status not in ENDS]
            if going and not app.concurrent:
                results.append({**said, "statusCode": 409, "error": f"Program {one['programId']} is already running"})
                continue
            run = Run(one["appId"], dict(one.get("runtimeargs") or {}), time.monotonic() + self.listed_after)
            self.started.append(run)
            if self.most is not None and len(going) >= self.most:
                self.become(run, "REJECTED")
                return _answer(429, f"the maximum of {self.most} outstanding runs is allowed")
            results.append({**said, "statusCode": 200, "runId": run.runid})
        return _answer(200, results)

    def _runs(self, listed: list[Run], query: dict[str, int]) -> Response:
        """Those that have not ended come first, in no order; then the others, the newest ones first."""
        start, end = query.get("start", 0), query.get("end", 2**62)
        some = [one for one in listed if start <= one.starting < end]
        some.sort(key=lambda one: (one.status in ENDS, -one.starting if one.status in ENDS else 0, one.runid))
        return _answer(200, [one.record() for one in some[: query.get("limit", 100)]])

    def _go_on(self) -> None:
        for run in self.started:
            plan = self.apps.get(run.app)
            if plan is None or plan.takes is None or run.status != "RUNNING":
                continue
            if time.monotonic() >= run.began + plan.takes:
                self.become(run, plan.ends if isinstance(plan.ends, str) else plan.ends(run))


def _answer(status: int, body: Any) -> Response:
    """CDAP refuses in plain text."""
    if isinstance(body, str):
        return Response(status, body.encode(), "text/plain")
    return Response(status, json.dumps(body).encode())
