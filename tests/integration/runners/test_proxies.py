"""Through a proxy of the environment variables, as ``requests`` and curl know them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from coordinator.runners.port import EnvironmentUnavailable, Happened
from coordinator.runners.testing import create
from tests.integration.runners.conftest import MakeRunner
from tests.standin.airflow import StandInAirflow

Proxy = tuple[str, list[tuple[str, str, str | None]]]
"""Its address, and what it was asked for: method, address, Proxy-Authorization."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, str | None]]

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.seen.append((self.command, self.path, self.headers["Proxy-Authorization"]))
        target = urlsplit(self.path)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
        with contextlib.closing(connection):
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name: value for name, value in self.headers.items() if not name.startswith("Proxy-")}
            connection.request(self.command, target.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self) -> None:
        self.seen.append((self.command, self.path, self.headers["Proxy-Authorization"]))
        self.send_error(403)

    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Its address with a user and a password, and what it was asked for. It lets nobody through to TLS."""
    seen: list[tuple[str, str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"seen": seen}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://somebody:secret@127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()
    thread.join(10)


LOGIN = "Basic " + base64.b64encode(b"somebody:secret").decode()


def test_requests_go_through_the_proxy_of_the_environment_variables(
    make_runner: MakeRunner,
    airflow: StandInAirflow,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, seen = proxy
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.setenv("no_proxy", "elsewhere")
    assert isinstance(make_runner(airflow.base_url).start(create("slow")), Happened)
    dag = f"{airflow.base_url}/api/v2/dags/slow"
    assert seen == [
        ("POST", f"{airflow.base_url}/auth/token", LOGIN),
        ("GET", dag, LOGIN),
        ("POST", f"{dag}/dagRuns", LOGIN),
    ]


def test_who_is_not_to_be_asked_through_a_proxy_is_not(
    make_runner: MakeRunner,
    airflow: StandInAirflow,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, seen = proxy
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert isinstance(make_runner(airflow.base_url).start(create("slow")), Happened)
    assert seen == []


def test_a_proxy_that_lets_nobody_through_is_no_answer_and_its_password_is_not_told(
    make_runner: MakeRunner,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, seen = proxy
    monkeypatch.setenv("https_proxy", address)
    monkeypatch.setenv("no_proxy", "elsewhere")
    with pytest.raises(EnvironmentUnavailable) as raised:
        make_runner("https://127.0.0.1:1").start(create("slow"))
    assert seen == [("CONNECT", "127.0.0.1:1", LOGIN)]
    assert "403" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "reason"), [("ftp://127.0.0.1:1", "unsupported scheme ftp"), ("http://[::1", "Failed to parse: '[::1'")]
)
def test_an_address_that_is_none_of_a_proxy_is_what_keeps_requests_from_being_answered(
    make_runner: MakeRunner, address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.setenv("no_proxy", "elsewhere")
    with pytest.raises(EnvironmentUnavailable, match=re.escape(reason)):
        make_runner("http://127.0.0.1:1").start(create("slow"))
