"""Brings the files on disk to what is wanted. Each is written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from coordinator.dags.finding import Finding
from coordinator.dags.generating.outputs import Action, Change, bytes_there
from coordinator.errors import ConfigurationError


def write(changes: Iterable[Change]) -> None:
    """Carry out changes. Done again after an interruption, it goes on: what is done is unchanged by then.

    :raises ConfigurationError: a file cannot be written or removed, or is not as it was when it was compared.
    """
    for change in changes:
        try:
            if change.action == Action.UNCHANGED or _is_done(change):
                continue
            if change.action == Action.REMOVE:
                change.path.unlink(missing_ok=True)
                _remove_if_empty(change.path.parent)
            elif change.after is not None:
                change.path.parent.mkdir(parents=True, exist_ok=True)
                _replace(change.path, change.after)
        except OSError as error:
            raise ConfigurationError(
                f"{change.path}: cannot be written: {error.strerror}; make the directory writable, or choose another "
                "one with --output, and generate again"
            ) from error


def _is_done(change: Change) -> bool:
    """Whether somebody else has carried it out meanwhile: another one who generates.

    :raises ConfigurationError: somebody has changed the file, or put something else in its place.
    """
    there = bytes_there(change.path)
    if isinstance(there, Finding) or there not in (change.before, change.after):
        raise ConfigurationError(
            f"{change.path}: changed while it was generated; it is left as it is, and the files after it, too: "
            "generate again"
        )
    return there == change.after


def _replace(path: Path, content: bytes) -> None:
    whole = path.with_name(f".coordinator-dags-{uuid4().hex}")  # neither Airflow nor `dags deploy` looks at it
    try:
        with whole.open("xb") as file:  # and nobody can have put a link there
            file.write(content)
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)


def _remove_if_empty(directory: Path) -> None:
    if not any(directory.iterdir()):
        directory.rmdir()
