"""A request that has failed is gone at once, without the garbage collector, as a call of the store's is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import EnvironmentUnavailable
from coordinator.store.embedded import free_port
from tests.alive import alive, no_collections

Answer = Callable[[socket.socket], object]


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """The port of one that does this to every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, answer), daemon=True).start()
        yield listening.getsockname()[1]


def _serve(listening: socket.socket, answer: Answer) -> None:
    with suppress(OSError):  # the listener is closed at the end
        while True:
            connection, _ = listening.accept()
            with connection:
                answer(connection)


def _after_reading(content: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(content)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="refused"),
        pytest.param(lambda _: None, id="closed"),
        pytest.param(lambda connection: connection.recv(65536) and connection.recv(1), id="silent"),
        pytest.param(_after_reading(b"rubbish\r\n\r\n"), id="rubbish"),
        pytest.param(_after_reading(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"), id="cut"),
        pytest.param(_after_reading(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx"), id="no chunk"),
    ],
)
def test_by_a_request_that_failed(answer: Answer | None) -> None:
    if answer is None:
        check(free_port())
        return
    with server(answer) as port:
        check(port)


def check(port: int) -> None:
    client = AirflowClient("x", AirflowSettings(url=f"http://127.0.0.1:{port}"))
    with no_collections():
        before = alive(Exception, Deadline)
        for _ in range(3):
            failed = False
            try:
                client.get_public("/version", deadline=Deadline(0.3))
            except EnvironmentUnavailable:
                failed = True
            assert failed
        assert alive(Exception, Deadline) - before == {}
    client.close()


def test_by_an_address_that_refuses_before_another_one_takes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda connection: connection.recv(65536)) as port:
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in (free_port(), port)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        check(port)


def test_what_was_being_handled_keeps_its_frames() -> None:
    """A defect on its way up is not robbed of its traceback by a request that fails while it is handled."""
    client = AirflowClient("x", AirflowSettings(url=f"http://127.0.0.1:{free_port()}"))

    def defect() -> None:
        raise KeyError("the defect")

    def clean_up() -> None:
        with suppress(EnvironmentUnavailable):
            client.get_public("/version", deadline=Deadline(0.3))

    def program() -> None:
        try:
            defect()
        finally:
            clean_up()

    with pytest.raises(KeyError) as found:
        program()
    assert [frame.name for frame in found.traceback][-1] == "defect"
    client.close()


def test_no_connection_of_a_client_that_was_closed_though_its_thread_lives_on() -> None:
    closed = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        if not connection.recv(1):
            closed.set()

    with server(answer) as port:
        client = AirflowClient("x", AirflowSettings(url=f"http://127.0.0.1:{port}"))
        assert client.get_public("/version", deadline=Deadline(5)).status == 200
        assert not closed.is_set()
        client.close()
        assert closed.wait(5)
