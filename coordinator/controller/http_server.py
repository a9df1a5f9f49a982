"""The HTTP server of a watcher: prometheus_client's, with bounds and TLS.

A connection has one deadline for all of it, from the TLS handshake to the end of the answer. When too many are open,
the oldest is closed: an honest request takes milliseconds.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import sys
import threading
import time
from types import TracebackType
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import WSGIApplication

import structlog
from prometheus_client.exposition import ThreadingWSGIServer

from coordinator.config.settings import HttpSettings
from coordinator.errors import ConfigurationError

_log = structlog.get_logger(__name__)

WITHIN = 5.0
"""Seconds for a connection."""

MOST_CONNECTIONS = 32
"""A health check, a scraper and a few people need about five."""

_POLL = 0.5
_PAUSE = 1.0


class HttpServer:
    """Answers in threads of its own. Use as a context manager; leaving it ends all of them.

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
        try:
            self._server = _Server(settings, context, within, most_connections)
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


def tls_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """The TLS context, from the files as they are now; ``None``: no TLS.

    :raises ConfigurationError: the files cannot be used.
    """
    if settings.cert is None or settings.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.cert, settings.key, password=_no_password)
        if settings.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(settings.client_ca)
    except ssl.SSLError as error:
        files = ", ".join(str(file) for file in (settings.cert, settings.key, settings.client_ca) if file is not None)
        raise ConfigurationError(
            f"http: {files}: {error.reason or 'no PEM'}; expected a certificate and its key in PEM"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"http: cert, key or client_ca cannot be read: {error.strerror}") from error
    return context


def _no_password() -> str:
    """Refuse a key with a password; OpenSSL would ask for it at the terminal."""
    raise ConfigurationError("http: the key has a password; expected one without")


class _Handler(WSGIRequestHandler):
    """One request of one connection."""

    server_version, sys_version = "coordinator", ""

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

    def get_stderr(self) -> io.StringIO:
        """Discard what wsgiref reports of broken connections. The application logs its own errors."""
        return io.StringIO()


class _Server(ThreadingWSGIServer):
    """A thread for each connection."""

    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, settings: HttpSettings, context: ssl.SSLContext | None, within: float, most: int) -> None:
        self._settings = settings
        self._context = context
        self._within = within
        self._most = most
        self._lock = threading.Lock()
        self._open: dict[socket.socket, float] = {}  # in the order in which they came, with their deadlines
        self.address_family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        super().__init__((settings.host, settings.port), _Handler)

    def get_request(self) -> tuple[socket.socket, object]:
        try:
            connection, peer = super().get_request()
        except OSError as error:
            # Mostly for want of file descriptors. The connection still waits, so without a pause this would spin.
            _log.warning("http.not_accepted", error=str(error), again_in=_PAUSE)
            time.sleep(_PAUSE)
            raise
        if self._context is not None:
            # The handshake happens with the first read, in the connection's own thread: a slow client delays no other.
            connection = self._newest_context(self._context).wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, peer

    def _newest_context(self, known: ssl.SSLContext) -> ssl.SSLContext:
        """Read the files again; while they do not match, use the context known so far. Certificates are renewed while a
        watcher runs."""
        try:
            self._context = tls_context(self._settings) or known
        except ConfigurationError as error:  # perhaps only one of the two files has been written so far
            _log.warning("http.certificate_unreadable", error=str(error), consequence="the old one is used")
            return known
        return self._context

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        with self._lock:
            if len(self._open) >= self._most:
                self._cut(next(iter(self._open)))
            self._open[request] = time.monotonic() + self._within
        super().process_request(request, client_address)

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
