"""``coordinator doctor``: checks everything that the coordinator needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import ConfigOption, JsonOption
from coordinator.cli.output import people, print_json, table
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.cli.finding import Finding


DEFAULT_FILE = Path("dependencies.json")


def doctor(
    *,
    config: ConfigOption = None,
    dependencies: Annotated[
        Path | None,
        typer.Option(
            "--dependencies",
            "-d",
            envvar="COORDINATOR_DEPENDENCIES",
            help="The file whose DAGs must be there, and not paused.",
            show_default="dependencies.json if it is here, else what is published",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check etcd, every environment, that every DAG of the dependencies is there and not paused, and that every
    environment is heard from, under its own name.

    Without a dependencies.json it takes the dependencies that are published.

    Changes nothing. Exit code 1 when something keeps pipelines from running; warnings alone do not count.

    Example: [bold]coordinator doctor --config coordinator.toml --dependencies dependencies.json[/bold]
    """
    from coordinator.cli.checkup import examine
    from coordinator.cli.finding import Grade
    from coordinator.config.loading import load_settings

    settings = load_settings(config)
    if dependencies is None and DEFAULT_FILE.exists():
        dependencies = DEFAULT_FILE
    with people(stderr=True).status("asking etcd and every environment"):
        findings = examine(settings, dependencies)
    problems = sum(finding.grade is Grade.PROBLEM for finding in findings)
    if as_json:
        print_json({"ok": not problems, "findings": [finding.as_json() for finding in findings]})
    else:
        _print(findings, problems)
    if problems:
        raise typer.Exit(ExitCode.PROBLEM)


def _print(findings: list[Finding], problems: int) -> None:
    from rich.text import Text

    styles = {"ok": "green", "warning": "yellow", "problem": "bold red"}
    rows = (
        (Text(str(finding.grade), styles[finding.grade]), finding.subject, finding.found, finding.remedy)
        for finding in findings
    )
    console = people()
    console.print(table("", "what", "found", "what to do", rows=rows))
    console.print(counted(problems, "problem") if problems else "no problems")
