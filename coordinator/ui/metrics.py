"""The metrics of ``coordinator ui``, for Prometheus: docs/metrics.md says what each means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.controller.metric_families import add_timings, gauge, histogram, of_etcd
from coordinator.store.etcd_requests import EtcdRequests
from coordinator.store.timings import Timings
from coordinator.ui.questions import Questions
from coordinator.version import __version__

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Timed:
    """Measures how long each answer took to begin: a stream goes on afterwards.

    :param timings: by kind (``api``, ``static``, ``page``) and outcome (``answered``, ``refused``, ``failed``).
    """

    def __init__(self, app: ASGIApp, timings: Timings, prefix: str) -> None:
        self._app = app
        self._timings = timings
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, kind = monotonic(), _kind(scope["path"].removeprefix(self._prefix))

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._timings.note(kind, _outcome(message["status"]), seconds=monotonic() - began)
            await send(message)

        await self._app(scope, receive, timed)


class UiMetrics(Collector):
    """A collector of prometheus_client.

    :param timings: how long answers took.
    :param etcd: what the client of etcd has asked; ``None``: there is none.
    """

    def __init__(self, questions: Questions, timings: Timings, etcd: EtcdRequests | None) -> None:
        self._questions = questions
        self._timings = timings
        self._etcd = etcd

    def collect(self) -> Iterator[Metric]:
        away = self._questions.away_since
        yield gauge("build_info", "Always 1; the version is its label.", {__version__: 1}, "version")
        seconds = histogram("ui_request_seconds", "How long answers of the page took to begin.", "kind", "outcome")
        add_timings(seconds, self._timings.snapshot())
        yield seconds
        yield gauge("ui_questions", "Readings of etcd that are under way or wait.", self._questions.under_way)
        away_for = 0.0 if away is None else max(0.0, (datetime.now(UTC) - away).total_seconds())
        yield gauge("ui_etcd_away_seconds", "Seconds since etcd has given the page no answer.", away_for)
        if self._etcd is not None:
            yield of_etcd(self._etcd)

    async def show(self, request: Request) -> Response:
        """The answer to ``/metrics``."""
        del request
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return Response(generate_latest(registry), headers={"Cache-Control": "no-store"}, media_type=_TEXT)


def _kind(path: str) -> str:
    if path.startswith("/api/"):
        return "api"
    return "static" if path.startswith("/static/") else "page"


def _outcome(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    return "refused" if status >= HTTPStatus.BAD_REQUEST else "answered"
