"""``.airflowignore``: what Airflow does not look at when it searches a directory for DAGs.

By Airflow's own rules (``airflow/_shared/module_loading/file_discovery.py`` of Airflow 3.3): a pattern of the syntax
``glob`` is one of .gitignore, one of ``regexp`` is searched for in the path. For some names some patterns of both take
for ever, and no signal interrupts them: they are matched in a process of their own (``ignore_child``), with a limit.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from coordinator.dags.marker import marked
from coordinator.errors import ConfigurationError

NAME: Final = ".airflowignore"
TIME_LIMIT: Final = 30.0
"""Seconds for the patterns, at each depth of a directory."""
_MOST_NAMED: Final = 5


class IgnoreSyntax(StrEnum):
    """How Airflow reads .airflowignore: its setting ``[core] dag_ignore_file_syntax``."""

    GLOB = "glob"
    REGEXP = "regexp"


def ignore_file(folders: Iterable[str], syntax: IgnoreSyntax, *, name: str, environment: str) -> bytes:
    """The .airflowignore of a directory that has these folders without DAGs, with the marker of a configuration."""
    lines = [f"/{one}/" if syntax == IgnoreSyntax.GLOB else f"^{re.escape(one)}/" for one in sorted(set(folders))]
    return marked("".join(f"{line}\n" for line in lines), name=name, entry=NAME, environment=environment)


def files_below(directory: Path, syntax: IgnoreSyntax) -> list[Path]:
    """The files of a directory that Airflow looks at, sorted; no hidden one, and nothing behind a symbolic link to a
    directory.

    :raises ConfigurationError: a pattern is none, or takes too long.
    """
    files: list[Path] = []
    level = [_Folder(directory, ())]
    while level:
        listed = [_listed(directory, folder, syntax) for folder in level]
        level = []
        for (folder, entries), ignored in zip(listed, _ignored(directory, listed, syntax), strict=True):
            kept = [entry for entry, is_ignored in zip(entries, ignored, strict=True) if not is_ignored]
            level += [_Folder(Path(one.path), folder.rules) for one in kept if one.is_dir(follow_symlinks=False)]
            files += [Path(one.path) for one in kept if one.is_file() and not one.is_dir(follow_symlinks=False)]
    return sorted(files, key=attrgetter("parts"))


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern. :ivar base: the directory that it is about, below the first one. :ivar place: where it stands."""

    pattern: str
    base: str
    place: str


@dataclass(frozen=True, slots=True)
class _Folder:
    """A directory. :ivar rules: those of the directories above it, and once it is listed its own."""

    path: Path
    rules: tuple[_Rule, ...]


def _listed(root: Path, folder: _Folder, syntax: IgnoreSyntax) -> tuple[_Folder, list[os.DirEntry[str]]]:
    with os.scandir(folder.path) as entries:
        found = [one for one in entries if not one.name.startswith(".") and one.name != "__pycache__"]
    return _Folder(folder.path, (*folder.rules, *_rules(root, folder.path, syntax))), found


def _rules(root: Path, directory: Path, syntax: IgnoreSyntax) -> Iterator[_Rule]:
    file = directory / NAME
    if not file.is_file():
        return
    for at, line in enumerate(file.read_text(encoding="utf-8", errors="replace").split("\n")):
        pattern = re.sub(r"\s*#.*", "", line)
        if pattern and (syntax == IgnoreSyntax.REGEXP or pattern.strip() != "/"):
            yield _Rule(pattern, directory.relative_to(root).as_posix(), f"{file}:{at + 1}")


def _ignored(
    root: Path, listed: Sequence[tuple[_Folder, list[os.DirEntry[str]]]], syntax: IgnoreSyntax
) -> list[list[bool]]:
    """Of each entry of each directory, whether a pattern names it."""
    rules = list(dict.fromkeys(rule for folder, _ in listed for rule in folder.rules))
    if not rules:
        return [[False] * len(entries) for _, entries in listed]
    at = {rule: number for number, rule in enumerate(rules)}
    work = {
        "regexp": syntax == IgnoreSyntax.REGEXP,
        "rules": [[rule.pattern, rule.base] for rule in rules],
        "folders": [
            {
                "rules": [at[rule] for rule in folder.rules],
                "entries": [
                    [Path(one.path).relative_to(root).as_posix(), one.is_dir(follow_symlinks=False)] for one in entries
                ],
            }
            for folder, entries in listed
        ],
    }
    answer = _matched(work)
    if answer is None:
        files = ", ".join(sorted({rule.place.rpartition(":")[0] for rule in rules})[:_MOST_NAMED])
        raise ConfigurationError(
            f"{files}: the patterns are not matched after {TIME_LIMIT:g} s, or take too much memory; look for a "
            "repetition within a repetition, such as (a+)+, or for many of them in a row, such as *a*a*a"
        )
    if "wrong" in answer:
        wrong = rules[answer["wrong"]]
        kind, other = ("regular expression", "glob") if syntax == IgnoreSyntax.REGEXP else ("glob", "regexp")
        raise ConfigurationError(
            f"{wrong.place}: expected a {kind}, found {_shown(wrong)}: {answer['reason']}; correct it, or read the "
            f"file with --ignore-syntax {other}"
        )
    ignored: list[list[bool]] = answer["ignored"]
    return ignored


def _matched(work: dict[str, Any]) -> dict[str, Any] | None:
    """What ``ignore_child`` answers; ``None``: it is not done in time, or has ended without an answer."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "coordinator.dags.ignore_child"],
            input=json.dumps(work).encode(),
            capture_output=True,
            timeout=TIME_LIMIT,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _shown(rule: _Rule) -> str:
    """The pattern, unless a link leads to it: it may be part of a secret."""
    return "none" if Path(rule.place.rpartition(":")[0]).is_symlink() else repr(rule.pattern)
