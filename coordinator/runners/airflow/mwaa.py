"""Amazon MWAA: requests to Airflow travel inside requests to AWS, signed with the AWS credentials of whoever runs this.

``botocore`` finds the credentials (environment variables, profiles, a role of the container or the machine), renews
them, and signs. The bytes of ``InvokeRestApi`` (https://docs.aws.amazon.com/mwaa/latest/API/API_InvokeRestApi.html)
leave through our own connection, where the permit and the deadline hold. It is the extra ``mwaa`` of this package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from coordinator.config.airflow import AirflowSettings
from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.runners.airflow.answers import Answer
from coordinator.runners.port import EnvironmentUnavailable, RequestRefused

SERVICE = "airflow"
"""MWAA's name in signatures."""


_THROTTLED = re.compile("Throttl|TooManyRequests|RequestLimitExceeded|SlowDown")
"""Kinds of errors that AWS answers with 400 too, where it is asked too often (botocore's ``_retry.json``)."""


class InvokeRestApi:
    """The request around a request. Used from several threads at once.

    :param name: the environment, for messages.
    """

    def __init__(self, name: str, settings: AirflowSettings) -> None:
        self._name = name
        self._url = settings.url
        self._region = settings.region
        self.path = f"/restapi/{quote(settings.mwaa_name or '', safe='')}"
        self._credentials: Any = None

    def wrap(
        self, method: str, path: str, query: Mapping[str, str | int] | None, body: Mapping[str, Any] | None
    ) -> tuple[bytes, dict[str, str], tuple[str, ...]]:
        """The content and headers of the POST to :attr:`path`, and the secrets in them.

        :param path: of Airflow's API, after its version. What need not be quoted in it is not: nothing says whether
            AWS quotes it once more.
        :raises RequestRefused: there are no credentials.
        :raises EnvironmentUnavailable: nobody answers who gives credentials.
        """
        try:
            from botocore.auth import SigV4Auth
            from botocore.awsrequest import AWSRequest
        except ImportError as error:
            raise RequestRefused(
                f"environments.{self._name}: kind 'mwaa' needs botocore; install the extra 'mwaa'", status=401
            ) from error
        given: dict[str, Any] = {"Method": method, "Path": path.replace("%3A", ":").replace("%2B", "+")}
        if query:
            given["QueryParameters"] = {name: str(value) for name, value in query.items()}
        if body is not None:
            given["Body"] = body
        content = json.dumps(given, separators=(",", ":")).encode()
        request = AWSRequest("POST", self._url + self.path, {"Content-Type": "application/json"}, content)
        credentials = self._frozen()
        SigV4Auth(credentials, SERVICE, self._region).add_auth(request)
        secrets = [credentials.secret_key, request.headers["Authorization"]]
        if credentials.token:
            secrets.append(credentials.token)
        return content, dict(request.headers.items()), tuple(secrets)

    def unwrap(self, answer: Answer) -> Answer:
        """Airflow's answer in an answer of AWS.

        :raises EnvironmentUnavailable: AWS, and not Airflow, has answered, and another time it may be different.
        :raises RequestRefused: AWS refuses the request: nothing has happened.
        """
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise answer.unavailable("no JSON, so not AWS's own answer")
        status, inner = document.get("RestApiStatusCode"), document.get("RestApiResponse")
        if isinstance(status, int) and not isinstance(status, bool):
            text = inner if isinstance(inner, str) else json.dumps(inner)
            return replace(answer, status=status, body=text.encode())
        said = document.get("message") or document.get("Message")
        why = printable(said if isinstance(said, str) else "", limit=bounds.DETAIL)
        for secret in answer.secrets:
            why = why.replace(secret, "***")
        kind = str(document.get("__type") or "")
        if answer.status in (200, 429) or answer.status >= 500 or _THROTTLED.search(kind):
            raise answer.unavailable(f"AWS: {why}")
        # A 404 would say that there is no such run; it is the environment that AWS does not know.
        raise RequestRefused(f"environments.{self._name}: AWS answered {answer.status}: {why}", status=403)

    def _frozen(self) -> Any:
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session

        try:
            if self._credentials is None:
                self._credentials = get_session().get_credentials()
            if self._credentials is not None:
                return self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise EnvironmentUnavailable(f"environments.{self._name}: no AWS credentials: {error}") from error
        raise RequestRefused(f"environments.{self._name}: botocore finds no AWS credentials", status=401)
