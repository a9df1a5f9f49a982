"""Where the files go: a directory, or an object store, by fsspec."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, Final, Protocol
from uuid import uuid4

from coordinator.dags.deploying.records import PREFIX
from coordinator.dags.errors import DeployError, TargetRefused, TargetUnavailable
from coordinator.errors import ConfigurationError

_AT_ONCE: Final = 100
"""Files that are read in one go."""


class Target(Protocol):
    """Paths are relative and have forward slashes."""

    name: str
    """As people know it."""

    def paths(self) -> set[str]:
        """Every file.

        :raises TargetUnavailable: it gives no answer.
        :raises TargetRefused: it says no. Both: also from all others.
        """

    def read(self, paths: Collection[str]) -> dict[str, bytes]:
        """The contents of files; one that is not there is left out."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file as a whole: nobody ever reads a half."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a file that must not exist. Whether it did not: of several at once, one succeeds."""

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is none."""


def open_target(url: str) -> Target:
    """Open a target.

    :param url: a directory, or an URL that fsspec knows, such as ``s3://bucket/dags``.
    :raises ConfigurationError: fsspec does not know it, or needs a package for it.
    """
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    # That cache would show what was there before. A directory has no such option.
    options = {"use_listings_cache": False} if "://" in url else {}
    try:
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


class _ObjectStore:
    """Whose files are written whole: an object is there once its request has succeeded."""

    def __init__(self, name: str, files: Any, root: str) -> None:
        self.name, self._files, self._root = name, files, root.rstrip("/")

    def paths(self) -> set[str]:
        with _explained(self.name):
            found = self._files.find(self._root)
        below = [one.removeprefix(f"{self._root}/") for one in found if one.startswith(f"{self._root}/")]
        return {path for path in below if path and not path.endswith("/")}  # a console makes objects for folders

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
        self.name, self._root = name, root

    def paths(self) -> set[str]:
        found: set[str] = set()
        with _explained(self.name):
            for directory, _, names in os.walk(self._root, onerror=_unless_missing):
                found |= {os.path.relpath(os.path.join(directory, one), self._root) for one in names}
        return found

    def read(self, paths: Collection[str]) -> dict[str, bytes]:
        contents = {}
        with _explained(self.name):
            for path in paths:
                try:
                    with open(self._place(path), "rb") as file:
                        contents[path] = file.read()
                except (FileNotFoundError, NotADirectoryError):
                    continue
        return contents

    def write(self, path: str, content: bytes) -> None:
        with _explained(f"{self.name}: {path}"):
            place = self._made_place(path)
            part = f"{os.path.dirname(place)}/{PREFIX}{uuid4().hex}.part"
            try:
                with open(part, "xb") as file:
                    file.write(content)
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
            place = self._made_place(path)
            if os.path.lexists(place):
                os.unlink(place)

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _made_place(self, path: str) -> str:
        """:raises DeployError: a link in the target leads out of it."""
        place = self._place(path)
        parent = os.path.dirname(place)
        os.makedirs(parent, exist_ok=True)
        if not f"{os.path.realpath(parent)}/".startswith(f"{os.path.realpath(self._root)}/"):
            raise DeployError(
                f"{place}: a link leads out of {self.name}; nothing is written behind it: remove the link"
            )
        return place


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """:raises TargetRefused, TargetUnavailable: for what a file system of fsspec raises: each has kinds of its own."""
    try:
        yield
    except DeployError:
        raise
    except PermissionError as error:
        raise TargetRefused(
            f"{place}: {error}; give this user the right to list, read, write and remove there"
        ) from error
    except FileNotFoundError as error:
        raise TargetRefused(f"{place}: {error}; create the bucket first") from error
    except Exception as error:
        kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
        raise TargetUnavailable(f"{place}: {kind}{error}; the same command goes on where this one has ended") from error


def is_record(path: str) -> bool:
    """Whether a file of the target is ours, and none of a DAG folder."""
    return PurePosixPath(path).name.startswith(PREFIX)
