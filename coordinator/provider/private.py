"""Files and directories that nobody but their owner may use, whatever the umask is."""

from __future__ import annotations

import os
from pathlib import Path

FILE = 0o600
DIRECTORY = 0o700


def create_private(path: Path) -> int:
    """Create a file that is not there, and open it for writing. Returns its descriptor.

    :raises FileExistsError: it is there.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)


def make_private_directory(path: Path) -> None:
    """Make a directory, and those above it with the usual rights. One that is there is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(DIRECTORY)
    except FileExistsError:
        if not path.is_dir():
            raise
