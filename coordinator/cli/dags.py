"""``coordinator dags``: DAG files from templates and a configuration, checked, and deployed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import JsonOption, WhoOption, YesOption
from coordinator.cli.output import print_json, say, say_lines
from coordinator.dags.ignored import IgnoreSyntax
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.cli.progress import Progress
    from coordinator.dags.configuration import Examined
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
    examined, rendered = _rendered(file, environment)
    comparison = _compared(file, output, examined, rendered, environment)
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
    if examined.findings:
        raise typer.Exit(ExitCode.USAGE)
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
    examined, rendered = _rendered(file, environment)
    if as_json:
        print_json({"file": str(file), "files": len(rendered.contents), **findings_as_json(rendered.findings)})
    elif rendered.findings:
        print_findings(rendered.findings, in_what=str(file))
    elif examined.sound is not None:
        files = counted(sum(name.endswith(".py") for _, name in rendered.contents), "DAG file")
        say(f"{file}: good: {counted(len(examined.sound.configuration.dags), 'DAG')}, {files}; nothing was written")
    if rendered.findings:
        raise typer.Exit(ExitCode.USAGE if examined.findings else ExitCode.PROBLEM)


@dags.command()
def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="DAG folders, or DAG files; each is checked for itself.", show_default="dags"
        ),
    ] = None,
    *,
    python: Annotated[
        Path | None,
        typer.Option(help="The Python that has Airflow and what the DAGs need.", show_default="this one"),
    ] = None,
    ignore_syntax: Annotated[
        IgnoreSyntax, typer.Option(help="How .airflowignore is read; 'regexp' is the default of Airflow 2.")
    ] = IgnoreSyntax.GLOB,
    time_limit: Annotated[float, typer.Option(min=0.1, help="Seconds for the import of a file.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Check DAG files, generated or written by hand: what they do when Airflow imports them, with file and line.

    Each file is imported in a process in which network, databases, Variables, Connections, programs and writing files
    are refused. ruff's rules for Airflow are checked, where ruff is installed. No dag_id may be made twice. What
    .airflowignore names is not looked at. Exit code 1 when something is wrong.

    Example: [bold]coordinator dags lint dags/prod --python /opt/airflow/bin/python[/bold]
    """
    import sys

    from coordinator.cli.dags_output import findings_as_json, print_linted
    from coordinator.dags.linting import lint as lint_one

    _require_extra()
    where = paths or [Path("dags")]
    linted = [
        lint_one(path, python=python or Path(sys.executable), syntax=ignore_syntax, time_limit=time_limit)
        for path in where
    ]
    findings = [finding for one in linted for finding in one.findings]
    if as_json:
        counts = {"files": sum(one.files for one in linted), "imported": sum(one.imported for one in linted)}
        print_json({**counts, "ruff": all(one.has_ruff for one in linted), **findings_as_json(findings)})
    else:
        print_linted(linted, where)
    if findings:
        raise typer.Exit(ExitCode.PROBLEM)


@dags.command()
def deploy(
    source: Annotated[Path, typer.Argument(help="The DAG folder.", show_default=False)],
    target: Annotated[str, typer.Argument(help="A directory, or such as s3://bucket/dags.", show_default=False)],
    *,
    yes: YesOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, and do nothing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Take over from a deploy that has not ended and is not running any more.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show how the refused files of the target differ from those of the folder.")
    ] = False,
    overwrite: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Overwrite or remove it although somebody else changed it; may be repeated."),
    ] = None,
    other_source: Annotated[
        bool,
        typer.Option("--other-source", help="Another configuration or environment than was deployed there is meant."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Files of the plan shown; --json has them all.")] = 50,
    who: WhoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a DAG folder to a directory or an object store: show the plan, ask, and make the target the same.

    A manifest in the target says what was deployed. A file that was not, or that somebody changed since, is neither
    overwritten nor removed: nothing is deployed then, exit code 1. A deploy that was interrupted is gone on from where
    it ended, by the same command. Of two at once, one is refused. Credentials are those that fsspec finds.

    Example: [bold]coordinator dags deploy dags/prod s3://bucket/dags --dry-run[/bold]
    """
    from coordinator.cli.dags_output import deployment_as_json, print_deployment
    from coordinator.cli.options import person
    from coordinator.cli.progress import Progress
    from coordinator.dags.deploying import (
        carry_out,
        differences,
        look,
        open_target,
        require_nobody,
        require_same_origin,
    )

    _require_extra()
    if not (yes or dry_run):
        _refuse_unless_asked(as_json=as_json)
    opened = open_target(target)
    with Progress() as progress, _said_if_interrupted(progress, "nothing was changed"):
        shown = look(source, opened, overwrite=overwrite or (), progress=progress)
    if not other_source:
        require_same_origin(shown, source, opened)
    if not dry_run:
        require_nobody(shown, opened, resume=resume)
    different = list(differences(shown, source, opened)) if diff else []
    may = not shown.plan.refused and not dry_run and not shown.is_done
    if not as_json:
        print_deployment(shown, target, limit=limit, dry_run=dry_run)
        for _, lines in different:
            say_lines(lines)
    if may and not yes and not typer.confirm(f"deploy this to {target}?", err=True):
        say("nothing was deployed")
        raise typer.Exit(ExitCode.PROBLEM)
    if may:
        with Progress() as progress, _said_if_interrupted(progress, "the same command goes on from there"):
            carry_out(shown, source, opened, by=who or person(), resume=resume, progress=progress)
    if as_json:
        diffs = {path: "\n".join(lines) for path, lines in different}
        print_json({**deployment_as_json(shown, target, deployed=may), **({"diffs": diffs} if diff else {})})
    elif may:
        say(f"deployed to {target}")
    if shown.plan.refused:
        raise typer.Exit(ExitCode.PROBLEM)


@contextmanager
def _said_if_interrupted(progress: Progress, remedy: str) -> Iterator[None]:
    """Ctrl-C says how far it was, and what to do."""
    try:
        yield
    except KeyboardInterrupt:
        last = f" ({progress.last})" if progress.last else ""
        say(f"coordinator: interrupted{last}; {remedy}", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


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


def _rendered(file: Path, environments: list[str] | None) -> tuple[Examined, Rendered]:
    """What the configuration says, and what becomes of it. The findings of the second are all that there are.

    :raises ConfigurationError: there is no such environment.
    """
    from coordinator.dags.configuration import examine
    from coordinator.dags.generating import Rendered, render
    from coordinator.errors import ConfigurationError

    examined = examine(file)
    if examined.sound is None:
        return examined, Rendered({}, list(examined.findings))
    configuration = examined.sound.configuration
    for name in environments or ():
        if name not in configuration.environments:
            there = ", ".join(sorted(configuration.environments))
            raise ConfigurationError(
                f"--environment {name}: {file} has no such environment; there are {there}; correct the name"
            )
    rendered = render(
        file,
        configuration,
        sorted({*(environments or configuration.environments)}),
        unsound=examined.sound.unsound,
        places=examined.places,
    )
    return examined, Rendered(rendered.contents, sorted({*examined.findings, *rendered.findings}))


def _compared(
    file: Path, output: Path | None, examined: Examined, rendered: Rendered, environments: list[str] | None
) -> Comparison:
    """What would change, and what is in the way. Where an entry is wrong nothing is compared: its file is no orphan."""
    from coordinator.dags.configuration import output_of
    from coordinator.dags.generating import Comparison, compare, same_dag_elsewhere

    if rendered.findings or examined.sound is None:
        return Comparison([], [])
    configuration = examined.sound.configuration
    output = output or output_of(file, configuration)
    comparison = compare(output, rendered.contents, name=configuration.name, environments=environments)
    syntax, folders = configuration.ignore_syntax, configuration.non_dag_folders
    doubles = list(same_dag_elsewhere(output, rendered.contents, syntax, folders))
    return Comparison(comparison.changes, [*comparison.findings, *doubles])


def _refuse_unless_asked(*, as_json: bool) -> None:
    """:raises ConfigurationError: nobody can answer, and ``--yes`` is not there."""
    import sys

    from coordinator.errors import ConfigurationError

    if as_json or not sys.stdin.isatty():
        why = "--json is for programs" if as_json else "stdin is no terminal"
        raise ConfigurationError(
            f"deploy asks before it writes, and here nobody can answer ({why}); nothing was written: look at "
            "--dry-run, then pass --yes"
        )
