"""Tokens of Google: google-auth itself, with a service account's file, against a server that gives tokens as Google's
(https://developers.google.com/identity/protocols/oauth2/service-account)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from coordinator.runners.port import NotSent, RequestRefused
from coordinator.runners.testing import create, happened
from tests.integration.datafusion.conftest import MakeRunner
from tests.standin.cdap import StandInCdap
from tests.standin.http11 import Request, Response, Server


class TokenServer:
    """Gives the tokens that the stand-in expects. :ivar given: how many. :ivar status: of its answers."""

    def __init__(self, cdap: StandInCdap) -> None:
        self.cdap = cdap
        self.given = 0
        self.status = 200
        self._server = Server(self._give)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.port}/token"
        self.close = self._server.stop

    def _give(self, _: Request) -> Response:
        if self.status != 200:
            return Response(self.status, b'{"error": "invalid_grant"}')
        self.given += 1
        self.cdap.token = f"token-{self.given}"
        body = {"access_token": self.cdap.token, "expires_in": 3600, "token_type": "Bearer"}
        return Response(200, json.dumps(body).encode())


@pytest.fixture
def tokens(cdap: StandInCdap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    server = TokenServer(cdap)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = {
        "type": "service_account",
        "client_email": "watcher@example.iam.gserviceaccount.com",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "token_uri": server.url,
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    cdap.token = "not given yet"
    yield server
    server.close()


def test_a_token_is_used_as_long_as_it_is_good(cdap: StandInCdap, tokens: TokenServer, make_runner: MakeRunner) -> None:
    runner = make_runner(login="google")
    happened(runner.start(create("slow")))
    happened(runner.start(create("slow")))
    assert tokens.given == 1
    cdap.token = "revoked"
    happened(runner.start(create("slow")))
    assert tokens.given == 2
    assert len(cdap.runs_of("slow")) == 3


def test_credentials_that_google_refuses(cdap: StandInCdap, tokens: TokenServer, make_runner: MakeRunner) -> None:
    tokens.status = 400
    with pytest.raises(RequestRefused, match="no token") as refused:
        make_runner(login="google").start(create("slow"))
    assert refused.value.status == 401
    assert make_runner(login="google").check(["slow"]).fault == "login"
    assert not cdap.started


def test_nobody_who_gives_tokens(cdap: StandInCdap, tokens: TokenServer, make_runner: MakeRunner) -> None:
    tokens.close()
    with pytest.raises(NotSent, match="no token"):
        make_runner(login="google", request_timeout=2).start(create("slow"))
    assert not cdap.started
