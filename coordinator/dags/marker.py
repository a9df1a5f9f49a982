"""The first line of a generated file: whose it is, and whether anybody has changed it since.

What has no marker is somebody else's file. What has one, and another content than the marker's digest says, was changed
by hand. Neither is ever overwritten or removed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(
    rb"# coordinator dags: generated, name=(?P<name>\S+) entry=(?P<entry>\S+) "
    rb"environment=(?P<environment>\S+) sha256=(?P<digest>[0-9a-f]{32})\r?\n"
)
LONGEST: Final = 1024
"""In bytes: a marker is found in so much of a file."""


@dataclass(frozen=True, slots=True)
class Marker:
    """What the marker of a file says.

    :ivar name: of the configuration.
    :ivar entry: the entry that the file was made of.
    :ivar environment: the deployment environment that it was made for.
    :ivar is_intact: whether the file is as it was generated, but for the form of its line ends.
    """

    name: str
    entry: str
    environment: str
    is_intact: bool


def marked(text: str, *, name: str, entry: str, environment: str) -> bytes:
    """A text with its marker, as the bytes of a file."""
    body = text.encode()
    whose = f"name={name} entry={entry} environment={environment}"
    return f"# coordinator dags: generated, {whose} sha256={_digest(body)}\n".encode() + body


def marker_of(content: bytes) -> Marker | None:
    """The marker of a file; ``None``: it has none."""
    found = _LINE.match(content)
    if found is None:
        return None
    try:
        name, entry, environment = (found[one].decode() for one in ("name", "entry", "environment"))
    except UnicodeDecodeError:
        return None
    return Marker(name, entry, environment, found["digest"].decode() == _digest(content[found.end() :]))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body.replace(b"\r\n", b"\n")).hexdigest()[:32]
