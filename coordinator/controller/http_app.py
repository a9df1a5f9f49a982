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

from coordinator.controller.service import STALLED_AFTER, Health

_log = structlog.get_logger(__name__)

_ALWAYS = [("Server", "coordinator"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]

_Word = tuple[HTTPStatus, str]


def application(
    health: Callable[[], Health], monotonic: Callable[[], float], metrics: Collector | None = None
) -> WSGIApplication:
    """The application of a watcher.

    :param monotonic: the clock of :attr:`Health.stepped_at`.
    :param metrics: what ``/metrics`` shows.
    """
    registry = CollectorRegistry()
    if metrics is not None:
        registry.register(metrics)
    show_metrics = make_wsgi_app(registry)

    def alive() -> _Word:
        if monotonic() - health().stepped_at >= STALLED_AFTER:
            return HTTPStatus.SERVICE_UNAVAILABLE, "stalled"
        return HTTPStatus.OK, "alive"

    def ready() -> _Word:
        found = alive()
        if found[0] is not HTTPStatus.OK:
            return found
        return (HTTPStatus.OK, "ready") if health().connected else (HTTPStatus.SERVICE_UNAVAILABLE, "unready")

    words = {"/healthz": alive, "/readyz": ready}

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/metrics":
            return show_metrics(environ, start_response)  # type: ignore[no-any-return]
        if path not in words:
            return say(HTTPStatus.NOT_FOUND, "not here; there are /healthz, /readyz and /metrics", start_response)
        if method not in ("GET", "HEAD"):
            return say(HTTPStatus.METHOD_NOT_ALLOWED, "expected GET or HEAD", start_response, ("Allow", "GET, HEAD"))
        status, word = words[path]()
        said = say(status, word, start_response)
        return said if method == "GET" else []

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]]) -> object:
            return start_response(status, [*headers, *_ALWAYS])

        try:
            return answer(environ, start)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - the answer discloses nothing; the log has the error
            _log.exception("http.defect", path=environ["PATH_INFO"])
            return say(HTTPStatus.INTERNAL_SERVER_ERROR, "a mistake in the coordinator; see its log", start_response)

    return guarded


def say(status: HTTPStatus, text: str, start_response: StartResponse, *headers: tuple[str, str]) -> list[bytes]:
    """Answer with a line."""
    content = f"{text}\n".encode()
    start_response(
        f"{status.value} {status.phrase}",
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(content))), *headers],
    )
    return [content]
