"""Who asks, and what that allows (docs/security.md)."""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from dataclasses import dataclass

import structlog

from coordinator.config.credentials import Credential
from coordinator.config.settings import HttpSettings
from coordinator.controller.http.messages import Request
from coordinator.errors import ConfigurationError, CredentialUnavailable

_log = structlog.get_logger(__name__)

SHORTEST_TOKEN = 16
"""Characters. What people think up in less is guessed."""

KEEP_TOKEN = 60.0
"""Seconds for which what a command gave is good."""

SAY_AGAIN = 10.0
"""Seconds between two log lines about what strangers do: they must not fill a disk with it."""

_OF_A_PROXY = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


@dataclass(frozen=True, slots=True)
class Rights:
    """What who asks may do.

    :ivar details: see more than a word.
    :ivar changes: change something.
    :ivar token_helps: there is a token that would allow everything.
    """

    details: bool
    changes: bool
    token_helps: bool


class Doorkeeper:
    """Tells who asks.

    :raises ConfigurationError: the token is not there, or too short to be one.
    """

    def __init__(self, settings: HttpSettings) -> None:
        source = settings.token_source()
        self._token = Credential(source, keep=KEEP_TOKEN) if source else None
        self._unreadable, self._wrong = Seldom(SAY_AGAIN), Seldom(SAY_AGAIN)
        if self._token is not None:
            try:
                check_token(self._token.get())
            except CredentialUnavailable as error:  # may be over soon, and pipelines need no listener
                self._say_unreadable(error)

    def rights(self, request: Request, *, peer: str, has_certificate: bool) -> Rights:
        """What a request may do.

        :param peer: the IP address that it comes from.
        :param has_certificate: the other side has shown a certificate, and it is good.
        """
        if self._token is None:
            return Rights(has_certificate or _is_of_this_machine(request, peer), changes=False, token_helps=False)
        shown = request.headers.get("Authorization")
        knows = shown is not None and self._is_right(shown, self._token, peer)
        return Rights(knows or has_certificate, changes=knows, token_helps=True)

    def _is_right(self, shown: str, token: Credential, peer: str) -> bool:
        try:
            right = check_token(token.get())
        except (ConfigurationError, CredentialUnavailable) as error:  # nobody can say whether it is the right one
            self._say_unreadable(error)
            return False
        scheme, _, rest = shown.strip().partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(rest.strip().encode("latin-1"), right.encode("ascii")):
            return True
        if times := self._wrong.due():
            _log.warning("http.refused", peer=peer, reason="not the token of this watcher", times=times)
        return False

    def _say_unreadable(self, error: Exception) -> None:
        if times := self._unreadable.due():
            _log.error("http.token_unreadable", error=str(error), consequence="nobody has it", times=times)


class Seldom:
    """Counts, and says so seldom.

    :param seconds: between two times that something is said.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._count = 0
        self._said_at: float | None = None

    def due(self) -> int:
        """Count one more. How many there were since something was said; 0: nothing is to be said now."""
        with self._lock:
            self._count += 1
            now = time.monotonic()
            if self._said_at is not None and now - self._said_at < self._seconds:
                return 0
            self._said_at, count, self._count = now, self._count, 0
            return count


def check_token(token: str | None) -> str:
    """The token, if it is one. :raises ConfigurationError: it can be guessed, or sent by nobody."""
    if token is None or len(token) < SHORTEST_TOKEN or not all("!" <= character <= "~" for character in token):
        raise ConfigurationError(
            f"http: the token is too short, or holds blanks or characters that no header has; expected "
            f"{SHORTEST_TOKEN} characters and more, as from 'openssl rand -hex 32'"
        )
    return token


def _is_of_this_machine(request: Request, peer: str) -> bool:
    """Whether a program of this machine asks, and not a page or a proxy on behalf of somebody else.

    A page of evil.example that has its name resolve to 127.0.0.1 makes a browser here ask us, and may read the
    answer: its ``Host`` is evil.example then. An address or ``localhost`` cannot be had that way.
    """
    if any(name in request.headers for name in _OF_A_PROXY):
        return False
    return _is_loopback(peer) and _is_address(request.headers.get("Host"))


def _is_loopback(peer: str) -> bool:
    address = ipaddress.ip_address(peer.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _is_address(host: str | None) -> bool:
    if host is None:  # HTTP/1.0; every browser sends one
        return True
    name, colon, port = host.strip().rpartition(":")
    if not (colon and port.isdigit()):
        name = host.strip()
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
