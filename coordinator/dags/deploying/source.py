"""The files of a directory that are to be deployed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coordinator.dags.deploying.planning import Digests
from coordinator.dags.deploying.records import digest_of
from coordinator.dags.ignored import NAME
from coordinator.errors import ConfigurationError

MOST_BYTES: Final = 100_000_000
"""Of a file: what is greater belongs beside the DAGs, and not among them."""


def read_source(directory: Path) -> Digests:
    """The digest of each file, by its path. Hidden files are left out, except .airflowignore; so is compiled bytecode.

    :raises ConfigurationError: a file cannot be read, or is none that can be deployed; there are no files.
    """
    if not directory.is_dir():
        raise ConfigurationError(f"{directory}: expected a directory of DAG files, found none")
    try:
        found = {path: digest_of(read_file(directory, path)) for path in sorted(_below(directory, ""))}
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: cannot be read: {error.strerror}; make it readable") from error
    if not found:
        raise ConfigurationError(
            f"{directory}: expected DAG files, found none: nothing is deployed, as that would remove everything; if it "
            "is meant, remove the files from the target"
        )
    return found


def read_file(directory: Path, path: str) -> bytes:
    """A file of the source. :raises ConfigurationError: it is too large, or leads out of the directory."""
    file = directory / path
    if not file.resolve().is_relative_to(directory.resolve()):
        raise ConfigurationError(f"{file}: expected a file, found a link out of {directory}; copy the file itself")
    if file.stat().st_size > MOST_BYTES:
        raise ConfigurationError(f"{file}: more than {MOST_BYTES:,} bytes; keep it elsewhere, such as in a bucket")
    return file.read_bytes()


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
