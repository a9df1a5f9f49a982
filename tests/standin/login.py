"""Users, tokens and roles of the stand-in: Airflow's SimpleAuthManager."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import threading
import time


class Logins:
    """:ivar lifetime: seconds that a token is good for.

    :ivar basic: give no tokens, take HTTP Basic.
    :ivar given: how many tokens were given.
    """

    def __init__(self, users: dict[str, tuple[str, str]]) -> None:
        self.users = users
        self.lifetime = 86400.0
        self.basic = False
        self.given = 0
        self._numbers = itertools.count()
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def answer(self, given: dict[str, object]) -> tuple[int, dict[str, str]]:
        """To ``POST /auth/token``: status and body."""
        if self.basic:
            return 404, {"detail": "Not Found"}
        if not {"username", "password"} <= given.keys():
            return 422, {"detail": f"1 validation error for LoginBody: {given}"}
        token = self.token(given["username"], given["password"])
        return (401, {"detail": "Invalid credentials"}) if token is None else (201, {"access_token": token})

    def token(self, username: object, password: object) -> str | None:
        """A JWT in its looks; ``None`` for wrong credentials."""
        if not isinstance(username, str) or self.users.get(username, (None,))[0] != password:
            return None
        now = time.time()
        # The issuer's clock is an hour off: only the difference between iat and exp may be relied on.
        claims = {"sub": username, "iat": now + 3600, "exp": now + 3600 + self.lifetime, "n": next(self._numbers)}
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        token = f"eyJhbGciOiJub25lIn0.{payload}.standin"
        with self._lock:
            self._tokens[token] = (username, now + self.lifetime)
            self.given += 1
        return token

    def expire(self) -> None:
        """Every token given so far is over: 401."""
        with self._lock:
            self._tokens = {token: (user, 0.0) for token, (user, _) in self._tokens.items()}

    def forget(self) -> None:
        """As a restart with another ``jwt_secret``: every token given so far is malformed, 403."""
        with self._lock:
            self._tokens.clear()

    def refusal(self, authorization: str | None, *, writes: bool) -> tuple[int, str] | None:
        """Why a request is refused; ``None`` if it is not."""
        if not authorization:
            return 401, "Not authenticated"
        kind, _, credential = authorization.partition(" ")
        if kind == "Basic" and self.basic:
            try:
                username, _, password = base64.b64decode(credential).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return 401, "Not authenticated"
            if self.users.get(username, (None,))[0] != password:
                return 401, "Invalid credentials"
        elif kind == "Bearer":
            entry = self._tokens.get(credential)
            if entry is None:
                return 403, "Invalid JWT token"
            username, good_until = entry
            if time.time() >= good_until:
                return 401, "Token Expired"
        else:
            return 401, "Not authenticated"
        if writes and self.users[username][1] != "admin":
            return 403, "Forbidden"
        return None
