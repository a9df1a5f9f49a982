"""Files and directories that only their owner may use, whatever the umask is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

FILE = 0o600
DIRECTORY = 0o700


def create_private(path: Path) -> int:
    """Create a new file, and open it for writing. Returns its descriptor.

    :raises FileExistsError: it exists already.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)


def make_private_directory(path: Path) -> None:
    """Create a directory, and its parents with the usual permissions. An existing one is left as it is.

    :raises PermissionError: the existing one is :func:`exposed`.
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
    """Why other users can use a directory, and what to do; ``None``: they cannot.

    Root may do everything anyway, and owns the directory where a volume is mounted. Permissions of a group were given
    on purpose.
    """
    found, user = directory.stat(), os.geteuid()
    if found.st_uid not in (user, 0):
        return (
            f"{directory}: it belongs to the user {found.st_uid}, and this is {user}: its owner could report in this "
            f"user's name, and withhold reports from etcd; run this as that user, or give it to this one: chown "
            f"-R {user} {directory}"
        )
    if found.st_mode & stat.S_IWOTH:
        return (
            f"{directory}: everybody on this machine may write there (mode {stat.S_IMODE(found.st_mode):o}), and so "
            f"report in this user's name; remove that permission: chmod o-w {directory}"
        )
    return None
