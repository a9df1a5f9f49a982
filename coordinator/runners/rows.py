"""Reading the rows over which a pipeline fans out: from the entry's own conf, or from a file of a configured source.

It is done where requests are sent: a file system may be slow, and what it refuses is shown as what an environment
refuses is. Reading changes nothing, so it may be repeated.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from coordinator.config.items import PARTITION, RowFiles
from coordinator.model import bounds
from coordinator.model.items.reading import BadRows, checked_rows, read_rows
from coordinator.model.printable import printable
from coordinator.runners.port import (
    NO_TASKS,
    Changed,
    EnvironmentReport,
    ListPlace,
    Looked,
    NotHappened,
    Outcome,
    Permit,
    Refused,
    RowsRead,
    RowsWanted,
    Runner,
    RunOrTask,
    RunRef,
    StartRequest,
)

_UNUSABLE = 422


class Files(Protocol):
    """Files with rows, by the names of their sources."""

    def read(self, source: str, partition: str) -> tuple[bytes, str]:
        """The content of the file of a partition, and its path. :raises BadRows: it cannot be read."""


class ConfiguredFiles:
    """The files that the settings name. :param sources: by name."""

    def __init__(self, sources: Mapping[str, RowFiles]) -> None:
        self._sources = sources

    def read(self, source: str, partition: str) -> tuple[bytes, str]:
        settings = self._sources.get(source)
        if settings is None:
            known = ", ".join(sorted(self._sources)) or "none"
            raise BadRows(f"no source of rows {source!r} is configured: add [items.{source}]; configured: {known}")
        names = [_name(part, partition) for part in settings.file.split("/")]
        path = "/".join([str(settings.directory), *names])
        try:
            content = _read_below(settings.directory, names, most=settings.max_bytes + 1)
        except OSError as error:
            raise BadRows(f"{printable(path, limit=bounds.DETAIL)}: {_reason(error)}") from error
        if len(content) > settings.max_bytes:
            shown = printable(path, limit=bounds.DETAIL)
            raise BadRows(f"{shown}: more than {settings.max_bytes} bytes (items.{source}.max_bytes)")
        return content, path


def _name(part: str, partition: str) -> str:
    """One name of a path. A partition is a part of one name only, and never makes ``..`` of it."""
    spelled = quote(partition, safe=":+~", errors="surrogatepass")
    name = part.replace(PARTITION, spelled)
    if name.startswith(".") and not part.startswith("."):
        name = "%2E" + name[1:]
    return name


def _read_below(directory: Path, names: Sequence[str], *, most: int) -> bytes:
    """Read a regular file. No name below the directory may be a symbolic link, so that none leads out of it."""
    at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number, name in enumerate(names, 1):
            kind = os.O_NONBLOCK if number == len(names) else os.O_DIRECTORY
            inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=at)
            os.close(at)
            at = inner
        if not stat.S_ISREG(os.fstat(at).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        pieces, left = [], most
        while left and (piece := os.read(at, min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(at)


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a symbolic link, which is not followed"
    return (error.strerror or str(error)).lower() if error.errno != errno.EINVAL else error.strerror or str(error)


class _NoFiles:
    def read(self, source: str, partition: str) -> tuple[bytes, str]:
        del partition
        raise BadRows(f"no source of rows {source!r} is configured: add [items.{source}]")


NO_FILES: Files = _NoFiles()


class WithRows:
    """An environment, and rows beside it. :param now: the present time."""

    def __init__(self, runner: Runner, files: Files, *, now: Callable[[], datetime]) -> None:
        self._runner = runner
        self._files = files
        self._now = now

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        if request.rows is None:
            return self._runner.start(request, permit=permit)
        try:
            return self._read(request.rows, request.partition)
        except BadRows as error:
            return Refused(_UNUSABLE, str(error))

    def ask(self, request: StartRequest) -> Outcome:
        if request.rows is None:
            return self._runner.ask(request)
        return NotHappened("rows are read again")

    def look(self, asked: Sequence[RunOrTask], *, timeout: float) -> Looked:
        return self._runner.look(asked, timeout=timeout)

    def changed_runs(self, since: datetime | None, *, place: ListPlace, timeout: float) -> Changed:
        return self._runner.changed_runs(since, place=place, timeout=timeout)

    def stop(self, ref: RunRef, *, before: datetime | None, permit: Permit | None = None) -> Outcome:
        return self._runner.stop(ref, before=before, permit=permit)

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        return self._runner.check(dag_ids, tasks=tasks)

    def close(self) -> None:
        self._runner.close()

    def _read(self, wanted: RowsWanted, partition: str) -> RowsRead:
        """:raises BadRows: nothing is to be started."""
        items = wanted.items
        if items.conf:
            source = f"conf.{items.conf}"
            if items.conf not in wanted.conf:
                raise BadRows(f"the entry's conf has no {items.conf!r}")
            by_key = checked_rows(wanted.conf[items.conf], key=items.key, source=source)
        else:
            content, source = self._files.read(items.file, partition)
            source = printable(source, limit=bounds.DETAIL)
            by_key = read_rows(content, key=items.key, source=source)
        return RowsRead(by_key, source, items.on_empty, self._now())
