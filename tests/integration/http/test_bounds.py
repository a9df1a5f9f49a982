"""Who sends too much, too slowly, or nothing that is HTTP gets an error or nothing, and keeps nobody else out."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.config.settings import HttpSettings
from coordinator.controller.http import HttpListener
from coordinator.controller.http.messages import MAX_BODY, MAX_HEAD
from coordinator.controller.service import Health
from coordinator.errors import ConfigurationError
from tests.integration.http.conftest import TOKEN, Client, Reply, Serve, Served, read_reply

RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def guarded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setenv("HTTP_TOKEN", TOKEN)
    return serve(token_env="HTTP_TOKEN", bounds={"within": 2.0})


def test_every_answer_keeps_a_browser_from_doing_anything_with_it(serve: Serve) -> None:
    client = serve().client
    replies = [client.ask("/healthz"), client.ask("/nowhere"), client.ask("/", "POST"), client.send(b"x\r\n\r\n")]
    assert [reply.status for reply in replies] == [200, 404, 403, 400]
    for reply in replies:
        assert reply.headers.keys() == {
            "Content-Type",
            "Content-Length",
            "Connection",
            "Cache-Control",
            "Content-Security-Policy",
            "Cross-Origin-Resource-Policy",
            "Referrer-Policy",
            "X-Content-Type-Options",
        }
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert len(reply.content) == int(reply.headers["Content-Length"])


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET healthz HTTP/1.1\r\n\r\n",
        b"get /healthz HTTP/1.1\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1 \r\n\r\n",
        b"GET /healthz HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://127.0.0.1/healthz HTTP/1.1\r\n\r\n",
        b"GET /health\x00z HTTP/1.1\r\n\r\n",
        b"GET /health\xffz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"POST /change HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    ],
)
def test_what_is_no_request_is_said_to_be_none(serve: Serve, data: bytes) -> None:
    reply = serve().client.send(data)
    assert (reply.status, list(reply.body)) == (400, ["error"])


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * (MAX_HEAD + 4096) + b" HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nCookie: " + b"x" * (MAX_HEAD + 4096) + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n",
        b"x" * 10_000_000,
    ],
    ids=["line", "header", "headers", "no end"],
)
def test_a_head_that_is_too_long_is_refused(serve: Serve, head: bytes) -> None:
    with serve().client.connect() as connection:
        threading.Thread(target=_send, args=(connection, head), daemon=True).start()
        try:
            assert read_reply(connection).status == 431
        except ConnectionResetError:  # more was under way than anybody waits for
            assert len(head) > 1_000_000


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:  # it is refused in the middle
        return


def test_a_body_is_bounded_and_says_how_long_it_is(guarded: Served) -> None:
    ask = guarded.client.ask
    assert ask("/change", "POST", b"x" * MAX_BODY, **RIGHT).status == 200
    assert ask("/change", "POST", b"x" * (MAX_BODY + 1), **RIGHT).status == 413
    assert ask("/change", "POST", **RIGHT, Content_Length="9" * 18).status == 413
    for length in ("-1", "1_0", "0x1", "", "9" * 19, "\xb2"):
        assert ask("/change", "POST", **RIGHT, Content_Length=length).status == 400, length
    assert ask("/change", "POST", **RIGHT, Transfer_Encoding="chunked").status == 411
    assert len(guarded.reached) == 1


def test_a_body_that_nobody_may_send_is_not_waited_for(guarded: Served) -> None:
    reply = guarded.client.ask("/change", "POST", Content_Length=str(MAX_BODY))
    assert reply.status == 401


def test_a_second_request_on_a_connection_is_not_read(serve: Serve) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    reply = serve().client.send(one + one)
    assert len(reply.content) == int(reply.headers["Content-Length"])


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HT", b"POST /change HTTP/1.1\r\nContent-Length: 999\r\n"])
def test_who_is_too_slow_is_not_waited_for(guarded: Served, begun: bytes) -> None:
    """Byte by byte, so that no single wait is long."""
    if begun.startswith(b"POST"):
        begun += f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    began = time.monotonic()
    with guarded.client.connect() as connection:
        connection.sendall(begun)
        assert _drips_until_cut(connection)
    assert 1.5 < time.monotonic() - began < 6
    assert guarded.reached == []


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


def test_who_holds_connections_keeps_nobody_out_and_the_longest_held_goes_first(serve: Serve) -> None:
    served = serve(bounds={"most_connections": 4, "within": 60.0})
    held = [served.client.connect() for _ in range(4)]
    try:
        _until(lambda: len(served.listener._open) == 4)
        for cut in held[:3]:
            assert served.client.ask("/healthz").status == 200
            # One that has answered may still be closing; then nobody had to go for the next.
            del cut
            _until(lambda: len(served.listener._open) < 4)
            held.append(served.client.connect())
            _until(lambda: len(served.listener._open) == 4)
        assert held[0].recv(1) == b"", "the longest held one is closed"
        held[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert read_reply(held[-1]).status == 200, "the newest one is not"
    finally:
        for connection in held:
            connection.close()


def test_a_flood_leaves_few_threads_and_descriptors(serve: Serve) -> None:
    served = serve(bounds={"most_connections": 8, "within": 60.0})
    before = threading.active_count()
    held = [served.client.connect() for _ in range(200)]
    try:
        assert served.client.ask("/healthz").status == 200
        _until(lambda: threading.active_count() - before <= 8)
        assert len(served.listener._open) <= 8
    finally:
        for connection in held:
            connection.close()
    _until(lambda: not served.listener._open)
    assert served.client.ask("/healthz").status == 200


def test_a_machine_without_threads_delays_it_and_does_not_end_it(
    serve: Serve, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, start, refused = serve(), threading.Thread.start, threading.Event()

    def no_more(thread: threading.Thread) -> None:
        if thread.name == "http connection" and not refused.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with served.client.connect() as connection:
        assert connection.recv(1) == b""
    assert served.client.ask("/healthz").status == 200
    assert [line["event"] for line in logged] == ["http.not_accepted"]


def test_it_ends_though_somebody_holds_a_connection() -> None:
    with HttpListener(HttpSettings(listen="127.0.0.1:0"), [], within=60.0) as listener:
        held = Client(listener.port).connect()
        _until(lambda: len(listener._open) == 1)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not listener._open
    assert held.recv(1) == b""
    held.close()


def test_an_address_that_is_taken_is_a_clear_error(serve: Serve) -> None:
    taken = serve().listener.port
    with pytest.raises(ConfigurationError, match=f"http.listen: cannot listen on '127.0.0.1:{taken}'"):
        serve(listen=f"127.0.0.1:{taken}")
    with pytest.raises(ConfigurationError, match=r"http.listen: cannot listen"):
        serve(listen="no-such-host.invalid:1")


def test_a_mistake_of_ours_is_told_to_the_log_and_not_to_who_asks(serve: Serve, logged: list[Any]) -> None:
    def fails() -> Health:
        raise OSError("/secret/path of the watcher")

    reply = serve(health=fails).client.ask("/healthz")
    assert (reply.status, reply.body) == (500, {"error": "a mistake in the coordinator; see its log"})
    assert [(line["event"], line["log_level"], line["exc_info"]) for line in logged] == [("http.defect", "error", True)]


def test_over_ipv6_too(serve: Serve) -> None:
    try:
        served = serve(listen="[::1]:0")
    except ConfigurationError:
        pytest.skip("this machine has no ::1")
    with socket.create_connection(("::1", served.listener.port), timeout=10) as connection:
        connection.sendall(b"GET /read HTTP/1.1\r\nHost: [::1]:8600\r\n\r\n")
        assert read_reply(connection).status == 200


PIECES = st.sampled_from(
    [b"GET", b"POST", b" ", b"/healthz", b"/change", b"HTTP/1.1", b"\r\n", b"\n", b":", b"Host", b"Content-Length"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(PIECES | st.binary(max_size=20), max_size=40).map(b"".join))
def test_no_bytes_upset_it(guarded: Served, data: bytes) -> None:
    with guarded.client.connect() as connection:
        _send(connection, data)
        connection.shutdown(socket.SHUT_WR)
        reply: Reply = read_reply(connection)
    assert reply.status in (0, 200, 400, 401, 404, 405, 431)
    assert guarded.reached == []


def _until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
