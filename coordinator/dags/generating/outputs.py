"""What generating would change on disk."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from coordinator.dags.finding import Finding
from coordinator.dags.ignored import NAME, IgnoreSyntax, files_below
from coordinator.dags.marker import LONGEST, Marker, marker_of
from coordinator.dags.templating.dag_ids import dags_in
from coordinator.errors import ConfigurationError

_MOST_BYTES: Final = 5_000_000
"""Of a file whose DAGs are read; a greater one is no DAG file."""


class Action(StrEnum):
    """What becomes of a file."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """A file of ours.

    :ivar before: its bytes; ``None``: it is not there.
    :ivar after: the bytes that it is to have; ``None``: it is not to be there.
    """

    path: Path
    before: bytes | None
    after: bytes | None

    @property
    def action(self) -> Action:
        if self.before == self.after:
            return Action.UNCHANGED
        if self.before is None:
            return Action.CREATE
        return Action.UPDATE if self.after is not None else Action.REMOVE

    def diff(self) -> Iterator[str]:
        """The lines of a unified diff."""
        return difflib.unified_diff(
            _lines(self.before),
            _lines(self.after),
            "/dev/null" if self.before is None else str(self.path),
            "/dev/null" if self.after is None else str(self.path),
            lineterm="",
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What would change. :ivar findings: what is in the way; then nothing is to be written."""

    changes: list[Change]
    findings: list[Finding]


def compare(
    output: Path, wanted: Mapping[tuple[str, str], bytes], *, name: str, environments: Sequence[str] | None = None
) -> Comparison:
    """Compare what is wanted with what is there.

    :param output: the directory that has one for each environment.
    :param wanted: the bytes of each file, by its environment and its name.
    :param name: of the configuration: files with its marker that nobody wants are orphans, and are removed.
    :param environments: look at these only; ``None``: at every directory, so that what an environment has left behind
        that is gone is removed.
    :raises ConfigurationError: something cannot be read.
    """
    paths = {output / environment / file: content for (environment, file), content in wanted.items()}
    try:
        there = {path for path in _candidates(output, environments) if _is_of(path, name)}
        found = [_compare(path, paths.get(path), name) for path in sorted({*paths, *there})]
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename}: cannot be read: {error.strerror}; expected a directory of DAG files"
        ) from error
    return Comparison(
        [one for one in found if isinstance(one, Change)], [one for one in found if isinstance(one, Finding)]
    )


def same_dag_elsewhere(
    output: Path, wanted: Mapping[tuple[str, str], bytes], syntax: IgnoreSyntax, folders: Sequence[str]
) -> Iterator[Finding]:
    """DAGs of other files of an environment's directory that have the dag_id of an entry."""
    for environment in sorted({environment for environment, _ in wanted}):
        directory = output / environment
        if not directory.is_dir():
            continue
        for path in files_below(directory, syntax):
            below = path.relative_to(directory).as_posix()
            if (
                path.suffix != ".py"
                or (environment, below) in wanted
                or below.startswith(tuple(f"{f}/" for f in folders))
            ):
                continue
            for line, dag_id in _dags_of(path):
                if (environment, f"{dag_id}.py") in wanted:
                    reason = f"this file makes the DAG {dag_id} too, which Airflow then shows once, with either content"
                    remedy = "rename one of them, or list the folder under non_dag_folders"
                    yield Finding(str(path), line, "dag-id", reason, remedy, dag_id or "", environment)


def _dags_of(path: Path) -> Iterator[tuple[int, str | None]]:
    content = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    if marker_of(content) is not None:
        return  # generated: by this configuration, and so an orphan, or by another one, whose name is another
    try:
        yield from dags_in(ast.parse(content))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # `dags lint` says so


def _candidates(output: Path, environments: Sequence[str] | None) -> Iterator[Path]:
    """Files that could be ours: Python files, and what is to be ignored, in the directories of environments."""
    if not output.exists():
        return
    for directory in sorted(output.iterdir()):
        if (
            directory.is_symlink()
            or not directory.is_dir()
            or (environments is not None and directory.name not in environments)
        ):
            continue
        for path in sorted(directory.iterdir()):
            if (path.suffix == ".py" or path.name == NAME) and path.is_file() and not path.is_symlink():
                yield path


def _is_of(path: Path, name: str) -> bool:
    with path.open("rb") as file:
        head = file.read(LONGEST)
    marker = marker_of(head)
    return marker is not None and marker.name == name


def _compare(path: Path, after: bytes | None, name: str) -> Change | Finding:
    before = bytes_there(path)
    if isinstance(before, Finding) or before is None or before == after:
        return before if isinstance(before, Finding) else Change(path, before, after)
    return _in_the_way(path, marker_of(before), after, name) or Change(path, before, after)


def bytes_there(path: Path) -> bytes | Finding | None:
    """The bytes of a file; ``None``: it is not there; a finding: something else is there.

    :raises OSError: it cannot be read.
    """
    if path.parent.is_symlink():
        reason = "expected a directory to write to, found a link"
        return Finding(str(path.parent), 0, "not-ours", reason, "name the place itself with --output, or in 'output'")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return Finding(
            str(path), 0, "not-ours", "expected a file to write, found a link or a directory", "move it away"
        )
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _in_the_way(path: Path, marker: Marker | None, after: bytes | None, name: str) -> Finding | None:
    if marker is None or marker.name != name:
        whose = f"is of the configuration {marker.name}" if marker is not None else "was not generated"
        return Finding(str(path), 0, "not-ours", f"the file {whose}, and is not overwritten", "move or rename it")
    if not marker.is_intact:
        what = "overwritten" if after is not None else "removed, though no entry makes it any more"
        return Finding(
            str(path),
            0,
            "changed-by-hand",
            f"the file was changed since it was generated, and is not {what}",
            "bring the change into the template or the configuration, then remove the file",
            marker.entry,
        )
    return None


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode(errors="replace").split("\n")[:-1]
