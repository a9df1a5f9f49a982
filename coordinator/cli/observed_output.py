"""Observed environments: the part of ``coordinator status`` about them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from coordinator.cli.output import people, roughly, table
from coordinator.model.partitions.instants import format_instant
from coordinator.reading.status_json import observed_in

if TYPE_CHECKING:
    from coordinator.config.environments import EnvironmentSettings


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
