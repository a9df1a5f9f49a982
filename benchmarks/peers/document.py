"""Writes what was measured into docs/performance.md, between two marks, and the picture beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.figures import Row
from benchmarks.peers.picture import picture
from benchmarks.peers.table import Conditions, markdown

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT, PICTURE = DOCS / "performance.md", DOCS / "peers.svg"
BEGIN = "<!-- The tables: written by `make bench-peers ARGS=--write`. -->"
END = "<!-- The end of the tables. -->"


def write(conditions: Conditions, rows: Sequence[Row]) -> None:
    """:raises ValueError: the document has not both marks, once each."""
    text = between_marks(DOCUMENT.read_text(encoding="utf-8"), markdown(conditions, rows))
    DOCUMENT.write_text(text, encoding="utf-8")
    PICTURE.write_text(picture(rows), encoding="utf-8")


def between_marks(text: str, tables: str) -> str:
    """The text with these tables in place of those that it has.

    :raises ValueError: as :func:`write`.
    """
    parts = re.split(f"({re.escape(BEGIN)}|{re.escape(END)})", text)
    if parts[1::2] != [BEGIN, END]:
        raise ValueError(f"{DOCUMENT}: expected once each, in this order: {BEGIN} {END}; put them where tables belong")
    return f"{parts[0]}{BEGIN}\n\n{tables}\n\n{END}{parts[4]}"
