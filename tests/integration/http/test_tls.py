"""TLS: nothing without it, certificates rotated under the listener, and clients that must show one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.config.http import HttpSettings
from coordinator.controller import http_tls
from coordinator.errors import ConfigurationError
from tests.certificates import Authority, Pair
from tests.integration.http.conftest import Client, Serve
from tests.tls_etcd import replace

pytestmark = pytest.mark.promise("http")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def believing(authority: Authority, own: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.cert))
    if own is not None:
        context.load_cert_chain(own.cert, own.key)
    return context


def serial_of(client: Client) -> str:
    with client.connect() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        shown = connection.getpeercert()
        assert shown
        return str(shown["serialNumber"])


def test_it_answers_over_tls_and_not_without(serve: Serve, authority: Authority) -> None:
    pair = authority.issue("server")
    client = serve(cert=pair.cert, key=pair.key, context=believing(authority))
    assert client.ask("/healthz").said == (200, "alive\n")
    with contextlib.suppress(ConnectionResetError):
        assert Client(client.port).ask("/healthz").status == 0
    assert client.ask("/healthz").status == 200


def test_old_versions_are_refused(serve: Serve, authority: Authority) -> None:
    pair = authority.issue("server")
    context = believing(authority)
    client = serve(cert=pair.cert, key=pair.key, context=context)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)version|alert|reset"):
        client.connect()


@pytest.mark.promise("rotation")
def test_certificates_are_rotated_under_it(serve: Serve, authority: Authority, logged: list[Any]) -> None:
    pair = authority.issue("server")
    client = serve(cert=pair.cert, key=pair.key, context=believing(authority))
    first = serial_of(client)
    old_cert = pair.cert.read_bytes()
    assert authority.issue("server") == pair, "the same files, written again"
    second = serial_of(client)
    assert second != first
    assert client.ask("/healthz").status == 200
    # One of two is written yet.
    pair.cert.write_bytes(old_cert)
    assert serial_of(client) == serial_of(client) == second
    pair.cert.unlink()
    assert serial_of(client) == second
    authority.issue("server")
    assert serial_of(client) not in (first, second)
    events = [line["event"] for line in logged]
    assert events.count("http.certificate_unreadable") == 2, "once for each state of the files"


@pytest.mark.promise("http")
def test_the_files_are_read_when_they_change_and_not_for_each_connection(
    serve: Serve, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, own, read, reads = authority.issue("server"), authority.issue("scraper"), http_tls.tls_context, 0

    def counted(settings: HttpSettings) -> ssl.SSLContext | None:
        nonlocal reads
        reads += 1
        return read(settings)

    client = serve(cert=pair.cert, key=pair.key, client_ca=authority.cert, context=believing(authority, own))
    monkeypatch.setattr(http_tls, "tls_context", counted)
    for _ in range(5):
        assert client.ask("/healthz").status == 200
    assert reads == 1
    replace(authority.cert, authority.cert.read_bytes())
    for _ in range(5):
        assert client.ask("/healthz").status == 200
    assert reads == 2


def test_who_has_no_certificate_of_the_authority_does_not_connect(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    pair, own = authority.issue("server"), authority.issue("scraper")
    other = Authority(tmp_path, "other").issue("unknown")
    client = serve(cert=pair.cert, key=pair.key, client_ca=authority.cert, context=believing(authority, own))
    assert client.ask("/metrics").status == 200
    for client_pair in (None, other):
        # With TLS 1.3 a client learns with its first read that it is not welcome.
        with contextlib.suppress(OSError):
            assert Client(client.port, believing(authority, client_pair)).ask("/metrics").status == 0
    assert client.ask("/metrics").status == 200


@pytest.mark.promise("rotation")
def test_the_authority_of_its_clients_is_rotated_under_it(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    pair, believed = authority.issue("server"), tmp_path / "client-ca.pem"
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    of_the_old, of_the_new = old.issue("scraper"), new.issue("next-scraper")
    replace(believed, old.cert.read_bytes())
    client = serve(cert=pair.cert, key=pair.key, client_ca=believed, context=believing(authority, of_the_old))

    def gets_in(own: Pair) -> bool:
        # With TLS 1.3 a client learns with its first read that it is not welcome.
        try:
            return Client(client.port, believing(authority, own)).ask("/healthz").status == 200
        except (ssl.SSLError, ConnectionError):
            return False

    assert (gets_in(of_the_old), gets_in(of_the_new)) == (True, False), "before"
    replace(believed, old.cert.read_bytes() + new.cert.read_bytes())
    assert (gets_in(of_the_old), gets_in(of_the_new)) == (True, True), "in the overlap"
    replace(believed, new.cert.read_bytes())
    assert (gets_in(of_the_old), gets_in(of_the_new)) == (False, True), "after"


def test_a_handshake_is_not_waited_for_without_end(serve: Serve, authority: Authority) -> None:
    pair = authority.issue("server")
    client = serve(cert=pair.cert, key=pair.key, context=believing(authority), bounds={"within": 1.0})
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01")
        assert client.ask("/healthz").status == 200, "others are answered meanwhile"
        assert time.monotonic() - began < 0.9
        assert connection.recv(1) == b""
    assert time.monotonic() - began < 5
    assert client.ask("/healthz").status == 200


def test_too_many_that_only_shake_hands_are_cut(serve: Serve, authority: Authority) -> None:
    pair = authority.issue("server")
    bounds = {"within": 60.0, "most_connections": 4}
    client = serve(cert=pair.cert, key=pair.key, context=believing(authority), bounds=bounds)
    with contextlib.ExitStack() as held:
        connections = [
            held.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=10)) for _ in range(20)
        ]
        for connection in connections:
            connection.sendall(b"\x16")
        assert client.ask("/healthz").status == 200
        with contextlib.suppress(ConnectionResetError):  # cut before the server had read what was sent
            assert connections[0].recv(1) == b""


@pytest.mark.parametrize("what", ["no cert", "no key", "another key", "no PEM", "a password", "no client_ca"])
def test_files_that_cannot_be_used_are_refused_at_the_start(
    serve: Serve, authority: Authority, tmp_path: Path, what: str
) -> None:
    pair = authority.issue("server", password=b"hunter2" if what == "a password" else None)
    settings = {"cert": pair.cert, "key": pair.key}
    if what == "another key":
        settings["key"] = authority.issue("other").key
    elif what == "no PEM":
        pair.key.write_text("correct-horse")
    elif what == "no client_ca":
        settings["client_ca"] = tmp_path / "nowhere"
    elif what.startswith("no "):
        settings[what.removeprefix("no ")].unlink()
    with pytest.raises(ConfigurationError, match="http: ") as caught:
        serve(**settings)
    assert "correct-horse" not in str(caught.value)
