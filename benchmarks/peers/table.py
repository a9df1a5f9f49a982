"""The tables: once for a terminal, once for a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks.peers.figures import Row, Spread
from benchmarks.peers.means import MEANS

TITLES = {means.name: means.title for means in MEANS}
BUSY = 1.5
"""The load average at the beginning, above which times say little."""


@dataclass(frozen=True)
class Conditions:
    """Under which it was measured.

    :ivar machine: versions and cores.
    :ivar pipelines: below the root of a fan-out.
    :ivar load: the machine's load average (one minute) at the beginning and at the end.
    """

    machine: str
    pipelines: int
    clears: int
    fan_outs: int
    load: tuple[float, float]


@dataclass(frozen=True)
class Grid:
    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]


def grids(conditions: Conditions, rows: Sequence[Row]) -> list[Grid]:
    waves = Grid(
        "Waves through seven pipelines: seconds to the end of 07, median (quartiles)",
        (
            "",
            "waves ended",
            "each pipeline once",
            "from the end of 01",
            "x floor",
            "from the end of 01's task",
            "x floor",
        ),
        [
            (
                TITLES[row.means],
                f"{row.ended} of {row.waves}",
                f"{row.once} of {row.waves}",
                _seconds(row.from_run),
                _ratio(row.ratio),
                _seconds(row.from_task),
                _ratio(row.ratio_from_task),
            )
            for row in rows
        ],
    )
    clears = Grid(
        f"What ran again after a clear, beside the run that was cleared (clears of each: {conditions.clears})",
        ("", "01 is cleared", "03 is cleared"),
        [(TITLES[row.means], *row.again.values()) for row in rows if row.again],
    )
    fans = Grid(
        f"From the end of a root's task, with {conditions.pipelines} pipelines below it: seconds, median "
        f"(fan-outs: {conditions.fan_outs})",
        ("", "started", "to the last start", "to the last end"),
        [
            (TITLES[row.means], str(row.started), _median(row.last_start), _median(row.last_end))
            for row in rows
            if row.started is not None
        ],
    )
    return [grid for grid in (waves, clears, fans) if grid.lines]


def tables(conditions: Conditions, rows: Sequence[Row]) -> list[Table]:
    """For a terminal."""
    found = []
    for grid in grids(conditions, rows):
        table = Table(*grid.columns, title=grid.title)
        for line in grid.lines:
            table.add_row(*line)
        found.append(table)
    return found


def markdown(conditions: Conditions, rows: Sequence[Row]) -> str:
    """For a document."""
    first, last = conditions.load
    parts = [f"{conditions.machine}; load average {first:.1f} at the beginning, {last:.1f} at the end."]
    if first > BUSY:
        parts.append(
            "**The machine was busy with other things: what ended and what ran again holds, the times and their ratios "
            "do not.**"
        )
    for grid in grids(conditions, rows):
        head = f"| {' | '.join(grid.columns)} |\n|{'---|' * len(grid.columns)}"
        parts.append("\n".join([f"{grid.title}:\n", head, *(f"| {' | '.join(line)} |" for line in grid.lines)]))
    return "\n\n".join(parts)


def _seconds(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.2f} ({spread.low:.2f} - {spread.high:.2f})"


def _median(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.1f}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"
