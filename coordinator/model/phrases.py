"""Numbers and lists in sentences for people, the same in commands, problems and log lines."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Such as ``1 event waits`` or ``2 events wait``.

    :param noun: for one of them, with the words that follow: ``event waits``.
    :param plural: the same for several; by default ``noun`` with an ``s`` at the end.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def some_of(names: Collection[str], most: int) -> str:
    """The first of these names, and how many more there are: ``a, b and 3 more``."""
    more = len(names) - most
    return ", ".join(islice(names, most)) + (f" and {more} more" if more > 0 else "")
