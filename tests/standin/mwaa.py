"""A stand-in for Amazon MWAA's ``InvokeRestApi``, by its documentation: it checks the signature, and passes the call on
to the stand-in Airflow (https://docs.aws.amazon.com/mwaa/latest/API/API_InvokeRestApi.html)."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.standin.airflow import StandInAirflow

REGION, NAME = "eu-central-1", "sales"
KEY_ID, SECRET = "AKIDEXAMPLE", "no-real-secret-of-anybody"
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=(.+?), SignedHeaders=(.+?), Signature=([0-9a-f]+)")


class StandInMwaa:
    """One environment. :ivar answers: of AWS itself, instead of what Airflow says: status and body, each once."""

    def __init__(self, airflow: StandInAirflow, *, api: str = "/api/v2") -> None:
        self._airflow = airflow
        self._api = api
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []
        mwaa = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, document = mwaa._answer(self.path, dict(self.headers.items()), body)
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        if not self._is_signed(path, headers, body):
            return 403, {"message": "The request signature we calculated does not match the signature you provided."}
        if path != f"/restapi/{NAME}":
            return 404, {"message": f"Environment {path.rpartition('/')[2]} not found"}
        call = json.loads(body)
        self.asked.append(call)
        if self.answers:
            return self.answers.pop(0)
        assert call.keys() <= {"Method", "Path", "QueryParameters", "Body"}, call
        answer = requests.request(
            call["Method"],
            self._airflow.base_url + self._api + call["Path"],
            params=call.get("QueryParameters"),
            json=call.get("Body"),
            headers={"Authorization": f"Bearer {self._token()}"},
            timeout=30,
        )
        inner = {"RestApiStatusCode": answer.status_code, "RestApiResponse": answer.json()}
        return (200, inner) if answer.ok else (400, inner)

    def _token(self) -> str:
        token = self._airflow.logins.token(self._airflow.username, self._airflow.password)
        assert token is not None
        return token

    def _is_signed(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        found = _SIGNED.fullmatch(headers.get("Authorization", ""))
        if found is None:
            return False
        scope, names, signature = found.groups()
        named = {name.lower(): value for name, value in headers.items()}
        signed = {name: named[name] for name in names.split(";")}
        request = AWSRequest("POST", self.url + path, signed, body)
        request.context["timestamp"] = named["x-amz-date"]
        auth = SigV4Auth(Credentials(KEY_ID, SECRET), "airflow", REGION)
        ours = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        return scope.startswith(f"{KEY_ID}/") and bool(ours == signature)
