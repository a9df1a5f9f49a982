"""What people see: live tables on a terminal, a line for each event anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Protocol, TextIO

from rich import box
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from coordinator.demo.chronicle import Chronicle, Execution, Happening
from coordinator.demo.judging import Check
from coordinator.demo.plot import Act, Plot
from coordinator.demo.stage import PARTS, OnProgress, Progress
from coordinator.demo.wording import AT_REST, LEGEND, WAITS, Row, reason, rows_of, short_names, stands_on
from coordinator.model.trigger import Status

WIDTH_OF_A_PIPE = 120
_WIDE = 110
"""From so many columns on, a reason and its details fit into one line."""
_STYLES = {"success": "green", "failed": "bold red", "refused": "bold red", "running": "yellow", "queued": "cyan"}

OnHappening = Callable[[Sequence[Happening]], None]
"""Told what has happened since the last call, if anything; to be called a few times a second."""


class Screen(Protocol):
    """Where the show is seen."""

    def preparing(self) -> AbstractContextManager[OnProgress]:
        """While the stage is set."""

    def act(self, act: Act, plot: Plot, chronicle: Chronicle) -> AbstractContextManager[OnHappening]:
        """While an act goes on. Its table stays."""

    def judged(self, checks: Sequence[Check]) -> None:
        """What came of an act."""

    def say(self, *lines: str) -> None:
        """Lines for people, never broken: they may be commands to copy."""

    def waiting(self, words: str) -> AbstractContextManager[None]:
        """While something takes its time."""


def screen_on(file: TextIO) -> Screen:
    """A screen for a stream. Not rich's own judgement of what a terminal is: a CI that forces colours is none."""
    console = Console(file=file, highlight=False)
    if file.isatty() and not console.is_dumb_terminal:
        return LiveScreen(console)
    return LineScreen(Console(file=file, highlight=False, width=WIDTH_OF_A_PIPE, force_terminal=False))


class LiveScreen:
    """A terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def preparing(self) -> Iterator[OnProgress]:
        columns = (
            TextColumn("{task.description:<8}"),
            BarColumn(16),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}"),
        )
        with Bars(*columns, console=self._console) as bars:
            tasks = {part: bars.add_task(part, total=steps, words="", start=False) for part, steps in PARTS.items()}

            def tell(progress: Progress) -> None:
                task = tasks[progress.part]
                if not bars.tasks[task].started:
                    bars.start_task(task)
                bars.update(task, completed=progress.steps, words=progress.words)

            yield tell

    @contextmanager
    def act(self, act: Act, plot: Plot, chronicle: Chronicle) -> Iterator[OnHappening]:
        self._console.print()
        # Drawn from this thread only: the chronicle is not to change under the drawing.
        with Live(console=self._console, auto_refresh=False) as live:

            def tell(happenings: Sequence[Happening]) -> None:
                del happenings
                table = _table(act, plot, chronicle, wide=self._console.width >= _WIDE, expand=True)
                live.update(table, refresh=True)

            tell(())
            yield tell
            tell(())

    def judged(self, checks: Sequence[Check]) -> None:
        _print_checks(self._console, checks)

    def say(self, *lines: str) -> None:
        _say(self._console, lines)

    @contextmanager
    def waiting(self, words: str) -> Iterator[None]:
        with self._console.status(words):
            yield


class LineScreen:
    """A file, a pipe, a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._said: dict[str, str] = {}

    @contextmanager
    def preparing(self) -> Iterator[OnProgress]:
        def tell(progress: Progress) -> None:
            if self._said.get(progress.part) != progress.words:
                self._said[progress.part] = progress.words
                self._line(f"{progress.part}: {progress.words}")

        yield tell

    @contextmanager
    def act(self, act: Act, plot: Plot, chronicle: Chronicle) -> Iterator[OnHappening]:
        self._line(act.title)
        names = short_names(plot.pipelines)

        def tell(happenings: Sequence[Happening]) -> None:
            for happening in happenings:
                if isinstance(happening, Execution):
                    self._line(f"{happening.pipeline}: {happening.state}")
                elif happening.record.status is Status.BLOCKED:
                    self._line(f"{happening.pipeline}: refused: {happening.record.last_error}")
                else:
                    stands = f"({stands_on(happening, names)}), wave {happening.record.wave}"
                    self._line(f"{happening.pipeline}: {reason(happening, names)} {stands}")

        yield tell
        self._console.print(_table(act, plot, chronicle, wide=True, expand=False))

    def judged(self, checks: Sequence[Check]) -> None:
        _print_checks(self._console, checks)

    def say(self, *lines: str) -> None:
        _say(self._console, lines)

    @contextmanager
    def waiting(self, words: str) -> Iterator[None]:
        self._line(words)
        yield

    def _line(self, text: str) -> None:
        self._console.print(f"{time.monotonic() - self._began:6.1f} s  {text}", markup=False, soft_wrap=True)


def _table(act: Act, plot: Plot, chronicle: Chronicle, *, wide: bool, expand: bool) -> Table:
    table = Table(
        title=f"{act.number}. {act.title}",
        title_justify="left",
        title_style="bold",
        caption=LEGEND if act is plot.wave else None,
        caption_justify="left",
        caption_style="dim",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        expand=expand,
    )
    table.add_column("pipeline", no_wrap=True)
    table.add_column("state", no_wrap=True, min_width=7)
    table.add_column("began", no_wrap=True, min_width=8)
    table.add_column("took", no_wrap=True, min_width=5, justify="right")
    table.add_column("wave", no_wrap=True, justify="right")
    table.add_column("why", ratio=1)
    for row in rows_of(act, plot, chronicle, datetime.now(UTC)):
        table.add_row(*_cells(row, wide=wide), style="dim" if row.state in (WAITS, AT_REST) else "")
    return table


def _cells(row: Row, *, wide: bool) -> Iterator[Text]:
    yield Text(row.pipeline)
    yield Text(row.state, style=_STYLES.get(row.state, ""))
    yield Text(row.started.astimezone().strftime("%H:%M:%S") if row.started is not None else "")
    yield Text(f"{row.took:.1f} s" if row.took is not None else "")
    yield Text(str(row.wave) if row.wave is not None else "")
    why = Text(row.why)
    if row.detail:
        why.append(f"  ({row.detail})" if wide else f"\n{row.detail}", style="dim")
    yield why


def _print_checks(console: Console, checks: Sequence[Check]) -> None:
    for check in checks:
        mark = Text("✓ ", style="green") if check.kept else Text("✗ ", style="bold red")
        console.print(mark + Text("; ".join([check.promise, *check.problems])), soft_wrap=True)


def _say(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
