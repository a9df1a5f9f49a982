"""Reporters, and environments without one: the part of ``coordinator status`` about reporters."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from coordinator.cli.output import people, table
from coordinator.reading.reporters_heard import last_seen

if TYPE_CHECKING:
    from coordinator.model.reporters import Heard, ReporterStatus
    from coordinator.reading.reporters_heard import ReportersHeard


def print_reporters(found: ReportersHeard) -> None:
    """All reporters for people."""
    rows = [row for one in found.heard for row in _rows(one, found.now)]
    if rows:
        columns = ("environment", "heard", "host", "Airflow", "plugin", "waiting", "parked", "last report")
        people().print(table(*columns, rows=rows))


def _rows(heard: Heard, now: datetime) -> list[list[str]]:
    if not heard.readable:
        last = last_seen(heard)
        return [[heard.environment, f"{heard.hearing}{f', last {last}' if last else ''}", *[""] * 6]]
    return [[heard.environment, str(heard.hearing), *_cells(one, now)] for one in heard.readable.values()]


def _cells(one: ReporterStatus, now: datetime) -> list[str]:
    waiting = str(one.backlog)
    if one.oldest is not None:
        waiting += f", for {max(0, int((now - one.oldest).total_seconds()))} s"
    last = one.recent[0] if one.recent else None
    return [
        one.host,
        " ".join(filter(None, (one.airflow_version, one.airflow_url))),
        one.version or "",
        waiting,
        str(one.parked),
        f"{last.dag_id} {last.state} {last.at:%Y-%m-%dT%H:%M:%SZ}" if last is not None else "",
    ]
