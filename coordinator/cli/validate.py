"""``coordinator validate``: is this dependencies.json good?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import JsonOption
from coordinator.cli.output import print_json, say

if TYPE_CHECKING:
    from coordinator.model.dependencies import Document
    from coordinator.model.parsing import Problem


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
    as_json: JsonOption = False,
) -> None:
    """Check a dependencies.json: every problem, with line, column, path and reason.

    Exit code 1 when there is one. Without a configuration any environment's name is accepted.

    Example: [bold]coordinator validate dependencies.json --environments-from coordinator.toml[/bold]
    """
    from coordinator.model.parsing import DependenciesError, json_schema, parse_document
    from coordinator.settings import load_settings

    if schema:
        print_json(json_schema())
        return
    environments = None if environments_from is None else sorted(load_settings(environments_from).environments)
    document: Document = {}
    problems: tuple[Problem, ...] = ()
    try:
        document = parse_document(read_file(file), source=str(file), environments=environments)
    except DependenciesError as error:
        problems = error.problems
        message = str(error)
    if as_json:
        print_json(_as_json(file, document, problems, environments))
    elif problems:
        say(message, lines=True)
        say(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in {file}")
    else:
        say(_summary(file, document, environments))
    if problems:
        raise typer.Exit(ExitCode.PROBLEM)


def read_file(file: Path) -> bytes:
    """The bytes of a dependencies.json; ``-`` is stdin. :raises ConfigurationError: it cannot be read."""
    from coordinator.errors import ConfigurationError

    try:
        return typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}; expected a dependencies.json") from error


def _as_json(
    file: Path, document: Document, problems: tuple[Problem, ...], environments: list[str] | None
) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "file": str(file),
        "ok": not problems,
        "pipelines": len(document),
        "dependencies": _count(document),
        "environments": environments,
        "problems": [asdict(problem) for problem in problems],
    }


def _summary(file: Path, document: Document, environments: list[str] | None) -> str:
    text = f"{file}: good: {len(document)} pipelines, {_count(document)} dependencies"
    if environments is None:
        text += "; names of environments not checked (--environments-from)"
    return text


def _count(document: Document) -> int:
    from coordinator.model.conditions import leaves

    return sum(1 for downstream in document.values() for _ in leaves(downstream.condition))
