"""Files and directories that nobody but their owner may use, whatever the umask is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

FILE = 0o600
DIRECTORY = 0o700


def create_private(path: Path) -> int:
    """Create a file that is not there, and open it for writing. Returns its descriptor.

    :raises FileExistsError: it is there.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)


def make_private_directory(path: Path) -> None:
    """Make a directory, and those above it with the usual rights. One that is there is left as it is.

    :raises PermissionError: the one that is there is :func:`exposed`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(DIRECTORY)
    except FileExistsError:
        if not path.is_dir():
            raise
        if (problem := exposed(path)) is not None:
            raise PermissionError(problem) from None


def exposed(directory: Path) -> str | None:
    """Why a directory is not this user's alone to use, and what to do; ``None``: it is.

    Root may do everything anyway, and owns the directory where a volume is mounted. A group has the rights that
    somebody gave it.
    """
    found, user = directory.stat(), os.geteuid()
    if found.st_uid not in (user, 0):
        return (
            f"{directory}: it belongs to the user {found.st_uid}, and this is {user}: its owner could report in this "
            f"user's name, and keep what is reported from etcd; run this as that user, or give it to this one: chown "
            f"-R {user} {directory}"
        )
    if found.st_mode & stat.S_IWOTH:
        return (
            f"{directory}: everybody on this machine may write there (mode {stat.S_IMODE(found.st_mode):o}), and so "
            f"report in this user's name; take that right away: chmod o-w {directory}"
        )
    return None
