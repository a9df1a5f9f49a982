"""A log that drops lines when the disk is full: the outbox is on the same disk, and the sender must go on."""

from __future__ import annotations

import io
import os


class LossyLog(io.TextIOBase):
    """Writes lines to a file descriptor. Lines that cannot be written are lost; the next successful one says how many.

    It is not buffered: a line that ``sys.stderr`` could not write would stay in its buffer, and fail every later line.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._line = ""
        self._lost = 0
        self._break = ""  # ends a line that was only partly written

    def write(self, text: str) -> int:
        self._line += text
        if self._line.endswith("\n"):
            line, self._line = self._line, ""
            self._put(line)
        return len(text)

    def _put(self, line: str) -> None:
        if self._lost:
            line = f"{self._break}({self._lost} lines before this one could not be written)\n{line}"
        content = line.encode(errors="backslashreplace")
        try:
            written = os.write(self._descriptor, content)
        except OSError:  # there is no other place to report it
            written = 0
        if written == len(content):
            self._lost, self._break = 0, ""
        else:  # a disk that fills up takes the beginning of a line, without an error for the rest
            self._lost += 1
            self._break = "\n" if written else self._break
