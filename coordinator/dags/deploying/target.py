"""Where the files go: a directory, or an object store, by fsspec."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

from coordinator.dags.deploying.records import PREFIX
from coordinator.dags.errors import DeployError, TargetRefused, TargetUnavailable
from coordinator.errors import ConfigurationError, CoordinatorError

_AT_ONCE: Final = 100
"""Files that are read in one go."""
_OF_CREDENTIALS: Final = re.compile("Credential|Authenticat|Profile")
"""In the name of an error, whichever store's library it is of."""
_PASSWORD: Final = re.compile(r"://[^/@]*:[^/@]*@")


class Target(Protocol):
    """Paths are relative and have forward slashes."""

    name: str
    """As people know it."""

    @property
    def directory(self) -> Path | None:
        """Where it is; ``None``: in no directory."""

    def sizes(self) -> dict[str, int]:
        """Every file, with its size in bytes; in a directory also every link.

        :raises TargetUnavailable: it gives no answer.
        :raises TargetRefused: it says no. Both: also from all others.
        """

    def read(self, paths: Collection[str]) -> dict[str, bytes]:
        """The contents of files; one that is not there is left out, and so is a link."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file as a whole: nobody ever reads a half."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a file that must not exist. Whether it did not: of several at once, one succeeds."""

    def remove(self, path: str) -> None:
        """Remove a file, and directories that are empty then; one that is not there is none."""


def open_target(url: str) -> Target:
    """Open a target.

    :param url: a directory, or an URL that fsspec knows, such as ``s3://bucket/dags``.
    :raises ConfigurationError: fsspec does not know it, or needs a package for it; it has a password in it.
    :raises TargetUnavailable, TargetRefused: it is asked on opening, and has no good answer.
    """
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if _PASSWORD.search(url):
        raise ConfigurationError(
            "the target: expected an address without a password: lists of processes and histories show it; give it to "
            f"fsspec otherwise, such as in {_where_instead(url)}"
        )
    # That cache would show what was there before. A directory has no such option.
    options = {"use_listings_cache": False} if "://" in url else {}
    try:
        with _explained(url, ImportError, ValueError):
            files, root = url_to_fs(url, **options)
    except ImportError as error:
        extra = "; for s3:// that is the extra 's3': pip install '.[s3]'" if url.startswith(("s3:", "s3a:")) else ""
        raise ConfigurationError(f"{url}: {error}{extra}") from None
    except ValueError as error:
        raise ConfigurationError(f"{url}: {error}; expected a directory, or such as s3://bucket/dags") from None
    if isinstance(files, LocalFileSystem):
        return _Directory(url, root)
    if not root.strip("/"):
        raise ConfigurationError(f"{url}: expected a bucket, such as s3://bucket/dags")
    return _ObjectStore(url, files, root)


def _where_instead(url: str) -> str:
    """Where a password of such an address belongs."""
    scheme = url.rpartition("://")[0].rpartition("::")[2]
    if scheme in ("s3", "s3a"):
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return f"FSSPEC_{re.sub('[^A-Z0-9]', '_', scheme.upper())}_PASSWORD"


class _ObjectStore:
    """Whose files are written whole: an object is there once its request has succeeded."""

    directory = None

    def __init__(self, name: str, files: Any, root: str) -> None:
        self.name, self._files, self._root = name, files, root.rstrip("/")

    def sizes(self) -> dict[str, int]:
        with _explained(self.name):
            found = self._files.find(self._root, detail=True)
        prefix = f"{self._root}/"
        below = {one.removeprefix(prefix): of.get("size") or 0 for one, of in found.items() if one.startswith(prefix)}
        # A console makes objects for folders.
        return {path: size for path, size in below.items() if path and not path.endswith("/")}

    def read(self, paths: Collection[str]) -> dict[str, bytes]:
        wanted, contents = sorted(paths), {}
        for at in range(0, len(wanted), _AT_ONCE):
            part = [self._place(path) for path in wanted[at : at + _AT_ONCE]]
            with _explained(self.name):
                read = self._files.cat(part, on_error="return")
                for place, content in read.items():
                    if isinstance(content, FileNotFoundError):
                        continue
                    if isinstance(content, Exception):
                        raise content
                    contents[place.removeprefix(f"{self._root}/")] = content
        return contents

    def write(self, path: str, content: bytes) -> None:
        with _explained(f"{self.name}: {path}"):
            self._files.pipe_file(self._place(path), content)

    def create(self, path: str, content: bytes) -> bool:
        with _explained(f"{self.name}: {path}"):
            try:
                self._files.pipe_file(self._place(path), content, mode="create")
            except FileExistsError:
                return False
        return True

    def remove(self, path: str) -> None:
        with _explained(f"{self.name}: {path}"):
            try:
                self._files.rm_file(self._place(path))
            except FileNotFoundError:
                return

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}"


class _Directory:
    """Whose files are written beside their place, and renamed."""

    def __init__(self, name: str, root: str) -> None:
        self.name, self._root, self.directory = name, root, Path(root)

    def sizes(self) -> dict[str, int]:
        found = {}
        with _explained(self.name):
            for directory, below, names in os.walk(self._root, onerror=_unless_missing):
                links = [one for one in below if os.path.islink(f"{directory}/{one}")]
                for place in (f"{directory}/{one}" for one in (*names, *links)):
                    with suppress(FileNotFoundError):  # meanwhile
                        found[os.path.relpath(place, self._root)] = os.lstat(place).st_size
        return found

    def read(self, paths: Collection[str]) -> dict[str, bytes]:
        contents = {}
        with _explained(self.name):
            for path in paths:
                place = f"{self._root}/{path}"
                if os.path.isfile(place) and not os.path.islink(place):
                    with suppress(FileNotFoundError), open(place, "rb") as file:
                        contents[path] = file.read()
        return contents

    def write(self, path: str, content: bytes) -> None:
        with _explained(f"{self.name}: {path}"):
            place = self._made_place(path)
            part = f"{os.path.dirname(place)}/{PREFIX}{uuid4().hex}.part"
            try:
                with open(part, "xb") as file:
                    file.write(content)
                if os.path.isdir(place) and not os.path.islink(place):
                    self._remove_if_empty(place)
                os.replace(part, place)
            finally:
                if os.path.exists(part):
                    os.unlink(part)

    def create(self, path: str, content: bytes) -> bool:
        with _explained(f"{self.name}: {path}"):
            place = self._made_place(path)
            part = f"{place}.{uuid4().hex}.part"
            with open(part, "xb") as file:
                file.write(content)
            try:
                os.link(part, place)  # fails where it exists, and shows the whole content at once
            except FileExistsError:
                return False
            finally:
                os.unlink(part)
        return True

    def remove(self, path: str) -> None:
        with _explained(f"{self.name}: {path}"):
            place = self._place(path)
            if os.path.lexists(place):
                os.unlink(place)
                self._remove_if_empty(os.path.dirname(place))

    def _remove_if_empty(self, directory: str) -> None:
        while directory != self._root and _is_empty(directory):
            os.rmdir(directory)
            directory = os.path.dirname(directory)

    def _place(self, path: str) -> str:
        """:raises DeployError: a link of the target is on the way."""
        place = f"{self._root}/{path}"
        if os.path.realpath(os.path.dirname(place)) != os.path.dirname(f"{os.path.realpath(self._root)}/{path}"):
            raise DeployError(
                f"{place}: a link in {self.name} is on the way; nothing is written behind it: remove the link"
            )
        return place

    def _made_place(self, path: str) -> str:
        place = self._place(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        return place


def _is_empty(directory: str) -> bool:
    with os.scandir(directory) as entries:
        return next(entries, None) is None


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _explained(place: str, *known: type[Exception]) -> Iterator[None]:
    """:raises TargetRefused, TargetUnavailable: for what a file system of fsspec raises: each has kinds of its own.

    :param known: what is raised as it is.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (CoordinatorError, *known)):
            raise
        raise _in_our_words(place, error) from error


def _in_our_words(place: str, error: Exception) -> CoordinatorError:
    match error:
        case PermissionError() | OSError(errno=errno.EROFS):
            return TargetRefused(f"{place}: {error}; give this user the right to list, read, write and remove there")
        case NotADirectoryError() | IsADirectoryError() | OSError(errno=errno.ENAMETOOLONG) | NotImplementedError():
            said = str(error) or "it cannot be written to"
            return TargetRefused(f"{place}: {said}; expected a directory, or an object store that can be written to")
        case _ if _OF_CREDENTIALS.search(type(error).__name__):
            return TargetRefused(f"{place}: {error}; give credentials where fsspec finds them: docs/dags.md#deploy")
        case FileNotFoundError():
            return TargetRefused(f"{place}: {error}; create the bucket, or the directory, first")
        case _:
            kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
            return TargetUnavailable(f"{place}: {kind}{error}; the same command goes on where this one has ended")
