"""The Authorization header of an environment, and when to renew it.

There are three ways, in this order: a token from the settings; a user name and password, exchanged for a token at
``POST /auth/token``; the same as HTTP Basic if the environment has no such address (Airflow 2; its auth manager, or a
proxy in front, requires that). Credentials are read when they are needed, so that a rotated one is picked up; a command
that provides them runs within the time limit of the request that needs them.
No message, log line or ``repr`` contains a credential.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Mapping

import structlog

from coordinator.config.airflow import AirflowSettings
from coordinator.config.credentials import Credential
from coordinator.errors import ConfigurationError, CredentialUnavailable
from coordinator.runners.airflow.answers import Answer, TokenAnswer
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.google import GoogleTokens
from coordinator.runners.port import EnvironmentUnavailable, RequestRefused

_log = structlog.get_logger(__name__)

RENEW_EARLY = 0.1
"""The fraction of a token's lifetime that is not used, so that it does not expire during a request."""

Login = Callable[[Mapping[str, str], Deadline], Answer]
"""Sends user name and password to ``POST /auth/token``."""


class Authentication:
    """One environment's header, shared by all threads.

    :param name: the environment, for messages.
    :param login: asks the environment for a token; ``None``: it has none to give.
    """

    def __init__(self, name: str, settings: AirflowSettings, login: Login | None) -> None:
        self._name = name
        self._username = settings.username
        token_source = settings.token_source(name)
        self._token = Credential(token_source)
        self._token_ends = token_source.command is not None
        self._password = Credential(settings.password_source(name))
        self._password_used: str | None = None
        self._login = login
        self._google = GoogleTokens(name) if settings.kind == "composer" else None
        self._lock = threading.Lock()
        self._header: str | None = None
        self._known = False
        self._good_until = float("inf")

    def __repr__(self) -> str:
        return f"<Authentication of environment {self._name}>"

    def header(self, deadline: Deadline) -> str | None:
        """The header to send, after a login if necessary; ``None`` if no credentials are configured.

        :raises RequestRefused: the credentials are missing or not accepted.
        :raises EnvironmentUnavailable: there was no answer to the login.
        """
        if self._known and time.monotonic() < self._good_until:
            return self._header
        return self.renew(self._header, deadline)

    def renew(self, rejected: str | None, deadline: Deadline) -> str | None:
        """The header after ``rejected`` has expired or was answered with 401. One thread renews it, the others wait.

        It equals ``rejected`` if there is no newer one. Raises as :meth:`header` does.
        """
        if not self._lock.acquire(timeout=max(0.0, deadline.remaining())):
            raise EnvironmentUnavailable(
                f"environment {self._name}: another thread's login took longer than {deadline.seconds:g} s"
            )
        try:
            if self._known and self._header != rejected and time.monotonic() < self._good_until:
                return self._header
            asked_at = time.monotonic()
            header, lifetime = self._obtain(deadline)
            self._header, self._known = header, True
            self._good_until = asked_at + lifetime * (1 - RENEW_EARLY)
            return header
        finally:
            self._lock.release()

    def secrets(self, header: str | None) -> tuple[str, ...]:
        """The secrets in a request with this header, which must not be shown, even if the answer repeats them."""
        password = () if self._password_used is None else (self._password_used,)
        return password if header is None else (*password, header.partition(" ")[2])

    def _obtain(self, deadline: Deadline) -> tuple[str | None, float]:
        if self._google is not None:
            access_token, lifetime = self._google.token(deadline)
            return self._bearer(access_token), lifetime
        token = self._read(self._token, deadline)
        if token is not None:
            # A command provides new tokens; for a file or variable, nobody knows when the token was issued.
            return self._bearer(token), _lifetime(token) if self._token_ends else float("inf")
        if self._username is None:
            return None, float("inf")
        password = self._read(self._password, deadline)
        if password is None:
            raise RequestRefused(
                f"environments.{self._name} has a username and no password; set password_env, password_file or "
                "password_command",
                status=401,
            )
        return self._exchange(self._username, password, deadline)

    @staticmethod
    def _read(credential: Credential, deadline: Deadline) -> str | None:
        try:
            return credential.get(within=deadline.remaining())
        except CredentialUnavailable as error:
            raise EnvironmentUnavailable(str(error)) from error
        except ConfigurationError as error:
            raise RequestRefused(str(error), status=401) from error

    def _bearer(self, token: str) -> str:
        # The libraries below refuse a header with other characters, and put the token into their message.
        token = token.strip()
        if not token or not all("!" <= character <= "~" for character in token):
            raise RequestRefused(
                f"the token of environment {self._name} is empty, or holds blanks or characters that no token has",
                status=401,
            )
        return f"Bearer {token}"

    def _exchange(self, username: str, password: str, deadline: Deadline) -> tuple[str, float]:
        self._password_used = password
        if self._login is None:
            return _basic(username, password), float("inf")
        answer = self._login({"username": username, "password": password}, deadline)
        if answer.status in (200, 201):
            token = answer.read(TokenAnswer).access_token
            _log.info("airflow.logged_in", environment=self._name, username=username)
            return self._bearer(token), _lifetime(token)
        if answer.status in (404, 405):
            _log.info("airflow.no_token", environment=self._name, answered=answer.status)
            return _basic(username, password), float("inf")
        answer.raise_if_unsettled()
        # Without the text of the answer: a 422 repeats the input, including the password.
        raise RequestRefused(
            f"{answer.question} answered {answer.status}: environment {self._name} does not accept the credentials of "
            f"user {username!r}",
            status=answer.status,
        )


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def _lifetime(token: str) -> float:
    """Seconds between a JWT's ``iat`` and ``exp``, so that the two clocks need not agree.

    Infinite for a token that cannot be read: a 401 will show when it has expired.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        lifetime = float(claims["exp"]) - float(claims["iat"])
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError, binascii.Error):
        return float("inf")
    return lifetime if lifetime > 0 else float("inf")
