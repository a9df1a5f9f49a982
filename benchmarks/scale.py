"""Scale: the cost of a completion among many pipelines, after a long history, in a backlog; the memory of a key.

The real reconciler runs on an etcd in memory, with environments that answer at once; only its own CPU time counts.
Every result is a ratio within one run: worlds of different sizes take turns, or a figure is compared with its goal.
Goals (docs/architecture.md#speed): 10,000 pipelines cost at most 1.2 times what 100 cost, a live key at most 1 KB, and
1,000,000 of them less than 2 GiB in all.

    python -m benchmarks.scale [--quick] [--only SECTION,...] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.scaling import backlog, burst, flatness, following, footprint, mapped, wide
from benchmarks.scaling.figures import Figure
from benchmarks.scaling.process import like_the_service


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    :ivar pipelines: sizes of the graph.
    :ivar rounds: waves of each size.
    :ivar history: numbers of finished partitions, in a graph of the smallest size.
    :ivar days: numbers of finished days, through each mapping.
    :ivar backlog: completions that wait at the start.
    :ivar keys: numbers of live keys.
    :ivar followed: numbers of runs under way that report nothing.
    :ivar wide: numbers of upstreams of one pipeline.
    :ivar below: numbers of pipelines below one root.
    :ivar burst: the number of reports of that root that come at once, and of their partitions.
    """

    pipelines: Sequence[int]
    rounds: int
    history: Sequence[int]
    days: Sequence[int]
    backlog: int
    keys: Sequence[int]
    followed: Sequence[int]
    wide: Sequence[int]
    below: Sequence[int]
    burst: tuple[int, int]


FULL = Extent(
    (100, 1_000, 10_000),
    40,
    (10, 4_000),
    (2, 420),
    100_000,
    (10_000, 100_000, 1_000_000),
    (1_000, 60_000),
    (500, 1_000, 2_000),
    (1_000, 10_000),
    (400, 40),
)
QUICK = Extent((100, 200), 2, (2, 20), (2, 10), 100, (1_000, 2_000), (1_000, 2_000), (40, 80), (100, 200), (8, 4))
"""Checks that everything still runs; its times mean nothing."""

WIDTH = 140
"""Columns; narrower, the tables cannot be read."""

Section = Callable[[Extent, Callable[[], None]], list[Figure]]

SECTIONS: dict[str, tuple[str, Section]] = {
    "flatness": (
        "A completion among many pipelines, five dependencies each",
        lambda extent, progress: flatness.measure(extent.pipelines, rounds=extent.rounds, progress=progress),
    ),
    "history": (
        "A completion after many partitions of history, 100 pipelines",
        lambda extent, progress: flatness.measure_history(extent.history, rounds=extent.rounds, progress=progress),
    ),
    "mappings": (
        "An hourly completion through a partition mapping, the model alone",
        lambda extent, progress: mapped.measure(extent.days, rounds=extent.rounds, progress=progress),
    ),
    "backlog": (
        "Completions that waited for a watcher",
        lambda extent, progress: backlog.measure(extent.backlog, pipelines=extent.pipelines[-1], progress=progress),
    ),
    "footprint": (
        "Live keys: states and records, with all their fields",
        lambda extent, progress: footprint.measure(extent.keys, pipelines=extent.pipelines[-1], progress=progress),
    ),
    "following": (
        "Runs under way that report nothing: asking about them",
        lambda extent, progress: following.measure(extent.followed, progress=progress),
    ),
    "wide": (
        "One pipeline that waits for many, which complete one after the other",
        lambda extent, progress: wide.measure(extent.wide, progress=progress),
    ),
    "burst": (
        "One root that reports many times at once, and a small graph beside it",
        lambda extent, progress: burst.measure(
            extent.below, reports=extent.burst[0], partitions=extent.burst[1], progress=progress
        ),
    ),
}


def measure(extent: Extent, sections: Sequence[str]) -> dict[str, list[Figure]]:
    """The figures of each section."""
    figures = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in sections:
            title, section = SECTIONS[name]
            task = progress.add_task(title, total=None)
            figures[name] = section(extent, lambda task=task: progress.advance(task))  # type: ignore[misc]
            progress.remove_task(task)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest sizes, seconds instead of ten minutes")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas between them")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sections = options.only.split(",")
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"--only: expected some of {', '.join(SECTIONS)}, found {', '.join(sorted(unknown))}")
    with like_the_service():
        figures = measure(QUICK if options.quick else FULL, sections)
    if options.json:
        print(json.dumps({name: [asdict(figure) for figure in of] for name, of in figures.items()}))
        return
    console = Console(width=max(Console().width, WIDTH))
    for name, of in figures.items():
        console.print(_table(SECTIONS[name][0], of))


def _table(title: str, figures: Sequence[Figure]) -> Table:
    columns = list(dict.fromkeys(size for figure in figures for size in figure.at))
    table = Table("", "unit", *columns, "ratio", "quartiles", "goal", "met", title=title)
    for figure in figures:
        table.add_row(
            figure.what,
            figure.unit,
            *(_number(figure.at.get(size)) for size in columns),
            _number(figure.ratio, digits=2),
            "" if figure.spread is None else "{:.2f} - {:.2f}".format(*figure.spread),
            "" if figure.goal is None else f"<= {figure.goal:g}",
            {True: "yes", False: "NO", None: ""}[figure.holds],
        )
    return table


def _number(value: float | None, *, digits: int | None = None) -> str:
    if value is None:
        return ""
    if digits is None:
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


if __name__ == "__main__":
    main()
