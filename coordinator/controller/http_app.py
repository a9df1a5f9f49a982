"""What a watcher answers over HTTP: ``/healthz`` and ``/readyz``, one word each, and ``/metrics``.

``/healthz`` answers 200 while the deciding thread turns; ``/readyz`` when the watcher has also read etcd and its
watch is alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

from coordinator.controller.service import STALLED_AFTER, Liveness

_log = structlog.get_logger(__name__)

ALWAYS = [("Server", "coordinator"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]

_READ = ("GET", "HEAD")

_Answer = tuple[str, list[tuple[str, str]], bytes]
_Word = tuple[HTTPStatus, str]


def application(
    liveness: Callable[[], Liveness], monotonic: Callable[[], float], metrics: Collector | None = None
) -> WSGIApplication:
    """The application of a watcher.

    :param monotonic: the clock of :attr:`Liveness.stepped_at`.
    :param metrics: what ``/metrics`` shows.
    """
    registry = CollectorRegistry()
    if metrics is not None:
        registry.register(metrics)
    show_metrics = make_wsgi_app(registry)

    def alive() -> _Word:
        if monotonic() - liveness().stepped_at >= STALLED_AFTER:
            return HTTPStatus.SERVICE_UNAVAILABLE, "stalled"
        return HTTPStatus.OK, "alive"

    def ready() -> _Word:
        found = alive()
        if found[0] is not HTTPStatus.OK:
            return found
        return (HTTPStatus.OK, "ready") if liveness().connected else (HTTPStatus.SERVICE_UNAVAILABLE, "unready")

    words = {"/healthz": alive, "/readyz": ready}

    def answer(environ: WSGIEnvironment) -> _Answer:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path not in words and path != "/metrics":
            return say(HTTPStatus.NOT_FOUND, "not here; there are /healthz, /readyz and /metrics")
        if method not in _READ:
            return say(HTTPStatus.METHOD_NOT_ALLOWED, "expected GET or HEAD", ("Allow", ", ".join(_READ)))
        return say(*words[path]()) if path in words else _metrics(show_metrics, environ)

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            status, headers, content = answer(environ)
        except Exception:  # noqa: BLE001 - the answer discloses nothing; the log has the error
            _log.exception("http.defect", path=environ["PATH_INFO"])
            status, headers, content = say(
                HTTPStatus.INTERNAL_SERVER_ERROR, "a mistake in the coordinator; see its log"
            )
        start_response(status, [*headers, ("Content-Length", str(len(content))), *ALWAYS])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]

    return guarded


def say(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> _Answer:
    """Answer with a line."""
    content_type = ("Content-Type", "text/plain; charset=utf-8")
    return f"{status.value} {status.phrase}", [content_type, *headers], f"{text}\n".encode()


def _metrics(show: WSGIApplication, environ: WSGIEnvironment) -> _Answer:
    """All metrics, in the format that every Prometheus reads.

    The library sees nothing else of a request than whether its answer may be compressed: it fails at some values of
    ``Accept``, and answers nothing where names are asked for that no collector announces.
    """
    said: list[tuple[str, list[tuple[str, str]]]] = []
    content: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
        said.append((status, headers))
        return content.append

    encoding = environ.get("HTTP_ACCEPT_ENCODING", "")
    content += show({"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "HTTP_ACCEPT_ENCODING": encoding}, start)
    status, headers = said[-1]
    return status, headers, b"".join(content)
