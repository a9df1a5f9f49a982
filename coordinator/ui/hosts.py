"""By which names the page may be asked for.

A page of somebody else can have its own name resolved to this server (DNS rebinding), and would then read what the
browser of a person on this network can reach. It cannot do that with an address, or with a name that is not its own.
"""

from __future__ import annotations

import ipaddress
import re
from http import HTTPStatus

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from coordinator.ui.answers import error_answer


class KnownHosts:
    """Refuses requests for other names than ``localhost``, addresses, and these.

    :param names: the names of this server.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = host_in(Request(scope).headers.get("host", ""))
        if host in self._names or _is_address(host):
            await self._app(scope, receive, send)
            return
        says = f"this page is not known as {host[:250]!r}; set ui.url to the address at which people reach it"
        await error_answer(HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", says)(scope, receive, send)


def host_in(header: str) -> str:
    """The host in a header ``Host``, without its port and brackets, in lower case; empty where it cannot be read."""
    if header.startswith("["):
        host, end, port = header[1:].partition("]")
        return host.lower() if end and "%" not in host and re.fullmatch(r"(:\d*)?", port) else ""
    return header.partition(":")[0].lower().rstrip(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
