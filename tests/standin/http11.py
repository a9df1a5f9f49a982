"""The least HTTP/1.1 that does the job: a thread per connection, keep-alive, one write per answer.

``http.server`` parses headers with the e-mail package and writes status, headers and body apart; a benchmark that
measures the coordinator through this server would measure that.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO, cast

from coordinator.store.embedded import free_port

_REASONS = {status.value: status.phrase for status in HTTPStatus}
MAX_LINE = 65536


@dataclass(slots=True)
class Request:
    """``arrived``: time.monotonic() once the request line was there; comparable between processes on Linux."""

    arrived: float
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Response:
    """``drip``: seconds between single bytes, for a server that never quite finishes."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str | list[str]] | None = None
    drip: float | None = None

    def encode(self) -> bytes:
        head = (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}\r\n"
            f"content-type: {self.content_type}\r\ncontent-length: {len(self.body)}\r\n"
            f"date: {formatdate(usegmt=True)}\r\n"
        )
        for name, values in (self.headers or {}).items():
            head += "".join(f"{name}: {value}\r\n" for value in ([values] if isinstance(values, str) else values))
        return head.encode("latin-1") + b"\r\n" + self.body


Handler = Callable[[Request], Response | None]
"""Answers a request; ``None`` cuts the connection."""


class Server:
    """Listens on 127.0.0.1. ``port`` 0 takes a free one and keeps it over :meth:`stop` and :meth:`start`."""

    def __init__(self, handler: Handler, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self.port = port or free_port()  # not the kernel's choice, which it would give to others after stop()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._stopping = threading.Event()
        self.accepted = 0

    def start(self) -> None:
        self._stopping = threading.Event()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        self._listener = listener
        threading.Thread(
            target=self._accept, args=(listener, self._stopping), name=f"standin-{self.port}", daemon=True
        ).start()

    def stop(self) -> None:
        """Close the listener and cut every connection."""
        self._stopping.set()
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if stopping.is_set():
                    connection.close()
                    return
                self._connections.add(connection)
                self.accepted += 1
            threading.Thread(target=self._serve, args=(connection, stopping), daemon=True).start()

    def _serve(self, connection: socket.socket, stopping: threading.Event) -> None:
        if self._tls is not None:
            plain = connection
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                plain.close()
                return  # The client does not believe our certificate.
            finally:
                with self._lock:
                    self._connections.discard(plain)
                    if connection is not plain:
                        self._connections.add(connection)
        stream = cast(BinaryIO, connection.makefile("rb", buffering=65536))
        try:
            while (request := _read(stream)) is not None:
                response = self._handler(request)
                if response is None or stopping.is_set():
                    return
                if response.drip is None:
                    connection.sendall(response.encode())
                else:
                    for byte in response.encode():
                        connection.sendall(bytes([byte]))
                        if stopping.wait(response.drip):
                            return
                if request.headers.get("connection", "").lower() == "close":
                    return
        except OSError:
            return  # The client went away, or stop() cut the line.
        finally:
            with self._lock:
                self._connections.discard(connection)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            stream.close()
            connection.close()


def _read(stream: BinaryIO) -> Request | None:
    line = stream.readline(MAX_LINE)
    arrived = time.monotonic()
    parts = line.decode("latin-1").split()
    if len(parts) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := stream.readline(MAX_LINE)) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    body = stream.read(length) if length else b""
    if len(body) < length:
        return None
    return Request(arrived, parts[0], parts[1], headers, body)
