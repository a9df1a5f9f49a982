"""The HTTP server of a watcher on a free port, and a client that sends whatever it is told to."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from prometheus_client.registry import Collector

from coordinator.config.http import HttpSettings
from coordinator.controller.http_app import application
from coordinator.controller.http_server import HttpServer
from coordinator.controller.service import Liveness

LIVENESS = Liveness(stepped_at=0.0, connected=True)


@dataclass(frozen=True)
class Reply:
    """What came back. ``status`` 0: nothing."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def said(self) -> tuple[int, str]:
        return self.status, self.content.decode()


class Client:
    """Sends to a server. The server's part is bounded, so ten seconds without an answer are a failure."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._context = context

    def connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname="127.0.0.1")
        except OSError:
            plain.close()
            raise

    def send(self, data: bytes) -> Reply:
        with self.connect() as connection:
            connection.sendall(data)
            return read_reply(connection)

    def ask(self, path: str, method: str = "GET", /, **headers: str) -> Reply:
        """``headers``: with ``_`` for ``-``."""
        lines = {"Host": f"127.0.0.1:{self.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return self.send(head.encode() + b"\r\n")


def read_reply(connection: socket.socket) -> Reply:
    """Everything up to the end of the connection."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    if not received:
        return Reply(0, {}, b"")
    head, _, content = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return Reply(int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines), content)


Serve = Callable[..., Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(bounds={}, liveness=..., metrics=..., **settings)``: a server on a free port; ended with the test."""
    with ExitStack() as stack:

        def start(
            *,
            bounds: dict[str, Any] | None = None,
            context: ssl.SSLContext | None = None,
            liveness: Callable[[], Liveness] = lambda: LIVENESS,
            metrics: Collector | None = None,
            **settings: object,
        ) -> Client:
            read = HttpSettings.model_validate({"listen": "127.0.0.1:0", **settings})
            answers = application(liveness, lambda: 1.0, metrics)
            return Client(stack.enter_context(HttpServer(read, answers, **(bounds or {}))).port, context)

        yield start


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """The log lines of the test."""
    with structlog.testing.capture_logs() as lines:
        yield lines
