"""Bearer tokens of Google Cloud, for Cloud Composer and Cloud Data Fusion.

They come from the application default credentials of whoever runs this.

``google-auth`` finds them: a service account's file (``GOOGLE_APPLICATION_CREDENTIALS``), workload identity, a metadata
server, or ``gcloud auth application-default login``. It is the extra ``composer`` of this package.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import EnvironmentUnavailable, RequestRefused

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class GoogleTokens:
    """One environment's tokens. Used by one thread at a time.

    :param name: the environment, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._credentials: Any = None

    def token(self, deadline: Deadline) -> tuple[str, float]:
        """A new token, and the seconds for which it is good.

        :raises RequestRefused: there are no credentials, or they are not accepted.
        :raises EnvironmentUnavailable: nobody answers who gives tokens.
        """
        try:
            import google.auth
            from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
            from google.auth.transport.requests import Request
        except ImportError as error:
            raise RequestRefused(
                f"environments.{self._name}: Google's credentials need google-auth; install the extra 'composer'",
                status=401,
            ) from error
        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[SCOPE])
            self._credentials.refresh(partial(Request(), timeout=max(0.1, deadline.remaining())))
        except DefaultCredentialsError as error:
            raise RequestRefused(f"environments.{self._name}: {error}", status=401) from error
        except (TransportError, RefreshError, GoogleAuthError) as error:
            if getattr(error, "retryable", False) or isinstance(error, TransportError):
                raise EnvironmentUnavailable(f"environments.{self._name}: no token: {error}") from error
            raise RequestRefused(f"environments.{self._name}: no token: {error}", status=401) from error
        return str(self._credentials.token), self._lifetime()

    def _lifetime(self) -> float:
        expiry: datetime | None = self._credentials.expiry  # in UTC, without saying so
        if expiry is None:
            return float("inf")
        return max(0.0, (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())
