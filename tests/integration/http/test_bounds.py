"""Who sends too much, too slowly, or nothing that is HTTP gets an error or nothing, and keeps nobody else out."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.config.http import HttpSettings
from coordinator.controller.http_app import application
from coordinator.controller.http_head import MOST_BYTES, MOST_LINES
from coordinator.controller.http_server import HttpServer
from coordinator.controller.service import Liveness
from coordinator.errors import ConfigurationError
from coordinator.model.bounds import MIB
from tests.integration.http.conftest import LIVENESS, Client, Reply, Serve, read_reply


@pytest.mark.promise("http")
@pytest.mark.parametrize("begun", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nCookie: "])
def test_who_is_too_slow_is_not_waited_for(serve: Serve, begun: bytes) -> None:
    """Byte by byte, so that no single wait is long."""
    client = serve(bounds={"within": 1.0})
    began = time.monotonic()
    with client.connect() as connection:
        connection.sendall(begun)
        assert client.ask("/healthz").status == 200, "others are answered meanwhile"
        assert time.monotonic() - began < 0.9
        assert _drips_until_cut(connection)
    assert 0.8 < time.monotonic() - began < 5


def _drips_until_cut(connection: socket.socket) -> bool:
    connection.settimeout(0.1)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            connection.sendall(b"x")
            if connection.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


@pytest.mark.promise("http")
def test_who_holds_connections_keeps_nobody_out_and_the_longest_held_goes_first(serve: Serve) -> None:
    client = serve(bounds={"most_connections": 4, "within": 60.0})
    held = [client.connect() for _ in range(4)]
    try:
        assert client.ask("/healthz").status == 200
        assert held[0].recv(1) == b"", "the longest held one is closed"
        held[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert read_reply(held[-1]).status == 200, "the newest one is not"
    finally:
        for connection in held:
            connection.close()


def test_a_flood_never_has_more_threads_than_connections_are_allowed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(bounds={"most_connections": 8, "within": 60.0})
    before, start, most = threading.active_count(), threading.Thread.start, 0

    def counted(thread: threading.Thread) -> None:
        nonlocal most
        start(thread)
        most = max(most, threading.active_count() - before)

    monkeypatch.setattr(threading.Thread, "start", counted)
    held = [client.connect() for _ in range(200)]
    try:
        assert client.ask("/healthz").status == 200
        assert most == 8
    finally:
        for connection in held:
            connection.close()
    _until(lambda: threading.active_count() <= before)
    assert client.ask("/healthz").status == 200


@pytest.mark.promise("http")
def test_a_machine_without_threads_delays_it_and_does_not_end_it(
    serve: Serve, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, start, refused = serve(), threading.Thread.start, threading.Event()

    def no_more(thread: threading.Thread) -> None:
        if "process_request_thread" in thread.name and not refused.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with client.connect() as connection:
        assert connection.recv(1) == b""
    assert client.ask("/healthz").status == 200
    assert [line["event"] for line in logged] == ["http.not_answered"]


def test_it_ends_with_all_its_threads_though_somebody_holds_a_connection() -> None:
    before = set(threading.enumerate())
    listening = HttpSettings(listen="127.0.0.1:0")
    with HttpServer(listening, application(lambda: LIVENESS, lambda: 1.0), within=60.0) as server:
        held = Client(server.port).connect()
        _until(lambda: len(set(threading.enumerate()) - before) == 2)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert set(threading.enumerate()) <= before
    assert held.recv(1) == b""
    held.close()


@pytest.fixture
def computing() -> Iterator[tuple[Callable[[], Liveness], threading.Semaphore]]:
    """What takes long to say whether the watcher works, and how often it was asked. It ends with the test."""
    over, asked = threading.Event(), threading.Semaphore(0)

    def slow() -> Liveness:
        asked.release()
        over.wait(60)
        return LIVENESS

    yield slow, asked
    over.set()


@pytest.mark.promise("http")
def test_threads_that_compute_after_their_connections_were_cut_keep_their_places(
    serve: Serve, computing: tuple[Callable[[], Liveness], threading.Semaphore]
) -> None:
    slow, asked = computing
    client = serve(liveness=slow, bounds={"most_connections": 3, "within": 60.0})
    before = threading.active_count()
    held = [client.connect() for _ in range(3)]
    for connection in held:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert asked.acquire(timeout=10)
    for _ in range(4):
        assert client.ask("/healthz").status == 0, "there is no place"
        assert threading.active_count() == before + 3
    for connection in held:
        connection.close()


@pytest.mark.promise("http")
def test_it_ends_within_seconds_though_a_thread_computes(
    computing: tuple[Callable[[], Liveness], threading.Semaphore], logged: list[Any]
) -> None:
    slow, asked = computing
    with HttpServer(HttpSettings(listen="127.0.0.1:0"), application(slow, lambda: 1.0)) as server:
        held = Client(server.port).connect()
        held.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert asked.acquire(timeout=10)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert [(line["event"], line["threads"]) for line in logged] == [("http.threads_left", 1)]
    held.close()


LONE_RETURNS = b"GET /healthz HTTP/1.1\r\n" + (b"a:\r" * 16000 + b"\n") * 7 + b"\r\n"
"""100,000 headers for a parser that ends a line at a carriage return; 8 lines for one that does not."""


@pytest.mark.promise("http")
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (LONE_RETURNS, 431),
        (b"GET /healthz HTTP/1.1\r\na:\ra:\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * MOST_BYTES + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * MOST_BYTES + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\n" + b"a:\n" * MOST_LINES + b"\n", 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"a:b\r\n" * (MOST_LINES - 2) + b"\r\n", 200),
        (b"GET /healthz HTTP/1.1\nHost: x\n\n", 200),
    ],
    ids=["lone returns", "one lone return", "a long line", "a long path", "many lines", "lines enough", "line feeds"],
)
def test_a_head_is_bounded_before_anything_parses_it(serve: Serve, head: bytes, status: int) -> None:
    client = serve()
    client.ask("/healthz")  # what is imported with the first request is not to be counted
    began = time.thread_time(), time.process_time()
    tracemalloc.start()
    try:
        answer = _send_all(client, head)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status == status
    assert peak < MIB
    assert (time.process_time() - began[1]) - (time.thread_time() - began[0]) < 0.5, "seconds of other threads"


def _send_all(client: Client, head: bytes) -> Reply:
    """What is answered to a request that need not be read to its end."""
    with client.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head)
        return read_reply(connection)


def test_an_address_that_is_taken_is_a_clear_error(serve: Serve) -> None:
    taken = serve().port
    with pytest.raises(ConfigurationError, match=f"http.listen: cannot listen on '127.0.0.1:{taken}'.*'ss -ltnp'"):
        serve(listen=f"127.0.0.1:{taken}")
    with pytest.raises(ConfigurationError, match=r"http.listen: cannot listen"):
        serve(listen="no-such-host.invalid:1")


def test_over_ipv6_too(serve: Serve) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError as error:
            pytest.skip(f"this machine has no ::1, and IPv6 is not tested: {error}")
    client = serve(listen="[::1]:0")
    with socket.create_connection(("::1", client.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: [::1]:8600\r\n\r\n")
        assert read_reply(connection).status == 200


def test_a_second_request_on_a_connection_is_not_answered(serve: Serve) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    assert serve().send(one + one).content == b"alive\n"


@pytest.fixture
def client(serve: Serve) -> Client:
    return serve()


PIECES = st.sampled_from(
    [b"GET", b"POST", b" ", b"/healthz", b"/metrics", b"HTTP/1.1", b"\r\n", b"\n", b":", b"Host", b"Content-Length"]
)


@pytest.mark.promise("http")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(PIECES | st.binary(max_size=20), max_size=40).map(b"".join))
def test_no_bytes_upset_it(client: Client, data: bytes) -> None:
    with client.connect() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert client.ask("/healthz").status == 200


def _until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_listening_asks_no_name_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is silent would delay the start of the watcher."""
    asked: list[str] = []
    monkeypatch.setattr(socket, "gethostbyaddr", asked.append)
    with HttpServer(HttpSettings(listen="127.0.0.1:0"), application(lambda: LIVENESS, lambda: 1.0)):
        assert asked == []
