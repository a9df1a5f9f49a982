"""The HTTP server of a watcher: prometheus_client's, with bounds and TLS.

A connection has one deadline for all of it, from the TLS handshake to the end of the answer. When too many are open,
the oldest is closed: an honest request takes milliseconds. The head of a request is bounded before it is parsed.
"""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import sys
import threading
import time
from http import HTTPStatus
from types import TracebackType
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import WSGIApplication

import structlog
from prometheus_client.exposition import ThreadingWSGIServer

from coordinator.config.http import HttpSettings
from coordinator.controller.http_app import ALWAYS
from coordinator.controller.http_head import HeadRefused, read_head
from coordinator.controller.http_tls import TlsFiles, tls_context
from coordinator.errors import ConfigurationError

_log = structlog.get_logger(__name__)

WITHIN = 5.0
"""Seconds for a connection."""

MOST_CONNECTIONS = 32
"""Of connections, and of threads. A health check, a scraper and a few people are five."""

_POLL = 0.5
_PAUSE = 1.0

_PLACE_WITHIN = 0.5
"""Seconds that a new connection waits for a thread to end, at most."""

_END_WITHIN = 2.0
"""Seconds that closing waits for the threads, at most. By then they wait for nothing; one may still compute."""


class HttpServer:
    """Answers in threads of its own. Use as a context manager; leaving it ends them, within seconds.

    :ivar port: where it listens; with port 0 in the settings, a free one.
    :raises ConfigurationError: the address cannot be listened on, or the certificates cannot be used.
    """

    def __init__(
        self,
        settings: HttpSettings,
        application: WSGIApplication,
        *,
        within: float = WITHIN,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        context = tls_context(settings)
        tls = TlsFiles(settings, context) if context is not None else None
        try:
            self._server = _Server(settings, tls, within, most_connections)
        except (OSError, UnicodeError) as error:
            raise ConfigurationError(
                f"http.listen: cannot listen on {settings.listen!r}: {error}; expected a free 'host:port': end the "
                "program that listens there ('ss -ltnp' shows which), or set another address"
            ) from error
        self._server.set_app(application)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL,), name="http", daemon=True)

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(WSGIRequestHandler):
    """One request of one connection."""

    server_version, sys_version = "coordinator", ""

    def handle(self) -> None:
        try:
            with self.rfile as received:
                head = read_head(received)
        except HeadRefused as refused:
            self._refuse(refused.status, str(refused))
            return
        self.rfile = io.BytesIO(head)
        super().handle()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the library refuses. It would answer in HTML, and repeat the request."""
        self._refuse(HTTPStatus(code), HTTPStatus(code).phrase.lower())

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        content = f"{why}\n".encode()
        headers = [
            ("Date", self.date_time_string()),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(content))),
            *ALWAYS,
        ]
        lines = [f"HTTP/1.0 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.wfile.write("\r\n".join(lines).encode() + content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

    def get_stderr(self) -> io.StringIO:
        """Discard what wsgiref reports of broken connections. The application logs its own errors."""
        return io.StringIO()


class _Server(ThreadingWSGIServer):
    """A thread for each connection, and no more threads than connections are allowed."""

    request_queue_size = 128

    def __init__(self, settings: HttpSettings, tls: TlsFiles | None, within: float, most: int) -> None:
        self._tls = tls
        self._within = within
        self._most = most
        self._lock = threading.Lock()
        self._open: dict[socket.socket, float] = {}  # with their deadlines
        self._threads_of: dict[threading.Thread, socket.socket] = {}  # in the order in which they came
        self.address_family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        super().__init__((settings.host, settings.port), _Handler)

    def server_bind(self) -> None:
        """Bind as the library does, but ask no name service for a name of this host: nobody is told it."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, object]:
        try:
            connection, peer = super().get_request()
        except OSError as error:
            # Mostly for want of file descriptors. The connection still waits, so without a pause this would spin.
            _log.warning("http.not_accepted", error=str(error), again_in=_PAUSE)
            time.sleep(_PAUSE)
            raise
        if self._tls is not None:
            # The handshake happens with the first read, in the connection's own thread: a slow client delays no other.
            connection = self._tls.context().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, peer

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        if not self._has_place():
            _log.debug("http.no_place", peer=str(client_address), threads=self._most)
            self.shutdown_request(request)
            return
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._open[request] = time.monotonic() + self._within
        thread.start()
        self._threads_of[thread] = request

    def _has_place(self) -> bool:
        """Whether one more thread may begin. Where all places are taken, the oldest connection is cut for it."""
        if len(self._living()) < self._most:
            return True
        with self._lock:
            oldest = next((one for one, its in self._threads_of.items() if its in self._open), None)
            if oldest is not None:
                self._cut(self._threads_of[oldest])
        # A thread that waits for its connection ends at once. One that computes is let finish, and keeps its place.
        (oldest or next(iter(self._threads_of))).join(_PLACE_WITHIN)
        return len(self._living()) < self._most

    def _living(self) -> list[threading.Thread]:
        self._threads_of = {thread: its for thread, its in self._threads_of.items() if thread.is_alive()}
        return list(self._threads_of)

    def service_actions(self) -> None:
        """Close connections whose deadline has passed: twice a second, and after each new connection."""
        now = time.monotonic()
        with self._lock:
            for connection in [one for one, until in self._open.items() if until < now]:
                self._cut(connection)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        with self._lock:
            for connection in list(self._open):
                self._cut(connection)
        super().server_close()
        until = time.monotonic() + _END_WITHIN
        for thread in self._threads_of:
            thread.join(max(0.0, until - time.monotonic()))
        if left := len(self._living()):
            _log.warning("http.threads_left", threads=left, consequence="they end with the process")

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the library calls it
        error = sys.exception()
        if isinstance(error, OSError):  # too slow, no TLS, or closed: the client's problem
            _log.debug("http.broken_off", peer=str(client_address), error=f"{type(error).__name__}: {error}")
        else:
            _log.error("http.not_answered", peer=str(client_address), exc_info=error)

    def _cut(self, connection: socket.socket) -> None:
        del self._open[connection]
        with contextlib.suppress(OSError):  # it is closed already
            # The plain socket's method: that of SSLSocket would remove TLS while the connection's thread uses it.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
