"""What a browser may do with the page, and by which names it may ask for it."""

from __future__ import annotations

import contextlib
import re
import socket
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

import coordinator.ui
from coordinator.ui.server import MOST_CONNECTIONS
from tests.integration.ui.conftest import EVIL, K, Ui

STATIC = Path(coordinator.ui.__file__).with_name("static")
FILES = sorted(str(one.relative_to(STATIC)) for one in STATIC.rglob("*") if one.is_file())
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "coordinator",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self' http://127.0.0.1:8080 https://team-b.example"
    ),
}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/explain/default/publish",
        f"/explain/default/publish/{K}",
        "/nowhere",
        f"/api/v1/explain/default/publish/{K}",
        "/api/v1/explain/default/unknown",
        "/api/v1/nowhere",
        "/healthz",
        "/static/app.js",
        "/static/nowhere.js",
        "/runs/default/publish/unknown",
    ],
)
def test_every_answer_forbids_what_the_page_does_not_need(ui: Ui, path: str) -> None:
    headers = ui.get(path).headers
    assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_the_page_is_the_same_whatever_is_asked_for(ui: Ui) -> None:
    """No name is ever put into HTML: the page gets names as JSON."""
    evil = quote(EVIL, safe="")
    paths = ("/", f"/explain/{evil}/{evil}/{evil}", f"/explain/{evil}/{evil}", f"/{evil}")
    pages = {ui.get(path).content for path in paths}
    assert pages == {(STATIC / "index.html").read_text().replace("{path}", "").encode()}


def test_the_page_holds_nothing_inline() -> None:
    text = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert re.findall(r"<script[^>]*>([^<]*)</script>", text) == [""]


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith(".js")])
def test_no_script_makes_html_of_text(file: str) -> None:
    of_html = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc"
    assert not re.search(of_html + r"|\beval\b|new Function|\.style\b", (STATIC / file).read_text())


@pytest.mark.parametrize("file", FILES)
def test_no_file_names_another_host(file: str) -> None:
    found = re.findall(r"https?://[^\s\"'`)]+", (STATIC / file).read_text())
    assert set(found) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_served_as_what_it_is(ui: Ui, file: str) -> None:
    answer = ui.get(f"/static/{file}")
    assert answer.status_code == 200
    kinds = {
        "js": "text/javascript",
        "css": "text/css",
        "html": "text/html",
        "svg": "image/svg+xml",
        "txt": "text/plain",
    }
    assert answer.headers["Content-Type"].startswith(kinds[file.rpartition(".")[2]])


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "//etc/passwd"])
def test_nothing_beside_the_files_is_served(ui: Ui, path: str) -> None:
    with socket.create_connection(("127.0.0.1", ui.port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.split(b" ")[1] == b"404"
    assert b"Starlette" not in received


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/api/v1/environments", f"/api/v1/explain/default/publish/{K}"])
def test_it_changes_nothing(ui: Ui, path: str, method: str) -> None:
    answer = requests.request(method, ui.url + path, timeout=30, proxies={"http": ""})
    assert answer.status_code == 405


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80", "10.1.2.3", "coordinator.example:8443"])
def test_it_answers_to_its_own_names(ui: Ui, host: str) -> None:
    assert ui.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "coordinator.example.evil.example", ""])
def test_it_answers_to_no_name_that_somebody_else_has_led_here(ui: Ui, host: str) -> None:
    answer = ui.get(f"/api/v1/explain/default/publish/{K}", headers={"Host": host})
    assert answer.status_code == 421
    assert "ui.url" in answer.json()["error"]["says"]


def test_a_head_without_an_end_is_refused(ui: Ui) -> None:
    sent = 0
    with socket.create_connection(("127.0.0.1", ui.port), timeout=30) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with contextlib.suppress(ConnectionError):
            while sent < 10_000_000:
                sent += connection.send(b"a" * 4096)
    assert sent < 10_000_000
    assert ui.get("/healthz").status_code == 200


def test_who_only_holds_connections_keeps_nobody_out(ui: Ui) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(2 * MOST_CONNECTIONS):
            held.enter_context(socket.create_connection(("127.0.0.1", ui.port), timeout=30))
        assert ui.get("/healthz").status_code == 200


def test_a_slash_too_many_leads_nowhere(ui: Ui) -> None:
    """A redirect would name the host that somebody has asked for."""
    answer = ui.get(f"/explain/default/publish/{K}/x/y/", headers={"Host": "6.6.6.6:99"}, allow_redirects=False)
    assert answer.status_code == 404
    answer = ui.get("/explain/default/publish/", headers={"Host": "6.6.6.6:99"}, allow_redirects=False)
    assert "location" not in {name.lower() for name in answer.headers}


def test_names_that_are_too_long_are_refused(ui: Ui) -> None:
    for path in (f"/api/v1/explain/default/{'a' * 1001}", f"/api/v1/explain/default/publish/{K}?task={'a' * 1001}"):
        assert ui.get(path).status_code == 400
