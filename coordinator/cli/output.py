"""Tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from coordinator.model.printable import json_text, printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from coordinator.cli.tables import Table
    from coordinator.model.hold import Hold
    from coordinator.model.runstate import Unreadable


def print_json(value: Any, *, one_line: bool = False) -> None:
    """JSON on stdout."""
    typer.echo(json_text(value, indent=None if one_line else 2))


def say(text: str, *, err: bool = False, lines: bool = False) -> None:
    """Text for people, in one line or several: no name in it can control the terminal."""
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
    """A console for people: colours, and lines as wide as the terminal. In a pipe or a file, where nobody says how wide
    lines may be (``COLUMNS``), plain text of which no line is broken and nothing is cut."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    from coordinator.cli.tables import UNBOUNDED

    class Guarded(Console):
        """Escapes every control character except rich's own."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=printable_lines(segment.text))

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **options)

    console = Guarded(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal and "COLUMNS" not in console._environ:
        console.width = UNBOUNDED
    return console


WHOLE = ("pipeline", "partition", "watcher")
"""Columns of names that people copy: they are not broken as long as another column can be narrower."""


def table(*columns: str, rows: Iterable[Iterable[str | Text]] = ()) -> Table:
    """A table. Cells are plain text without markup, whatever a DAG is called."""
    from rich.text import Text

    from coordinator.cli.tables import Table

    cells = [[cell if isinstance(cell, Text) else line(cell) for cell in row] for row in rows]
    return Table(columns, cells, WHOLE)


def roughly(seconds: float) -> str:
    """A duration in words: the two largest units."""
    whole = int(seconds)
    for unit, length, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {smaller}"
    return f"{whole} s"


def hold_in_words(hold: Hold | Unreadable | None) -> str:
    """A hold for people: why, by whom, since when."""
    from coordinator.model.explanation import hold_in_words as in_words

    return in_words(hold)
