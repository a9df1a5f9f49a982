"""``coordinator dags``: DAG files from templates and a configuration, checked, and brought to where Airflow reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import JsonOption
from coordinator.cli.output import print_json, say
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.dags.configuration import Configuration
    from coordinator.dags.generating import Comparison, Rendered

dags = typer.Typer(
    name="dags",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Make DAG files from templates and a configuration, check any DAG files, and deploy them.

    Needs the extra 'dags'; docs/dags.md has an example.

    Example: [bold]coordinator dags generate dags.yaml[/bold]
    """,
)

_FILE = Path("dags.yaml")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration: YAML, or JSON as *.json.")]
EnvironmentsOption = Annotated[
    list[str] | None,
    typer.Option("--environment", "-e", metavar="NAME", help="Only this one; may be repeated.", show_default="each"),
]


@dags.command()
def generate(
    file: FileArgument = _FILE,
    *,
    environment: EnvironmentsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The directory to write to.", show_default="as the configuration says"),
    ] = None,
    check_only: Annotated[
        bool, typer.Option("--check", help="For CI: write nothing. Exit code 1, with a diff, where files would change.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a DAG file for each entry, in a directory for each deployment environment.

    The same configuration gives the same bytes. Nothing is written unless every file compiles and makes the DAG of its
    entry. A file that no entry makes any more is removed; one that was not generated, or was changed by hand, is
    neither removed nor overwritten: exit code 1.

    Example: [bold]coordinator dags generate dags.yaml --check[/bold]
    """
    from coordinator.cli.dags_output import changes_as_json, print_changes, print_findings
    from coordinator.dags.generating import Action, write

    _require_extra()
    configuration, rendered = _rendered(file, environment)
    comparison = _compared(output or file.parent / configuration.output, configuration, rendered, environment)
    findings = sorted({*rendered.findings, *comparison.findings})
    differs = any(one.action != Action.UNCHANGED for one in comparison.changes)
    if not findings and not check_only:
        write(comparison.changes)
    if as_json:
        print_json(changes_as_json(comparison.changes, findings, written=not findings and not check_only))
    elif findings:
        print_findings(findings, in_what=str(file))
    else:
        print_changes(comparison.changes, check_only=check_only)
    if findings or (check_only and differs):
        raise typer.Exit(ExitCode.PROBLEM)


@dags.command()
def check(
    file: FileArgument = _FILE,
    *,
    environment: EnvironmentsOption = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema, for editors, and check nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration and its templates: every problem, with file, line and entry. Nothing is written.

    Each template is rendered for each environment; each output has to compile, and to make the DAG of its entry.
    'coordinator dags generate --check' compares with the files that are there; 'coordinator dags lint' imports them.

    Example: [bold]coordinator dags check dags.yaml --environment prod[/bold]
    """
    from coordinator.cli.dags_output import findings_as_json, print_findings

    _require_extra()
    if schema:
        from coordinator.dags.configuration import json_schema

        print_json(json_schema())
        return
    configuration, rendered = _rendered(file, environment)
    if as_json:
        print_json({"file": str(file), "files": len(rendered.contents), **findings_as_json(rendered.findings)})
    elif rendered.findings:
        print_findings(rendered.findings, in_what=str(file))
    else:
        files = counted(sum(name.endswith(".py") for _, name in rendered.contents), "DAG file")
        say(
            f"{file}: good: {counted(len(configuration.dags), 'DAG')}, {files} in all environments; nothing was written"
        )
    if rendered.findings:
        raise typer.Exit(ExitCode.PROBLEM)


def _require_extra() -> None:
    """:raises ConfigurationError: a package of the extra is not installed."""
    from importlib.util import find_spec

    from coordinator.errors import ConfigurationError

    missing = [name for name in ("yaml", "jinja2", "pathspec", "fsspec") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)}: not installed, which 'coordinator dags' needs; install the extra 'dags': "
            "pip install '.[dags]'"
        )


def _rendered(file: Path, environments: list[str] | None) -> tuple[Configuration, Rendered]:
    from coordinator.dags.configuration import read_configuration
    from coordinator.dags.generating import render

    configuration = read_configuration(file)
    for name in environments or ():
        if name not in configuration.environments:
            there = ", ".join(sorted(configuration.environments))
            raise typer.BadParameter(f"{file} has no environment {name}; there are {there}", param_hint="--environment")
    return configuration, render(file, configuration, sorted({*(environments or configuration.environments)}))


def _compared(
    output: Path, configuration: Configuration, rendered: Rendered, environments: list[str] | None
) -> Comparison:
    """What would change, and what is in the way. Where an entry is wrong nothing is compared: its file is no orphan."""
    from coordinator.dags.generating import Comparison, compare, same_dag_elsewhere

    if rendered.findings:
        return Comparison([], [])
    comparison = compare(output, rendered.contents, name=configuration.name, environments=environments)
    syntax, folders = configuration.ignore_syntax, configuration.non_dag_folders
    doubles = list(same_dag_elsewhere(output, rendered.contents, syntax, folders))
    return Comparison(comparison.changes, [*comparison.findings, *doubles])
