"""Connections: accepted, bounded in number and time, opened with TLS where there is a certificate, one request each.

A thread for each connection, so that who is slow delays nobody else. When there are too many, the one that has
been there for longest goes: an honest request takes milliseconds, so it is one that only holds its connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType

import structlog

from coordinator.config.settings import HttpSettings
from coordinator.controller.http.messages import Answer, BadRequest, Request, read_body, read_head, refusal
from coordinator.controller.http.rights import Doorkeeper
from coordinator.controller.http.routes import Access, Route, Routes
from coordinator.controller.http.tls import Certificates
from coordinator.errors import ConfigurationError

_log = structlog.get_logger(__name__)

WITHIN = 5.0
"""Seconds for a request, from the first byte of TLS to the last of its body; and as many for the answer."""

MOST_CONNECTIONS = 32
"""A health check, a scraper and a few people are five."""

_LINGER = 1.0
_LINGER_BYTES = 64 * 1024
_BACKLOG = 128
_PAUSE = 1.0


class HttpListener:
    """Answers in threads of its own. Use as a context manager.

    :param routes: what it answers.
    :ivar port: where it listens; with port 0 in the settings, a free one.
    :raises ConfigurationError: the address cannot be listened on, or the token or the certificates cannot be used.
    """

    def __init__(
        self,
        settings: HttpSettings,
        routes: Iterable[Route],
        *,
        within: float = WITHIN,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        self._routes = Routes(routes)
        self._doorkeeper = Doorkeeper(settings)
        self._certificates = Certificates.of(settings)
        self._within = within
        self._most = most_connections
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[_Connection, threading.Thread] = {}  # in the order in which they came
        self._socket = _listen(settings)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="http", daemon=True)

    def __enter__(self) -> HttpListener:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts; closing alone does not
        self._thread.join()
        self._socket.close()
        with self._lock:
            left = dict(self._open)
        for connection in left:
            connection.cut()
        for thread in left.values():
            thread.join(self._within)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                accepted, peer = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as error:
                if not self._closed.is_set():
                    # No descriptors left, mostly. The connection still waits, so without a pause this would spin.
                    _log.warning("http.not_accepted", error=str(error), again_in=_PAUSE)
                    self._closed.wait(_PAUSE)
                continue
            self._begin(_Connection(accepted, str(peer[0]), self._within))

    def _begin(self, connection: _Connection) -> None:
        thread = threading.Thread(target=self._serve, args=(connection,), name="http connection", daemon=True)
        with self._lock:
            if len(self._open) >= self._most:
                oldest = next(iter(self._open))
                del self._open[oldest]
                oldest.cut()
            self._open[connection] = thread
        try:
            thread.start()
        except RuntimeError as error:  # no more threads to be had; who accepts must outlive that
            with self._lock:
                self._open.pop(connection, None)
            connection.close()
            _log.warning("http.not_accepted", error=str(error), again_in=_PAUSE)
            self._closed.wait(_PAUSE)

    def _serve(self, connection: _Connection) -> None:
        try:
            connection.open(self._certificates)
            connection.answer(*self._converse(connection))
        except (OSError, EOFError) as error:  # too slow, no TLS, gone again: for the other side to fix
            _log.debug("http.broken_off", peer=connection.peer, error=f"{type(error).__name__}: {error}")
        finally:
            connection.close()
            with self._lock:
                self._open.pop(connection, None)

    def _converse(self, connection: _Connection) -> tuple[Answer, bool]:
        """The answer, and whether it goes without its body."""
        method = ""
        try:
            request, begun = read_head(connection.receive)
            method = request.method
            rights = self._doorkeeper.rights(request, peer=connection.peer, has_certificate=connection.has_certificate)
            route = self._routes.find(request, rights)
            if isinstance(route, Answer):
                return route, method == "HEAD"
            if route.access is Access.CHANGERS:
                request = replace(request, body=read_body(request, begun, connection.receive))
        except BadRequest as bad:
            return bad.answer, method == "HEAD"
        return _answer_of(route, replace(request, details=rights.details)), method == "HEAD"


def _answer_of(route: Route, request: Request) -> Answer:
    try:
        return route.answer(request)
    except Exception:  # noqa: BLE001 - who asks learns nothing of our insides, whatever it is; the log has all of it
        _log.exception("http.defect", path=route.path)
        return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "a mistake in the coordinator; see its log")


class _Connection:
    """One of them. Every wait gets only what is left of one deadline."""

    def __init__(self, accepted: socket.socket, peer: str, within: float) -> None:
        self._socket = accepted
        self.peer = peer
        self.has_certificate = False
        self._within = within
        self._until = time.monotonic() + within
        self._is_cut = False

    def open(self, certificates: Certificates | None) -> None:
        """Speak TLS, if there is a certificate. :raises OSError: the other side does not, or is too slow."""
        if certificates is None:
            return
        self._socket.settimeout(self._left())
        wrapped = certificates.context().wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = wrapped
        if self._is_cut:  # of the socket that has just been replaced
            raise ConnectionAbortedError("too many connections")
        wrapped.do_handshake()
        self.has_certificate = bool(wrapped.getpeercert())

    def receive(self, most: int) -> bytes:
        """Some bytes. :raises TimeoutError: the time for the request is up."""
        self._socket.settimeout(self._left())
        return self._socket.recv(most)

    def answer(self, answer: Answer, without_body: bool) -> None:
        """Send it, and wait a moment for the other side to have read it."""
        self._socket.settimeout(self._within)
        self._socket.sendall(answer.encode(without_body=without_body))
        # What is closed with bytes unread is reset, and the answer lost with it. Below TLS: nobody will read them.
        plain = socket.socket
        plain.shutdown(self._socket, socket.SHUT_WR)
        self._until = time.monotonic() + _LINGER
        unread = 0
        with contextlib.suppress(TimeoutError):
            while unread < _LINGER_BYTES:
                self._socket.settimeout(self._left())
                piece = plain.recv(self._socket, 4096)
                if not piece:
                    break
                unread += len(piece)

    def cut(self) -> None:
        """End it, from another thread."""
        self._is_cut = True
        with contextlib.suppress(OSError):
            # The plain method: SSLSocket's own takes TLS away under the thread that is in the middle of it.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"took longer than {self._within:g} s")
        return left


def _listen(settings: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server(
            (settings.host, settings.port),
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=settings.host == "::" and socket.has_dualstack_ipv6(),
        )
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"http.listen: cannot listen on {settings.listen!r}: {error}; expected a free 'host:port'"
        ) from error
    listening.settimeout(_PAUSE)  # where a shutdown does not wake who accepts, this does
    return listening
