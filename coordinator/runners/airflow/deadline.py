"""One deadline for a whole exchange (a request and its answer), enforced at the socket.

The time-outs of requests bound each single wait for bytes, and each connect to an address: a server that sends a byte a
second, or a name with several dead addresses, takes any multiple of them. The watcher checks that its lease outlives an
exchange before it starts one, so here every wait gets only what is left of one deadline.

A request that changes something also has a permit, which is called with the rest of that deadline right before its
bytes are sent: a process that was suspended for longer than its lease notices it there. The deadline is checked after
that, immediately before the system call.

The deadline does not bound the resolution of a name (``getaddrinfo`` has the resolver's own time-outs).
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from coordinator.boottime import boottime
from coordinator.runners.airflow.head import ResponseWithBoundedHead
from coordinator.runners.port import EnvironmentUnavailable, Permit


class Deadline:
    """A point in time, on the clock that leases are measured with.

    :param seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = boottime() + seconds

    def remaining(self) -> float:
        """Seconds left; 0 or less when the time is up."""
        return self._at - boottime()

    def time_left(self) -> float:
        """Seconds left, for a wait. :raises TimeoutError: the time is up."""
        left = self.remaining()
        if left <= 0:
            raise TimeoutError(f"timed out after {self.seconds:g} s")
        return left

    def check(self, what: str) -> None:
        """Called before a request: one that is cut off would cost the connection.

        :param what: takes the time, for the message.
        :raises EnvironmentUnavailable: there is no time left.
        """
        if self.remaining() <= 0:
            raise EnvironmentUnavailable(f"{what} took longer than {self.seconds:g} s")


class ExchangeLimits:
    """The deadline and the permit of a transport's present exchange. It belongs to one thread."""

    __slots__ = ("deadline", "permit")

    def __init__(self) -> None:
        self.deadline: Deadline | None = None
        self.permit: Permit | None = None

    def time_left(self) -> float | None:
        return None if self.deadline is None else self.deadline.time_left()

    def ask_permit(self) -> None:
        """Ask whether bytes may leave. Raises what the permit raises."""
        if self.permit is not None:
            self.permit(0.0 if self.deadline is None else self.deadline.remaining())


class _LimitedSocket(socket.socket):
    limits: ExchangeLimits

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.limits.time_left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.limits.ask_permit()
        self.settimeout(self.limits.time_left())
        return super().sendall(*args, **kwargs)


class _LimitedTLSSocket(ssl.SSLSocket):
    # Set once the handshake is done; the time-out set before bounds the handshake itself.
    limits: ExchangeLimits | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.limits is not None:
            self.settimeout(self.limits.time_left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        if self.limits is not None:
            self.limits.ask_permit()
            self.settimeout(self.limits.time_left())
        return super().sendall(*args, **kwargs)


def _connect(connection: HTTPConnection, limits: ExchangeLimits) -> socket.socket:
    """urllib3's ``_new_conn``, with one deadline over all addresses of the name."""
    host = connection._dns_host.strip("[]")
    try:
        addresses = socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NameResolutionError(connection.host, connection, error) from error  # type: ignore[arg-type]
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in addresses:
        candidate = _LimitedSocket(family, kind, protocol)
        candidate.limits = limits
        try:
            # One small write per request: Nagle's algorithm would only cost time.
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            candidate.settimeout(limits.time_left())
            candidate.connect(address)
            return candidate
        except OSError as error:
            candidate.close()
            failure = error.with_traceback(None)  # its traceback would refer to this frame: a cycle
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "timed out while connecting") from failure
    raise NewConnectionError(connection, str(failure)) from failure


class _InOnePiece(HTTPConnection):
    """Sends the head and the body of a request together: each system call releases Python's lock, and has to wait for
    the other threads to get it back."""

    _held: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._held = []
        try:
            super().request(*args, **kwargs)
            whole = b"".join(self._held)
        finally:
            self._held = None
        super().send(whole)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)


class _LimitedHTTPConnection(_InOnePiece):
    limits: ExchangeLimits
    response_class = ResponseWithBoundedHead

    def _new_conn(self) -> socket.socket:
        return _connect(self, self.limits)


class _LimitedHTTPSConnection(_InOnePiece, HTTPSConnection):
    limits: ExchangeLimits
    response_class = ResponseWithBoundedHead

    def _new_conn(self) -> socket.socket:
        return _connect(self, self.limits)

    def connect(self) -> None:
        # A context of its own: that of the pool would trust every authority that was ever in the file.
        self.ssl_context = _tls()
        super().connect()
        if isinstance(self.sock, _LimitedTLSSocket):
            self.sock.limits = self.limits


def _tls() -> ssl.SSLContext:
    context = create_urllib3_context()
    context.sslsocket_class = _LimitedTLSSocket
    return context


class LimitedAdapter(HTTPAdapter):
    """A transport whose every wait ends with ``limits.deadline``. Never repeats a request by itself."""

    def __init__(self, limits: ExchangeLimits) -> None:
        self._limits = limits
        # It belongs to one thread, and an environment is one host: it can use only one connection.
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=_tls())
        self._apply_limits(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs, ssl_context=_tls())
        self._apply_limits(manager)
        return manager

    def _apply_limits(self, manager: PoolManager) -> None:
        # Classes made here, because pools make connections from a class without further arguments.
        plain = type("Plain", (_LimitedHTTPConnection,), {"limits": self._limits})
        encrypted = type("Encrypted", (_LimitedHTTPSConnection,), {"limits": self._limits})
        manager.pool_classes_by_scheme = {
            "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("EncryptedPool", (HTTPSConnectionPool,), {"ConnectionCls": encrypted}),
        }
