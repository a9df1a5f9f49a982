"""A request, read within bounds, and an answer. HTTP/1.1 with one request a connection: nothing to be smuggled."""

from __future__ import annotations

import http.client
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus

MAX_HEAD = 16 * 1024
"""Bytes of the request line and all headers. A token is a few hundred, a browser's cookies a few thousand."""

MAX_BODY = 64 * 1024
"""Bytes of a body."""

_REQUEST_LINE = re.compile(r"([A-Z]{1,20}) (/[!-~]{0,8190}) HTTP/1\.[01]")
_END_OF_HEAD = b"\r\n\r\n"
_ONCE = ("Host", "Authorization", "Content-Length", "Transfer-Encoding")
"""Headers whose second one would be read by somebody else in place of the first."""

_ALWAYS = {
    "Connection": "close",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Receive = Callable[[int], bytes]
"""At most so many bytes of a connection; none at its end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, as JSON. ``headers``: besides those that every answer has."""

    status: HTTPStatus
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, without_body: bool = False) -> bytes:
        """As it goes over the wire. ``without_body``: for HEAD."""
        content = json.dumps(self.body).encode("ascii") + b"\n"
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            **_ALWAYS,
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("latin-1") + _END_OF_HEAD
        return head if without_body else head + content


def refusal(status: HTTPStatus, reason: str, **headers: str) -> Answer:
    """An answer that says no. ``reason``: in our words; nothing of the request is repeated."""
    return Answer(status, {"error": reason}, {name.replace("_", "-"): value for name, value in headers.items()})


class BadRequest(Exception):
    """What came is no request that is answered. ``answer`` says so."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.answer = refusal(status, reason)


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    :ivar details: who asks may see more than that we live.
    :ivar headers: may hold the token, so they are in no ``repr``.
    """

    method: str
    path: str
    query: str
    headers: Message = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    details: bool = False


def read_head(receive: Receive) -> tuple[Request, bytes]:
    """The request up to its body, and what has come of that already.

    :raises BadRequest: it is too long, or no HTTP/1.1.
    :raises EOFError: the other side has closed the connection.
    """
    received = b""
    while (end := received.find(_END_OF_HEAD)) < 0:
        if len(received) > MAX_HEAD:
            raise BadRequest(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head of a request may have {MAX_HEAD} bytes"
            )
        piece = receive(4096)
        if not piece:
            raise EOFError
        received += piece
    first, _, rest = received[: end + len(_END_OF_HEAD)].partition(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first.decode("latin-1"))
    if line is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "expected a request of HTTP/1.1 for a path")
    try:
        headers = http.client.parse_headers(io.BytesIO(rest))
    except http.client.HTTPException:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a request may have a hundred headers") from None
    if headers.defects or any(len(headers.get_all(name, ())) > 1 for name in _ONCE):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "these headers can be read in two ways")
    path, _, query = line[2].partition("?")
    return Request(line[1], path, query, headers), received[end + len(_END_OF_HEAD) :]


def read_body(request: Request, begun: bytes, receive: Receive) -> bytes:
    """The body. ``begun``: what has come of it already.

    :raises BadRequest: it is too long, or does not say how long it is.
    :raises EOFError: the other side has closed the connection.
    """
    if request.headers.get("Transfer-Encoding") is not None:
        raise BadRequest(HTTPStatus.LENGTH_REQUIRED, "a body is taken with a Content-Length alone")
    length = request.headers.get("Content-Length", "0")
    if not re.fullmatch(r"[0-9]{1,18}", length):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "Content-Length is no number")
    if int(length) > MAX_BODY:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {MAX_BODY} bytes")
    body = begun
    while len(body) < int(length):
        piece = receive(int(length) - len(body))
        if not piece:
            raise EOFError
        body += piece
    return body[: int(length)]
