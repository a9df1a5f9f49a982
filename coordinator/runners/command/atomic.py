"""Files that are there as a whole or not at all, also after the machine has lost its power. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that is read: a request that names 20,000 inputs has a quarter of it."""


def sync_directory(directory: Path) -> None:
    """Make what was created or renamed in it last. :raises OSError: the disk fails."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(file: Path, document: dict[str, Any]) -> None:
    """Write JSON to a file that nobody has written yet. Of several writers one succeeds.

    :raises FileExistsError: somebody has. :raises OSError: it cannot be written.
    """
    beside = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "w", encoding="utf-8") as opened:
            json.dump(document, opened)
            opened.flush()
            os.fsync(opened.fileno())
        os.link(beside, file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
    sync_directory(file.parent)


def read_whole(file: Path) -> bytes | None:
    """What is in a file; ``None``: there is no such file.

    :raises ValueError: it is larger than anything that is written there. :raises OSError: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(content) > LARGEST:
        raise ValueError(f"{file} has more than {LARGEST} bytes; expected what the coordinator wrote there")
    return content
