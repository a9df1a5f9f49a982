"""All checks of DAG files, generated or written by hand."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.dags.finding import Finding
from coordinator.dags.ignored import IgnoreSyntax, files_below
from coordinator.dags.linting.airflow_rules import READS_VARIABLES, airflow_rules, ruff_command
from coordinator.dags.linting.importing import import_files
from coordinator.errors import ConfigurationError
from coordinator.model.phrases import counted

_SAID_BY_A_DAG_FILE: Final = (b"dag", b"airflow")
"""Airflow imports only files that have both words (``might_contain_dag``)."""
_MOST_BYTES: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found.

    :ivar files: the Python files that were looked at.
    :ivar imported: those of them that Airflow would import.
    :ivar has_ruff: whether ruff's rules were among the checks.
    """

    findings: list[Finding]
    files: int
    imported: int
    has_ruff: bool


def lint(path: Path, *, python: Path, syntax: IgnoreSyntax, time_limit: float) -> Linted:
    """Check the DAG files of a directory, or one file.

    :param path: a DAG folder: its files may import each other. Of one file, the directory that it is in.
    :param python: the Python that has Airflow and what the DAGs need.
    :param syntax: of .airflowignore.
    :param time_limit: seconds for the import of a file.
    :raises ConfigurationError: there is no such path, or a program cannot be run.
    """
    root, files = _files_of(path, syntax)
    findings, whole = [], []
    for file in files:
        wrong = _syntax_error(file)
        (whole.append(file) if wrong is None else findings.append(wrong))
    ruff = ruff_command()
    findings += airflow_rules(ruff, whole) if ruff is not None else []
    of_airflow = [file for file in whole if _is_dag_file(file)]
    imported = import_files(root, of_airflow, python=python, time_limit=time_limit)
    findings += [*imported.findings, *_twice(imported.dag_ids)]
    if path.is_dir() and not of_airflow and not findings:
        findings.append(_nothing_in(path, len(files)))
    return Linted(sorted(set(_said_once(findings))), len(files), len(of_airflow), ruff is not None)


def _files_of(path: Path, syntax: IgnoreSyntax) -> tuple[Path, list[Path]]:
    try:
        if path.is_file():
            return path.parent, [path]
        return path, [file for file in files_below(path, syntax) if file.suffix == ".py"]
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; expected DAG files") from error


def _syntax_error(file: Path) -> Finding | None:
    try:
        if file.stat().st_size > _MOST_BYTES:
            return Finding(
                str(file), 0, "syntax", f"more than {_MOST_BYTES:,} bytes", "a DAG file is shorter: split it"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # these are ruff's
            compile(file.read_bytes(), str(file), "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except SyntaxError as error:
        return Finding(str(file), error.lineno or 0, "syntax", f"is not Python: {error.msg}", "correct it")
    except (ValueError, RecursionError, MemoryError) as error:
        return Finding(str(file), 0, "syntax", f"cannot be compiled: {type(error).__name__}: {error}", "correct it")
    except OSError as error:
        return Finding(str(file), 0, "syntax", f"cannot be read: {error.strerror}", "make it readable")
    return None


def _is_dag_file(file: Path) -> bool:
    content = file.read_bytes().lower()
    return all(word in content for word in _SAID_BY_A_DAG_FILE)


def _nothing_in(folder: Path, files: int) -> Finding:
    """A wrong path in CI would be good for ever."""
    there = f"{counted(files, 'Python file')}, and no DAG file among them" if files else "no Python file"
    remedy = "name the folder that has them; what .airflowignore names does not count"
    return Finding(str(folder), 0, "no-dag-file", f"expected DAG files, found {there}", remedy)


def _said_once(findings: list[Finding]) -> Iterator[Finding]:
    """Without what ruff says of a line of which the import says the same, as it is: a Variable is read there."""
    read = {(one.file, one.line) for one in findings if one.rule == "variable"}
    return (one for one in findings if not (one.rule == READS_VARIABLES and (one.file, one.line) in read))


def _twice(dag_ids: dict[Path, list[str]]) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for file, made in dag_ids.items():
        for dag_id in made:
            other = first.setdefault(dag_id, file)
            if other != file:
                reason = f"makes the DAG {dag_id}, as {other} does: Airflow shows it once, with either content"
                remedy = "rename one of them; folders that are deployed apart are linted apart"
                yield Finding(str(file), 0, "dag-id", reason, remedy)
