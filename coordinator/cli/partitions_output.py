"""The state of partitions, one row each: the part of ``coordinator status`` about pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import roughly, table

if TYPE_CHECKING:
    from coordinator.cli.tables import Table

_COLUMNS = (
    "pipeline",
    "partition",
    "state",
    "readiness",
    "age",
    "since",
    "late_since",
    "record",
    "run_id",
    "last_error",
)


def partitions_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The same for people."""
    return table(*_COLUMNS, rows=map(_cells, rows))


def _cells(row: dict[str, Any]) -> list[str]:
    age = roughly(row["age"]) if row["age"] is not None else None
    return [(row | {"age": age})[column] or "" for column in _COLUMNS]
