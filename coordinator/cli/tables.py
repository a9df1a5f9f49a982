"""A table that fits the terminal: empty columns are left out, names stay whole, text breaks at words.

rich's own tables shorten every column alike, and cut a partition to ``2026-11-21T…`` while an empty column keeps its
width.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.console import Console, ConsoleOptions
from rich.text import Text

UNBOUNDED = 1_000_000
"""The width of what is no terminal: each row is one line, each column as wide as its longest cell."""

_GAP = 2
_INDENT = "    "
_LONGEST_WORD = 40
"""A longer word may be broken; our run_ids are shorter."""
_NARROW = 15
"""A column of at most this width is not narrowed, such as an age of two words."""


@dataclass(frozen=True, slots=True)
class Table:
    """A renderable for a rich console.

    If the columns do not fit beside each other, the widest ones go below their row.

    :ivar whole: columns that keep the width of their longest cell, as long as another can be narrower.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    whole: Collection[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        shown = [at for at in range(len(self.columns)) if not self.rows or any(row[at].plain for row in self.rows)]
        beside, below = self._arrange(shown, options.max_width)
        widths = self._widths(beside, options.max_width)
        yield Text()
        yield from _beside([Text(self.columns[at], style="bold") for at in beside], widths, console)
        if options.max_width < UNBOUNDED:
            yield Text("─" * (sum(widths) + _GAP * (len(widths) - 1)))
        for row in self.rows:
            yield from _beside([row[at] for at in beside], widths, console)
            yield from self._below(row, below, console, options.max_width)
        yield Text()

    def _arrange(self, shown: list[int], width: int) -> tuple[list[int], list[int]]:
        """The columns beside each other, and those below their row."""
        beside = list(shown)
        while sum(map(self._least, beside)) + _GAP * (len(beside) - 1) > width:
            loose = [at for at in beside if self.columns[at] not in self.whole and self.columns[at]]
            if not loose:
                break
            beside.remove(max(loose, key=lambda at: (self._least(at), at)))
        return beside, [at for at in shown if at not in beside]

    def _widths(self, beside: list[int], width: int) -> list[int]:
        """The widths: the remaining space goes to the columns that need it, the smallest need first."""
        widths = {at: self._least(at) for at in beside}
        left = width - sum(widths.values()) - _GAP * (len(beside) - 1)
        for asked, at in enumerate(sorted(beside, key=lambda at: self._natural(at) - widths[at])):
            more = min(self._natural(at) - widths[at], max(0, left) // (len(beside) - asked))
            widths[at] += more
            left -= more
        while left < 0 and max(widths.values()) > 1:  # even names do not fit: they are wrapped, and never cut
            widths[max(widths, key=lambda at: widths[at])] -= 1
            left += 1
        return [widths[at] for at in beside]

    def _natural(self, at: int) -> int:
        return max([Text(self.columns[at]).cell_len, *(row[at].cell_len for row in self.rows)])

    def _least(self, at: int) -> int:
        """The smallest width in which no word is broken."""
        natural = self._natural(at)
        if self.columns[at] in self.whole or natural <= _NARROW:
            return natural
        words = [Text(word).cell_len for row in self.rows for word in row[at].plain.split()]
        return max(Text(self.columns[at]).cell_len, min(_LONGEST_WORD, max(words, default=0)))

    def _below(self, row: Sequence[Text], below: list[int], console: Console, width: int) -> Iterable[Text]:
        told = [Text(f"{self.columns[at]}: ") + row[at] for at in below if row[at].plain]
        for line in Text("; ").join(told).wrap(console, max(1, width - len(_INDENT)), overflow="fold") if told else ():
            yield Text(_INDENT) + line


def _beside(cells: list[Text], widths: list[int], console: Console) -> Iterable[Text]:
    """The lines of a row."""
    wrapped = [cell.wrap(console, width, overflow="fold") for cell, width in zip(cells, widths, strict=True)]
    for pieces in zip_longest(*wrapped, fillvalue=Text()):
        line = Text()
        for piece, width in zip(pieces, widths, strict=True):
            line.append_text(piece).append(" " * (width + _GAP - piece.cell_len))
        line.rstrip()
        yield line
