"""A log that nobody dies of: it is on the same disk as the outbox, and a full one must not end the deliverer."""

from __future__ import annotations

import io
import os


class LossyLog(io.TextIOBase):
    """Writes lines to a file descriptor; those that cannot be written are lost, and counted in the next one that can.

    Not buffered: what ``sys.stderr`` could not write would stay in it, and fail every line after it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._line = ""
        self._lost = 0

    def write(self, text: str) -> int:
        self._line += text
        if self._line.endswith("\n"):
            line, self._line = self._line, ""
            self._put(line)
        return len(text)

    def _put(self, line: str) -> None:
        if self._lost:
            line = f"({self._lost} lines before this one could not be written)\n{line}"
        try:
            os.write(self._descriptor, line.encode(errors="backslashreplace"))
        except OSError:  # there is no other place to say it
            self._lost += 1
        else:
            self._lost = 0
