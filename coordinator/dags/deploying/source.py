"""The files of a directory that are to be deployed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.dags.deploying.planning import Action, Change, Digests
from coordinator.dags.deploying.records import Origin, digest_of
from coordinator.dags.ignored import NAME, IgnoreSyntax, files_below
from coordinator.dags.marker import Marker, marker_of
from coordinator.dags.templating.dag_ids import dag_ids_of
from coordinator.errors import ConfigurationError

MOST_BYTES: Final = 100_000_000
"""Of a file: what is greater belongs beside the DAGs, and not among them."""


@dataclass(frozen=True, slots=True)
class Source:
    """The files of a directory.

    :ivar files: the digest of each.
    :ivar generated: those that were generated.
    :ivar refused: files that make a DAG that another one makes too.
    """

    files: Digests
    generated: frozenset[str]
    origin: Origin
    refused: tuple[Change, ...]


def read_source(directory: Path) -> Source:
    """Read every file. Hidden files are left out, except .airflowignore; so is compiled bytecode.

    :raises ConfigurationError: a file cannot be read, or is none that can be deployed; there are no files.
    """
    if not directory.is_dir():
        raise ConfigurationError(f"{directory}: expected a directory of DAG files, found none")
    try:
        read = {path: _read(directory, path) for path in sorted(_below(directory, ""))}
        found = {path: digest for path, (digest, _, _) in read.items()}
        refused = tuple(_same_dags(directory, {path: made for path, (_, _, made) in read.items()}, found))
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: cannot be read: {error.strerror}; make it readable") from error
    if not found:
        raise ConfigurationError(
            f"{directory}: expected DAG files, found none: nothing is deployed, as that would remove everything; if it "
            "is meant, remove the files from the target"
        )
    markers = {path: marker for path, (_, marker, _) in read.items() if marker is not None}
    origin = Origin(
        names=tuple(sorted({one.name for one in markers.values()})),
        environments=tuple(sorted({one.environment for one in markers.values()})),
    )
    return Source(found, frozenset(markers), origin, refused)


def _read(directory: Path, path: str) -> tuple[str, Marker | None, tuple[str, ...]]:
    """The digest of a file, its marker, and the DAGs that it makes."""
    content = read_file(directory, path)
    return digest_of(content), marker_of(content), dag_ids_of(content) if path.endswith(".py") else ()


def _same_dags(directory: Path, made: Mapping[str, tuple[str, ...]], digests: Digests) -> Iterator[Change]:
    """Of two files that make one DAG the second, unless .airflowignore, in whichever syntax, names one of them."""
    if len(every := [dag_id for some in made.values() for dag_id in some]) == len(set(every)):
        return
    first: dict[str, str] = {}
    read_by_airflow = _read_by_airflow(directory)
    for path in (path for path in made if path in read_by_airflow):
        for dag_id in made[path]:
            if (other := first.setdefault(dag_id, path)) != path:
                reason = f"makes the DAG {dag_id}, as {other} does: Airflow shows it once, with either content"
                remedy = "deploy the folder of one environment, rename one of them, or name one in .airflowignore"
                yield Change(path, Action.REFUSED, None, digests[path], reason, remedy)
                break


def _read_by_airflow(directory: Path) -> set[str]:
    found = [{path.relative_to(directory).as_posix() for path in files_below(directory, IgnoreSyntax.GLOB)}]
    with suppress(ConfigurationError):  # it is in the other syntax
        found.append({path.relative_to(directory).as_posix() for path in files_below(directory, IgnoreSyntax.REGEXP)})
    return set.intersection(*found)


def read_file(directory: Path, path: str) -> bytes:
    """A file of the source. :raises ConfigurationError: it is too large, or leads out of the directory."""
    file = directory / path
    inside = file.resolve()
    if not inside.is_relative_to(directory.resolve()):
        raise ConfigurationError(f"{file}: expected a file, found a link out of {directory}; copy the file itself")
    # A file that has become a link since is not followed.
    with open(os.open(inside, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as opened:
        content = opened.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{file}: more than {MOST_BYTES:,} bytes; keep it elsewhere, such as in a bucket")
    return content


def _below(directory: Path, prefix: str) -> Iterator[str]:
    with os.scandir(directory / prefix) as found:
        entries = list(found)
    for entry in entries:
        path = f"{prefix}{entry.name}"
        if (entry.name.startswith(".") and entry.name != NAME) or entry.name == "__pycache__":
            continue
        if not entry.name.isprintable() or "\\" in entry.name:
            raise ConfigurationError(
                f"{directory}/{path!r}: expected a name without control characters and backslashes; rename it"
            )
        if entry.is_dir():
            if entry.is_symlink():
                raise ConfigurationError(f"{directory}/{path}: expected a directory, found a link; copy it instead")
            yield from _below(directory, f"{path}/")
        elif entry.is_file() and not entry.name.endswith(".pyc"):
            yield path
        elif not entry.is_file():
            raise ConfigurationError(f"{directory}/{path}: expected a file, found something else; take it away")
