"""Secrets that can be found again, whole or in part, in whatever shape they come back."""

from __future__ import annotations

import base64
import re
import uuid
from pathlib import Path

MARK = "pL4nt3d"
"""In every secret that a test makes up, more than once, so that the beginning and the end give it away too."""

_BASE64_OF_MARK = [
    # The same bytes look different at each of the three places at which they can begin; the outer letters of each
    # depend on the neighbours.
    base64.b64encode(b"\0" * shift + MARK.encode()).decode()[(0, 2, 3)[shift] : (-2, -3, None)[shift]].rstrip("=")
    for shift in range(3)
]
_SHAPES = {
    "a JWT": re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a token of etcd": re.compile(r"\b[A-Za-z]{16}\.[0-9]+\b"),
    "a private key": re.compile(r"PRIVATE KEY"),
}


def new_secret(name: str) -> str:
    """One that nobody else has. It has characters in it that are written differently in JSON, URLs and reprs."""
    return f"{MARK}-{name}-{uuid.uuid4().hex[:8]}-\"'%+&-{MARK}"


def plain_secret(name: str) -> str:
    """One that can be part of a header or an address."""
    return f"{MARK}-{name}-{uuid.uuid4().hex[:8]}-{MARK}"


class Secrets:
    """All that must not be found."""

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        """One that has no mark: it was made by somebody else."""
        assert len(value) >= 16
        self._exact[name] = value

    def add_key(self, file: Path) -> None:
        """The lines of a PEM file."""
        for number, line in enumerate(file.read_text().splitlines()):
            if not line.startswith("-") and len(line) >= 16:
                self.add(f"{file.name}:{number + 1}", line)

    def found_in(self, text: str) -> list[str]:
        """Which secrets are there, each with what stands around it; also where a table has broken their lines."""
        for name, pattern in _SHAPES.items():
            match = pattern.search(text)
            if match is not None:
                return [f"{name}: {_around(text, match.start())}"]
        return self._found_in(text) or self._found_in(re.sub(r"[\s│┃|]", "", text))

    def _found_in(self, text: str) -> list[str]:
        lower = text.lower()
        found = [_around(text, lower.index(MARK.lower()))] if MARK.lower() in lower else []
        for shape in _BASE64_OF_MARK:
            if shape in text:
                found.append(f"a secret in base64: {_around(text, text.index(shape))}")
        for name, value in self._exact.items():
            if value in text:
                found.append(f"{name}: {_around(text, text.index(value))}")
        return found


def _around(text: str, at: int) -> str:
    return repr(text[max(0, at - 100) : at + 100])
