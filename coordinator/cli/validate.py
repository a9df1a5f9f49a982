"""``coordinator validate``: is this dependencies.json good?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import JsonOption
from coordinator.cli.output import print_json, say
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.model.dependencies import Document
    from coordinator.model.documents import Problem
    from coordinator.model.publishing.never_met import NeverMet


def validate(
    file: Annotated[Path, typer.Argument(help="The file; - reads stdin.")] = Path("dependencies.json"),
    *,
    environments_from: Annotated[
        Path | None,
        typer.Option(
            "--environments-from",
            "--config",
            "-c",
            envvar="COORDINATOR_CONFIG",
            help="A coordinator.toml: environments that it does not configure are refused.",
            show_default=False,
        ),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema, for editors, and check nothing.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Also fail if a dependency can never be met.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a dependencies.json: every problem, with line, column, path and reason.

    Exit code 1 when there is one. A dependency that can never be met, as its upstream is started in other partitions
    than it asks for, is a warning, and so is an upstream whose name looks mistyped. Without a configuration any
    environment's name is accepted.

    Example: [bold]coordinator validate dependencies.json --environments-from coordinator.toml[/bold]
    """
    from coordinator.config.settings import load_settings
    from coordinator.model.documents import DependenciesError, json_schema, parse_document
    from coordinator.model.publishing.misspelled import misspelled
    from coordinator.model.publishing.never_met import never_met

    if schema:
        print_json(json_schema())
        return
    environments = None if environments_from is None else sorted(load_settings(environments_from).environments)
    document: Document = {}
    problems: tuple[Problem, ...] = ()
    warnings: list[Problem] = []
    unmet: list[NeverMet] = []
    try:
        text = read_file(file)
        document = parse_document(text, source=str(file), environments=environments)
        unmet = list(never_met(document))
        warnings = _at_their_places(text, [*unmet, *misspelled(document)])
    except DependenciesError as error:
        problems = error.problems
        message = str(error)
    if as_json:
        print_json(_as_json(file, document, problems, warnings, environments))
    elif problems:
        say(message, lines=True)
        say(f"{counted(len(problems), 'problem')} in {file}")
    else:
        for warning in warnings:
            say(f"{file}:{warning.line}:{warning.column}: warning: {warning.path}: {warning.reason}; {warning.remedy}")
        say(_summary(file, document, warnings, environments))
    if problems or (strict and unmet):
        raise typer.Exit(ExitCode.PROBLEM)


def _at_their_places(text: bytes, found: Sequence[NeverMet]) -> list[Problem]:
    """Warnings, at the places of the entries that they are about."""
    from coordinator.model.documents import Problem, places_of_entries

    places = places_of_entries(text, {one.pipeline for one in found})
    warnings = [Problem(*places[one.pipeline], one.reason, one.remedy) for one in found]
    return sorted(warnings, key=lambda warning: (warning.line, warning.column))


def read_file(file: Path) -> bytes:
    """The bytes of a dependencies.json; ``-`` is stdin. :raises ConfigurationError: it cannot be read."""
    from coordinator.errors import ConfigurationError

    try:
        return typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}; expected a dependencies.json") from error


def _as_json(
    file: Path,
    document: Document,
    problems: tuple[Problem, ...],
    warnings: list[Problem],
    environments: list[str] | None,
) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "file": str(file),
        "ok": not problems,
        "pipelines": len(document),
        "dependencies": _count(document),
        "environments": environments,
        "problems": [asdict(problem) for problem in problems],
        "warnings": [asdict(warning) for warning in warnings],
    }


def _summary(file: Path, document: Document, warnings: list[Problem], environments: list[str] | None) -> str:
    dependencies = counted(_count(document), "dependency", "dependencies")
    text = f"{file}: good: {counted(len(document), 'pipeline')}, {dependencies}"
    if warnings:
        text += f"; {counted(len(warnings), 'warning')}"
    if environments is None:
        text += "; names of environments not checked (--environments-from)"
    return text


def _count(document: Document) -> int:
    from coordinator.model.conditions import leaves

    return sum(1 for downstream in document.values() for _ in leaves(downstream.condition))
