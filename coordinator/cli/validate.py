"""``coordinator validate``: checks a dependencies.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import configuration_or_here
from coordinator.cli.output import print_json, say, say_lines
from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.model.cycles import Cycle
    from coordinator.model.dependencies import Document
    from coordinator.model.documents import DependenciesError, Problem
    from coordinator.model.publishing.never_met import NeverMet

_FILE = "dependencies.json"


@dataclass(frozen=True, slots=True)
class _Checked:
    """The findings in a file.

    :ivar error: all problems that prevent its use; ``None``: there are none.
    :ivar never_met: whether it asks for something that can never be met.
    """

    file: Path
    document: Document
    error: DependenciesError | None
    warnings: list[Problem]
    never_met: bool


def validate(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="The files; - reads stdin.", show_default=_FILE)
    ] = None,
    *,
    environments_from: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            "--environments-from",
            envvar="COORDINATOR_CONFIG",
            help="A coordinator.toml: environments that it does not configure are refused.",
            show_default="coordinator.toml if it is here",
            callback=configuration_or_here,
        ),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema, for editors, and check nothing.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Also fail if a dependency can never be met.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs: an object for each file.")] = False,
) -> None:
    """Check a dependencies.json, or several: every problem, with line, column, path and reason.

    Asks neither etcd nor Airflow: 'coordinator doctor' looks the DAGs up. Exit code 1 when there is a problem. A
    dependency that can never be met, as its upstream is started in other partitions than it asks for, is a warning,
    and so is an upstream whose name looks mistyped, or an asset that a bridge hands on, too. Without a configuration
    any environment's name is accepted. A cycle that goes back in time is accepted, and shown. Several files are
    checked each for itself.

    Example: [bold]coordinator validate dependencies.json --config coordinator.toml[/bold]
    """
    from coordinator.config.loading import load_settings
    from coordinator.config.same_airflow import same_airflow
    from coordinator.model.documents import json_schema

    if schema:
        print_json(json_schema())
        return
    settings = None if environments_from is None else load_settings(environments_from)
    environments = None if settings is None else sorted(settings.environments)
    if settings is not None:
        say_lines(
            (f"{settings.file}: warning: {same.found}; {same.remedy}" for same in same_airflow(settings)), err=True
        )
    all_good = True
    for file in files or [Path(_FILE)]:
        checked = _check(file, environments)
        if as_json:
            print_json(_as_json(checked, environments))
        else:
            _print(checked, environments)
        all_good = all_good and checked.error is None and not (strict and checked.never_met)
    if not all_good:
        raise typer.Exit(ExitCode.PROBLEM)


def _check(file: Path, environments: list[str] | None) -> _Checked:
    from coordinator.model.documents import DependenciesError, parse_document
    from coordinator.model.publishing.misspelled import misspelled
    from coordinator.model.publishing.never_met import never_met
    from coordinator.model.publishing.started_twice import started_twice

    text = read_file(file)
    try:
        document = parse_document(text, source=str(file), environments=environments)
    except DependenciesError as error:
        return _Checked(file, {}, error, [], never_met=False)
    unmet = list(never_met(document))
    warnings = _at_their_places(text, [*unmet, *misspelled(document), *started_twice(document)])
    return _Checked(file, document, None, warnings, never_met=bool(unmet))


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


def _as_json(checked: _Checked, environments: list[str] | None) -> dict[str, object]:
    from dataclasses import asdict

    from coordinator.model.assets.bridges import without_bridges

    problems = () if checked.error is None else checked.error.problems
    return {
        "file": str(checked.file),
        "ok": checked.error is None,
        "pipelines": len(without_bridges(checked.document)),
        "dependencies": _count(checked.document),
        "bridges": _count_bridges(checked.document),
        "environments": environments,
        "problems": [asdict(problem) for problem in problems],
        "warnings": [asdict(warning) for warning in checked.warnings],
        "cycles": [str(cycle) for cycle in _cycles(checked)],
    }


def _print(checked: _Checked, environments: list[str] | None) -> None:
    if checked.error is not None:
        say_lines(checked.error.lines)
        say(f"{counted(len(checked.error.problems), 'problem')} in {checked.file}")
        return
    for one in checked.warnings:
        say(f"{checked.file}:{one.line}:{one.column}: warning: {one.path}: {one.reason}; {one.remedy}")
    for cycle in _cycles(checked):
        say(f"{checked.file}: accepted, as it goes back in time: {cycle}")
    say(_summary(checked, environments))


def _cycles(checked: _Checked) -> list[Cycle]:
    from coordinator.model.cycles import find_cycles

    return find_cycles(checked.document)


def _summary(checked: _Checked, environments: list[str] | None) -> str:
    from coordinator.model.assets.bridges import without_bridges

    pipelines = counted(len(without_bridges(checked.document)), "pipeline")
    text = f"{checked.file}: good: {pipelines}, {counted(_count(checked.document), 'dependency', 'dependencies')}"
    if bridges := _count_bridges(checked.document):
        text += f", {counted(bridges, 'bridge')} of asset events"
    if checked.warnings:
        text += f"; {counted(len(checked.warnings), 'warning')}"
    if environments is None:
        text += "; names of environments were not checked (--config coordinator.toml checks them)"
    return f"{text}; DAGs were not looked up in Airflow ('coordinator doctor' does)"


def _count(document: Document) -> int:
    from coordinator.model.assets.bridges import without_bridges
    from coordinator.model.conditions import leaves

    return sum(1 for downstream in without_bridges(document).values() for _ in leaves(downstream.condition))


def _count_bridges(document: Document) -> int:
    """Between how many pairs of environments asset events are handed on."""
    from coordinator.model.assets.bridges import bridges_in

    return len({(bridge.source, bridge.consumer) for bridge in bridges_in(document)})
