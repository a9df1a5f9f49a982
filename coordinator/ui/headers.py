"""What browsers may do with the page: run its own files and nothing else, and show it in the frames of Airflow only."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.config.web_address import origin_of

_ORIGIN = re.compile(r"https?://[A-Za-z0-9._\[\]:-]+")


def policy(pages: Iterable[str]) -> str:
    """The Content-Security-Policy.

    :param pages: the addresses of the Airflows, which may show this page in a frame.
    """
    origins = sorted({origin for origin in map(origin_of, pages) if _ORIGIN.fullmatch(origin)})
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            " ".join(("frame-ancestors 'self'", *origins)),
        )
    )


class SecurityHeaders:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._always = {
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Server": "coordinator",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._always.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, with_headers)
