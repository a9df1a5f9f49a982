"""A bound on the head of an answer.

``http.client`` accepts a hundred headers of 64 KiB each and any number of ``100 Continue`` heads, and keeps each header
several times; requests makes cookies of them.
"""

from __future__ import annotations

import http.client
from io import BufferedReader
from typing import cast

from coordinator.model import bounds


class _Lines:
    """The lines of a head. :raises http.client.HTTPException: they are too long together."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self._left = bounds.ANSWER_HEAD

    def readline(self, most: int) -> bytes:
        line = self._stream.readline(min(most, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException(f"a head of more than {bounds.ANSWER_HEAD} bytes")
        return line

    def close(self) -> None:
        self._stream.close()


class ResponseWithBoundedHead(http.client.HTTPResponse):
    """The response class of a connection."""

    def begin(self) -> None:
        stream = self.fp
        self.fp = cast(BufferedReader, _Lines(stream))
        try:
            super().begin()
        finally:
            if self.fp is not None:  # it is closed
                self.fp = stream
