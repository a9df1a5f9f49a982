"""What of ``dags.yaml`` does not fit together, although each part of it is well formed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from coordinator.dags.configuration.forms import RESERVED, Configuration
from coordinator.dags.configuration.yaml_text import Path


class Misfit(NamedTuple):
    """A place, what is wrong there, and what to do."""

    path: Path
    reason: str
    remedy: str


def misfits(configuration: Configuration) -> Iterator[Misfit]:
    """Everything that does not fit together."""
    yield from _same_files(("environments",), configuration.environments)
    yield from _same_files(("dags",), configuration.dags)
    yield from _reserved(("values",), configuration.values)
    for name, environment in configuration.environments.items():
        if environment is not None:
            yield from _reserved(("environments", name, "values"), environment.values)
    for dag_id in configuration.dags:
        yield from _of_entry(configuration, dag_id)


def _of_entry(configuration: Configuration, dag_id: str) -> Iterator[Misfit]:
    entry, path = configuration.dags[dag_id], ("dags", dag_id)
    yield from _reserved((*path, "values"), entry.values)
    for at, name in enumerate(entry.environments or ()):
        yield from _unknown((*path, "environments", at), name, configuration)
        if name in (entry.environments or [])[:at]:
            yield Misfit((*path, "environments", at), f"{name} is given twice", "remove one of them")
    for name, values in entry.per_environment.items():
        yield from _unknown((*path, "per_environment", name), name, configuration)
        yield from _reserved((*path, "per_environment", name), values)
        if name in configuration.environments and not configuration.has(dag_id, name):
            yield Misfit(
                (*path, "per_environment", name),
                f"{name} does not have this DAG",
                "add it to 'environments' of the DAG, or take its values out",
            )


def _unknown(path: Path, name: str, configuration: Configuration) -> Iterator[Misfit]:
    if name not in configuration.environments:
        there = ", ".join(sorted(configuration.environments))
        yield Misfit(path, f"no environment {name}; there are {there}", "correct the name, or add the environment")


def _reserved(path: Path, values: Iterable[str]) -> Iterator[Misfit]:
    for name in values:
        if name in RESERVED:
            yield Misfit((*path, name), f"{name} is what every template is given anyway", "give the value another name")


def _same_files(path: Path, names: Iterable[str]) -> Iterator[Misfit]:
    """Names that are one file where capitals do not count, as on macOS and Windows."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            yield Misfit(
                (*path, name), f"{name} and {other} differ in capitals only", "they would be one file on some systems"
            )
