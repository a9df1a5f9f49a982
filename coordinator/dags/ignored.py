"""``.airflowignore``: what Airflow does not look at when it searches a directory for DAGs.

By Airflow's own rules (``airflow/_shared/module_loading/file_discovery.py`` of Airflow 3.3): a pattern of the syntax
``glob`` is one of .gitignore, one of ``regexp`` is searched for in the path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from coordinator.dags.marker import marked
from coordinator.errors import ConfigurationError

NAME: Final = ".airflowignore"


class IgnoreSyntax(StrEnum):
    """How Airflow reads .airflowignore: its setting ``[core] dag_ignore_file_syntax``."""

    GLOB = "glob"
    REGEXP = "regexp"


def ignore_file(folders: Iterable[str], syntax: IgnoreSyntax, *, name: str, environment: str) -> bytes:
    """The .airflowignore of a directory that has these folders without DAGs, with the marker of a configuration."""
    lines = [f"/{one}/" if syntax == IgnoreSyntax.GLOB else f"^{re.escape(one)}/" for one in sorted(set(folders))]
    return marked("".join(f"{line}\n" for line in lines), name=name, entry=NAME, environment=environment)


def files_below(directory: Path, syntax: IgnoreSyntax) -> Iterator[Path]:
    """The files of a directory that Airflow looks at, sorted; no hidden one, and nothing behind a symbolic link to a
    directory.

    :raises ConfigurationError: a pattern is none.
    """
    yield from _below(directory, directory, [], syntax)


_Rule = Callable[[PurePosixPath, bool], bool | None]
"""Of a path below the directory, and whether that is one: ignored, taken back, or no word about it."""


def _below(root: Path, directory: Path, above: list[_Rule], syntax: IgnoreSyntax) -> Iterator[Path]:
    rules = [*above, *_rules(root, directory, syntax)]
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = Path(entry.path)
        is_directory = entry.is_dir(follow_symlinks=False)
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if _is_ignored(PurePosixPath(path.relative_to(root).as_posix()), rules, is_directory=is_directory):
            continue
        if is_directory:
            yield from _below(root, path, rules, syntax)
        elif entry.is_file():
            yield path


def _is_ignored(path: PurePosixPath, rules: list[_Rule], *, is_directory: bool) -> bool:
    said = [verdict for rule in rules if (verdict := rule(path, is_directory)) is not None]
    return bool(said) and said[-1]  # a later pattern can take back an earlier one


def _rules(root: Path, directory: Path, syntax: IgnoreSyntax) -> Iterator[_Rule]:
    file = directory / NAME
    if not file.is_file():
        return
    for at, line in enumerate(file.read_text(encoding="utf-8", errors="replace").split("\n")):
        pattern = re.sub(r"\s*#.*", "", line)
        if pattern and syntax == IgnoreSyntax.REGEXP:
            yield _regexp(pattern, f"{file}:{at + 1}")
        elif pattern and pattern.strip() != "/":
            yield _glob(pattern, directory.relative_to(root).as_posix())


def _regexp(pattern: str, place: str) -> _Rule:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(
            f"{place}: expected a regular expression, found {pattern!r}: {error}; correct it, or read the file with "
            "--ignore-syntax glob"
        ) from None
    return lambda path, _: True if expression.search(str(path)) else None


def _glob(pattern: str, base: str) -> _Rule:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    spec = GitIgnoreSpecPattern(pattern)
    is_of_place = "/" in pattern.rstrip("/")
    is_of_directories = pattern.lstrip("!").rstrip().endswith("/")

    def rule(path: PurePosixPath, is_directory: bool) -> bool | None:
        if is_of_directories and not is_directory:
            return None
        name = str(path.relative_to(base)) if is_of_place else path.name
        return spec.include if spec.match_file(f"{name}/" if is_directory else name) is not None else None

    return rule
