"""Observed environments: the part of ``coordinator status`` about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import age_of, people, roughly, table
from coordinator.model.partitions.instants import format_instant

if TYPE_CHECKING:
    from coordinator.config.environments import EnvironmentSettings


def observed_as_json(
    environments: Mapping[str, EnvironmentSettings], cursors: Mapping[str, datetime], now: datetime
) -> list[dict[str, Any]]:
    """Each environment in which nothing reports, and up to when its runs are known.

    :param environments: the configured ones. :param cursors: what stands in etcd, by environment.
    """
    return [
        {
            "environment": name,
            "known_until": format_instant(until.replace(microsecond=0)) if until is not None else None,
            "age": age_of(until, now),
        }
        for name, until in ((name, cursors.get(name)) for name in observed_in(environments))
    ]


def observed_in(environments: Mapping[str, EnvironmentSettings]) -> Iterable[str]:
    """The names of those in which nothing reports."""
    return sorted(name for name, one in environments.items() if one.is_observed)


def known_in_words(until: datetime | None, now: datetime) -> str:
    """Up to when the runs of an observed environment are known. The cursor in etcd is a minute or two behind."""
    if until is None:
        return "observed; it has not been asked yet"
    age = (now - until).total_seconds()
    return f"observed; its runs are known up to {format_instant(until.replace(microsecond=0))} ({roughly(age)} ago)"


def print_observed(
    environments: Mapping[str, EnvironmentSettings], cursors: Mapping[str, datetime], now: datetime
) -> None:
    """All observed environments for people, if there are any."""
    names = observed_in(environments)
    if names:
        rows = [(name, known_in_words(cursors.get(name), now)) for name in names]
        people().print(table("environment", "runs", rows=rows))
