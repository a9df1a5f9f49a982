"""The port of the demo's Airflow cannot be taken between when it is chosen and when Airflow listens on it."""

from __future__ import annotations

import errno
import socket
import sys

import pytest

from examples.demo.airflow import hold_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the port is held on Linux only")


def test_nobody_else_gets_a_held_port_and_a_server_can_listen_on_it() -> None:
    with hold_port() as held, socket.socket() as other, socket.socket() as server:
        with pytest.raises(OSError, match=r"in use") as refused:
            other.bind(held.getsockname())
        assert refused.value.errno == errno.EADDRINUSE
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(held.getsockname())
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio and uvloop do
        server.bind(held.getsockname())
        server.listen()
        socket.create_connection(held.getsockname()).close()
