"""The process: a socket, TLS, signals, and one etcd client."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from coordinator.config.settings import Settings
from coordinator.config.ui import UiSettings
from coordinator.controller.http_tls import tls_context
from coordinator.errors import ConfigurationError
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from coordinator.ui.app import application
from coordinator.ui.live import Live
from coordinator.ui.views import changes

LARGEST_HEAD = 16 * 1024
"""Bytes of the head of a request."""

MOST_CONNECTIONS = 128

IDLE = 30.0
"""Seconds after which a connection is closed on which nothing else was asked. An answer takes less: see
:data:`coordinator.ui.questions.WITHIN`; the stream of :mod:`coordinator.ui.views.changes` ends by itself."""

_END_WITHIN = 2
"""Seconds for answers that are under way when the process is to end."""


def serve(settings: Settings, listening: Callable[[str], object]) -> None:
    """Answer until SIGTERM or SIGINT.

    :param listening: called with the address of the page, once it can be asked for.
    :raises ConfigurationError: the address cannot be listened on, or the certificates cannot be used.
    """
    ui = settings.ui
    tls = tls_context(ui, "ui")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(connect(settings.etcd)))
        listener = stack.enter_context(_listener(ui))
        live = Live(store, Keys(settings.etcd.prefix))
        stack.enter_context(live.following())
        config = uvicorn.Config(
            application(settings, store, live, store.requests),
            http=_Connection,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_graceful_shutdown=_END_WITHIN,
            ws="none",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="critical",  # the application logs its own errors
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # uvicorn ends by them, and raises them once more afterwards
        listening(_address(ui, listener, "http" if tls is None else "https"))
        uvicorn.Server(config).run([listener])


class _Connection(H11Protocol):
    """A connection that is closed when it asks for nothing, the oldest such one first where there are too many: whoever
    only holds connections keeps nobody out."""

    _open: ClassVar[dict[_Connection, None]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self._open) >= MOST_CONNECTIONS:
            next((one for one in self._open if one._is_idle()), self).transport.abort()
        self._open[self] = None
        self.loop.call_later(IDLE, self._close_if_idle, None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.pop(self, None)
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _follows(self) -> bool:
        """Whether its answer is the stream of changes, which ends by itself."""
        return not self._is_idle() and self.cycle.scope["path"].endswith(changes.PATH)

    def _close_if_idle(self, before: object) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is before and not self._follows():
            self.transport.abort()
        else:
            self.loop.call_later(IDLE, self._close_if_idle, self.cycle)


def _listener(ui: UiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in ui.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ui.host, ui.port))
        listener.listen(MOST_CONNECTIONS)
    except (OSError, UnicodeError) as error:
        listener.close()
        raise ConfigurationError(
            f"ui.listen: cannot listen on {ui.listen!r}: {error}; expected a free 'host:port': end the program that "
            "listens there ('ss -ltnp' shows which), or set another address"
        ) from error
    return listener


def _address(ui: UiSettings, listener: socket.socket, scheme: str) -> str:
    host = f"[{ui.host}]" if ":" in ui.host else ui.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}{ui.path}/"
