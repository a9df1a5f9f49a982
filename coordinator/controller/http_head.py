"""The head of an HTTP request: read whole and within bounds, before anything of a library parses it.

Python's ``http.server`` bounds lines that end with a line feed, and its parser also ends one at a carriage return.
"""

from __future__ import annotations

import io
import re
from http import HTTPStatus

MOST_BYTES = 16 * 1024
MOST_LINES = 100

_END = re.compile(rb"\n\r?\n")
_LONE_RETURN = re.compile(rb"\r(?!\n)")


class HeadRefused(Exception):
    """A request is not parsed. Its text is for who asks."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


def read_head(stream: io.BufferedIOBase) -> bytes:
    """The first line and the headers of a request, up to the empty line. What follows is not read.

    :raises HeadRefused: it is too large, not whole, or holds a carriage return without a line feed.
    :raises OSError: the connection broke off.
    """
    head = b""
    while (end := _END.search(head)) is None:
        if len(head) > MOST_BYTES:
            break
        piece = stream.read1(MOST_BYTES + 1 - len(head))
        if not piece:
            raise HeadRefused(HTTPStatus.BAD_REQUEST, "expected headers and an empty line after them")
        head += piece
    if end is not None:
        head = head[: end.end()]
    if len(head) > MOST_BYTES or head.count(b"\n") > MOST_LINES:
        too_large = f"expected at most {MOST_BYTES} bytes and {MOST_LINES} lines before the empty line"
        raise HeadRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, too_large)
    if _LONE_RETURN.search(head):
        raise HeadRefused(HTTPStatus.BAD_REQUEST, "expected a line feed after each carriage return")
    return head
