"""Tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from coordinator.model.partitions.instants import format_instant
from coordinator.model.printable import json_text, printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from coordinator.cli.tables import Table
    from coordinator.model.hold import Hold
    from coordinator.model.runstate import Unreadable

WIDTH_OF_A_PIPE = 200
"""Where nobody says how wide the output is, lines are not broken so early that grep misses what it looks for."""


def print_json(value: Any, *, one_line: bool = False) -> None:
    """JSON on stdout."""
    typer.echo(json_text(value, indent=None if one_line else 2))


def say(text: str, *, err: bool = False, lines: bool = False) -> None:
    """Text for people, in one line, or in several: no name in it can do anything to the terminal."""
    typer.echo(printable_lines(text) if lines else printable(text), err=err)


def say_lines(texts: Iterable[str], *, err: bool = False) -> None:
    """As :func:`say`, each text in a line of its own."""
    for text in texts:
        say(text, err=err)


def line(text: str, style: str = "") -> Text:
    """A line for a console: as :func:`say`, with a style."""
    from rich.text import Text

    return Text(printable(text), style=style)


def people(*, stderr: bool = False) -> Console:
    """A console for people: colours and width on a terminal, plain text in a pipe."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Guarded(Console):
        """Lets no control character through that is not rich's own."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=printable_lines(segment.text))

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **options)

    console = Guarded(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal and "COLUMNS" not in console._environ:
        console.width = WIDTH_OF_A_PIPE
    return console


WHOLE = ("pipeline", "partition", "watcher")
"""Columns of names by which people go on: they are not broken as long as anything else can give way."""


def table(*columns: str, rows: Iterable[Iterable[str | Text]] = ()) -> Table:
    """A table. Cells are taken as they are: no markup in them, whatever a DAG is called."""
    from rich.text import Text

    from coordinator.cli.tables import Table

    cells = [[cell if isinstance(cell, Text) else line(cell) for cell in row] for row in rows]
    return Table(columns, cells, WHOLE)


def roughly(seconds: float) -> str:
    """A time as people say it: the two largest units."""
    whole = int(seconds)
    for unit, length, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {smaller}"
    return f"{whole} s"


def hold_in_words(hold: Hold | Unreadable | None) -> str:
    """A hold for people: why, by whom, since when."""
    from coordinator.model.explanation import hold_in_words as in_words

    return in_words(hold)


def hold_as_json(hold: Hold | Unreadable | None) -> dict[str, object]:
    """A hold for programs."""
    from coordinator.model.hold import Hold

    if isinstance(hold, Hold):
        return {"held": True, "why": hold.why, "who": hold.who, "since": hold.since and format_instant(hold.since)}
    return {"held": hold is not None, "why": None, "who": None, "since": None}
