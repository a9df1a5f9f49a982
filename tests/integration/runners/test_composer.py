"""Cloud Composer: google-auth itself, with a service account's file, against a server that gives tokens as Google's
(https://developers.google.com/identity/protocols/oauth2/service-account). The Airflow is the stand-in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from coordinator.config.airflow import AirflowSettings
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import EnvironmentUnavailable, Happened, RequestRefused
from coordinator.runners.testing import create, some_date
from tests.standin.airflow import StandInAirflow


class TokenServer:
    """Gives tokens of the stand-in. :ivar status: of its next answers."""

    def __init__(self, airflow: StandInAirflow) -> None:
        self.airflow = airflow
        self.status = 200
        self.given: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                body: dict[str, object] = {"error": "invalid_grant", "error_description": "no such account"}
                if server.status == 200:
                    token = airflow.logins.token(airflow.username, airflow.password)
                    assert token is not None
                    server.given.append(token)
                    body = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
                text = json.dumps(body).encode()
                self.send_response(server.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def tokens(airflow: StandInAirflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    server = TokenServer(airflow)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = tmp_path / "account.json"
    account.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": "watcher@example.iam.gserviceaccount.com",
                "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
                "token_uri": server.url,
            }
        )
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    yield server
    server.close()


@pytest.fixture
def runner(airflow: StandInAirflow) -> Iterator[AirflowRunner]:
    runner = AirflowRunner("sales", AirflowSettings(kind="composer", url=airflow.base_url))
    yield runner
    runner.close()


def test_a_run_is_started_with_a_token_of_google(tokens: TokenServer, runner: AirflowRunner) -> None:
    assert isinstance(runner.start(create("quick", date=some_date())), Happened)
    assert isinstance(runner.start(create("quick", date=some_date())), Happened)
    assert len(tokens.given) == 1, "it is used as long as it is good"


def test_a_token_that_is_not_accepted_any_more_is_renewed(tokens: TokenServer, runner: AirflowRunner) -> None:
    assert isinstance(runner.start(create("quick", date=some_date())), Happened)
    tokens.airflow.logins.expire()
    assert isinstance(runner.start(create("quick", date=some_date())), Happened)
    assert len(tokens.given) == 2


def test_an_account_that_is_refused_is_told_without_its_key(tokens: TokenServer, runner: AirflowRunner) -> None:
    tokens.status = 400
    report = runner.check(["quick"])
    assert report.problem is not None
    assert "invalid_grant" in report.problem
    assert "PRIVATE KEY" not in report.problem


def test_no_answer_from_google_is_tried_again(tokens: TokenServer, runner: AirflowRunner) -> None:
    tokens.close()
    with pytest.raises(EnvironmentUnavailable):
        runner.ask(create("quick", date=some_date()))


def test_without_credentials_the_reason_is_told(
    runner: AirflowRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(RequestRefused, match=r"environments\.sales"):
        runner.ask(create("quick", date=some_date()))


def test_other_credentials_beside_googles_are_refused() -> None:
    with pytest.raises(ValueError, match="kind 'composer' uses Google's"):
        AirflowSettings(kind="composer", url="http://127.0.0.1:1", username="me")
    with pytest.raises(ValueError, match="airflow_version is only for kinds 'composer' and 'mwaa'"):
        AirflowSettings(url="http://127.0.0.1:1", airflow_version=2)
