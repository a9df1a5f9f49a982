"""Strangers learn a word, readers the details, and nothing changes without the token."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.config.settings import HttpSettings
from coordinator.controller.http.rights import Doorkeeper
from coordinator.errors import ConfigurationError
from tests.integration.http.conftest import HEALTH, TOKEN, Serve

METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")
PATHS = ("/", "/healthz", "/readyz", "/change", "/read", "/nowhere")
RIGHT = f"Bearer {TOKEN}"
WRONG = [f"Bearer {wrong}" for wrong in ("wrong-horse-battery-staple", f"{TOKEN}x", TOKEN[:-1], "", "\xff\xfe")]
WRONG += [TOKEN, "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN} {TOKEN}", ""]
NOT_THIS_MACHINE: tuple[dict[str, str], ...] = (
    {"Host": "evil.example"},
    {"Host": "evil.example:8600"},
    {"Host": "localhost.evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": ""},
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-Real-IP": "127.0.0.1"},
    {"Via": "1.1 proxy"},
)


def test_this_machine_sees_the_details_while_there_is_no_token(serve: Serve) -> None:
    client = serve().client
    for host in (f"127.0.0.1:{client.port}", "localhost", "LOCALHOST:1", "[::1]:8600", "127.0.0.1", "10.0.0.1:80"):
        reply = client.ask("/readyz?verbose", Host=host)
        assert (reply.status, reply.body["status"]) == (200, "ready")
        assert reply.body["problems"] == HEALTH.problems
        assert reply.body["watcher"] == "w-1"
    assert client.send(b"GET /healthz HTTP/1.0\r\n\r\n").body["watcher"] == "w-1"


@pytest.mark.parametrize("headers", NOT_THIS_MACHINE, ids=str)
def test_a_page_or_a_proxy_on_this_machine_learns_a_word(serve: Serve, headers: dict[str, str]) -> None:
    """A name that has been rebound to 127.0.0.1 is still in Host."""
    served = serve()
    assert served.client.ask("/healthz", **headers).body == {"status": "turning"}
    assert served.client.ask("/readyz", **headers).body == {"status": "ready"}
    assert served.client.ask("/read", **headers).status == 403
    assert served.client.ask("/read").status == 200
    assert len(served.reached) == 1


@pytest.mark.parametrize("peer", ["10.0.0.9", "192.168.1.1", "::ffff:10.0.0.9", "fe80::1%eth0", "2001:db8::1"])
def test_another_machine_sees_no_details(serve: Serve, peer: str) -> None:
    served = serve()
    served.client.ask("/read")
    request = served.reached[0]
    doorkeeper = Doorkeeper(HttpSettings(listen="0.0.0.0:0"))
    assert not doorkeeper.rights(request, peer=peer, has_certificate=False).details
    for here in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert doorkeeper.rights(request, peer=here, has_certificate=False).details


def test_with_a_token_only_the_token_shows_the_details(serve: Serve, token_file: Path) -> None:
    served = serve(token_file=token_file)
    ask = served.client.ask
    for headers in ({}, *({"Authorization": wrong} for wrong in WRONG)):
        assert ask("/healthz", **headers).body == {"status": "turning"}
        reply = ask("/read", **headers)
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="coordinator"')
    assert served.reached == []
    for host in ("127.0.0.1", "watcher.example"):
        assert ask("/healthz", Authorization=RIGHT, Host=host).body["watcher"] == "w-1"
        assert ask("/read", Authorization=f"bearer  {TOKEN}", Host=host).status == 200


def test_a_stranger_learns_what_a_load_balancer_needs(serve: Serve) -> None:
    now: list[Any] = []
    client = serve(health=lambda: now[0]).client
    for health, alive, ready in (
        (HEALTH, (200, "turning"), (200, "ready")),
        (replace(HEALTH, connected=False), (200, "turning"), (503, "not ready")),
        (replace(HEALTH, stepped_at=-30.0), (503, "stalled"), (503, "stalled")),
    ):
        now[:] = [health]
        for path, (status, word) in {"/healthz": alive, "/readyz": ready}.items():
            reply = client.ask(path, Host="x")
            assert (reply.status, reply.body) == (status, {"status": word})
            head = client.ask(path, "HEAD")
            assert (head.status, head.content) == (status, b"")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_nothing_but_reading_is_possible_without_the_token(
    serve: Serve, token_file: Path, method: str, path: str
) -> None:
    without, guarded = serve(), serve(token_file=token_file)
    assert without.client.ask(path, method, b"x").status == 403
    assert without.client.ask(path, method, Authorization="Bearer ").status == 403
    for headers in ({}, *({"Authorization": wrong} for wrong in WRONG)):
        assert guarded.client.ask(path, method, b"x", **headers).status == 401
    assert without.reached == guarded.reached == []
    reply = guarded.client.ask(path, method, b"x", Authorization=RIGHT)
    if (path, method) == ("/change", "POST"):
        assert (reply.status, reply.body) == (200, {"body": "x"})
    elif path in ("/", "/nowhere"):
        assert reply.status == 404
    else:
        assert (reply.status, reply.headers["Allow"]) == (405, "POST" if path == "/change" else "GET, HEAD")


def test_reading_does_not_change_anything(serve: Serve, token_file: Path) -> None:
    served = serve(token_file=token_file)
    for method in ("GET", "HEAD"):
        assert served.client.ask("/change", method).status == 405
        assert served.client.ask("/change", method, Authorization=RIGHT).status == 405
    assert served.reached == []


@pytest.mark.parametrize("path", ["/", "/metrics/x", "/healthz/", "/readyzz", "//healthz", "/%68ealthz", "/healthz%00"])
def test_an_unknown_path_says_what_there_is_and_does_not_repeat_it(serve: Serve, path: str) -> None:
    reply = serve().client.ask(path)
    assert (reply.status, reply.body) == (404, {"error": "not here; there are /healthz and /readyz"})


@pytest.mark.parametrize("token", ["", "tiny", "fifteen letters", "with a blank in it all", "ünïcödé-ünïcödé-ünïcödé"])
def test_a_token_that_can_be_guessed_or_sent_by_nobody_is_refused_at_the_start(
    serve: Serve, token_file: Path, token: str
) -> None:
    token_file.write_text(token)
    with pytest.raises(ConfigurationError, match="http: ") as caught:
        serve(token_file=token_file)
    assert not token or token not in str(caught.value)


def test_a_token_that_is_not_there_is_refused_at_the_start(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="http: the credential file"):
        serve(token_file=tmp_path / "nowhere")


def test_a_token_that_is_replaced_counts_at_once_and_the_old_one_no_more(
    serve: Serve, token_file: Path, logged: list[Any]
) -> None:
    client = serve(token_file=token_file).client
    new = "another-horse-battery-staple"
    assert client.ask("/read", Authorization=RIGHT).status == 200
    token_file.write_text(new)
    assert client.ask("/read", Authorization=RIGHT).status == 401
    assert client.ask("/read", Authorization=f"Bearer {new}").status == 200
    token_file.unlink()
    assert client.ask("/read", Authorization=f"Bearer {new}").status == 401, "nobody has it"
    assert [line["event"] for line in logged] == ["http.refused", "http.token_unreadable"]


def test_a_token_command_that_fails_keeps_nobody_from_starting_and_lets_nobody_in(
    serve: Serve, tmp_path: Path, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vault"
    code = f"import sys; sys.stdout.write(open({str(file)!r}).read())"
    client = serve(token_command=[sys.executable, "-c", code]).client
    assert [line["event"] for line in logged] == ["http.token_unreadable"]
    assert client.ask("/healthz").status == 200
    assert client.ask("/read", Authorization=RIGHT).status == 401
    assert [line["event"] for line in logged] == ["http.token_unreadable"], "whether it was the right one is not known"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setattr("coordinator.config.credentials.AGAIN_AFTER", 0.0)
    assert client.ask("/read", Authorization=RIGHT).status == 200


def test_strangers_do_not_fill_the_log(serve: Serve, token_file: Path, logged: list[Any]) -> None:
    client = serve(token_file=token_file).client
    for _ in range(20):
        client.ask("/read", Authorization="Bearer of-a-stranger-who-tries")
    assert [(line["event"], line["peer"]) for line in logged] == [("http.refused", "127.0.0.1")]
    assert "of-a-stranger" not in str(logged)
