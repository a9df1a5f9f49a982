"""A TCP connection that can be cut: a small proxy in front of one server."""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import struct
import threading
from dataclasses import dataclass, field
from types import TracebackType

from coordinator.store.embedded import free_port

_CHUNK = 65536
_WAIT = 1.0


class Way(enum.Enum):
    """What a line does.

    ``OPEN``     it carries
    ``CUT``      nobody listens, and every connection is reset
    ``SILENT``   connections stay and are taken, and carry nothing
    ``MUTE``     what the client says does not arrive; it would hear the server
    ``DEAF``     what the client says arrives; it hears no answer
    """

    OPEN = "open"
    CUT = "cut"
    SILENT = "silent"
    MUTE = "mute"
    DEAF = "deaf"

    @property
    def carries_questions(self) -> bool:
        return self in (Way.OPEN, Way.DEAF)

    @property
    def carries_answers(self) -> bool:
        return self in (Way.OPEN, Way.MUTE)


@dataclass(eq=False)
class _Connection:
    """:ivar lost: something that was said has not been carried: it cannot go on when the line is open again."""

    client: socket.socket
    server: socket.socket
    lost: bool = False
    ended: set[int] = field(default_factory=set)


class Line:
    """Listens on a port of 127.0.0.1 of its own. Use as a context manager.

    What was said while the line did not carry is lost, with its connection: when the line is open again, such
    connections are reset, as by a firewall that has forgotten them.

    :param target: the port of 127.0.0.1 that it leads to.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._way = Way.OPEN
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._listener: socket.socket | None = None
        self.port = free_port()  # none of the kernel's choice: while the line is cut, it would give it to a connection
        self._listen()
        self._thread = threading.Thread(target=self._carry, name=f"line to {target}", daemon=True)
        self._thread.start()

    @property
    def way(self) -> Way:
        return self._way

    def set(self, way: Way) -> None:
        """From now on it does this."""
        with self._lock:
            before, self._way = self._way, way
            if way is Way.CUT and before is not Way.CUT:
                assert self._listener is not None
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
                for connection in list(self._connections):
                    self._reset(connection)
            elif way is not Way.CUT and self._listener is None:
                self._listen()
            if way is Way.OPEN:
                for connection in list(self._connections):
                    if connection.lost:
                        self._reset(connection)
        self._wake.send(b".")

    def close(self) -> None:
        self._stopping = True
        self._wake.send(b".")
        self._thread.join(10)
        with self._lock:
            for connection in list(self._connections):
                self._reset(connection)
            if self._listener is not None:
                self._listener.close()
        self._selector.close()
        self._woken.close()
        self._wake.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, None)

    def _carry(self) -> None:
        while not self._stopping:
            try:
                ready = self._selector.select(_WAIT)
            except OSError:  # a socket was closed by set() meanwhile; the next round knows
                continue
            with self._lock:
                for key, _ in ready:
                    if key.fileobj is self._woken:
                        with contextlib.suppress(BlockingIOError):
                            self._woken.recv(_CHUNK)
                    elif key.fileobj is self._listener:
                        self._accept()
                    elif key.data in self._connections:
                        self._forward(key.data, key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=2)
        except OSError:
            _reset(client)
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(5)
        connection = _Connection(client, server)
        self._connections.add(connection)
        self._selector.register(client, selectors.EVENT_READ, connection)
        self._selector.register(server, selectors.EVENT_READ, connection)

    def _forward(self, connection: _Connection, source: socket.socket) -> None:
        asks = source is connection.client
        carries = self._way.carries_questions if asks else self._way.carries_answers
        destination = connection.server if asks else connection.client
        try:
            said = source.recv(_CHUNK)
        except OSError:
            self._reset(connection)
            return
        if not carries:
            connection.lost = True
            if not said:
                self._close(connection, source, destination)
            return
        try:
            if said:
                destination.sendall(said)
            else:
                self._close(connection, source, destination)
        except OSError:
            self._reset(connection)

    def _close(self, connection: _Connection, source: socket.socket, destination: socket.socket) -> None:
        """One side has ended its half."""
        connection.ended.add(source.fileno())
        self._selector.unregister(source)
        if len(connection.ended) == 2 or connection.lost:
            self._reset(connection)
        else:
            with contextlib.suppress(OSError):
                destination.shutdown(socket.SHUT_WR)

    def _reset(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        for one in (connection.client, connection.server):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(one)
            _reset(one)


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
