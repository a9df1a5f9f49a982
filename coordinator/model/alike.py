"""Which known name may be meant by one that is unknown: what "did you mean" stands on."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from heapq import nlargest
from itertools import takewhile

LONGEST = 64
"""Characters that are compared: the time grows with their square, and anybody may write a name of a thousand."""

COMPARED = 500
"""Names that are compared, those that begin and end most like the word."""


def alike(word: str, known: Collection[str], *, most: int = 3, cutoff: float = 0.6) -> list[str]:
    """The known names that are like a word, the most alike first. It takes some milliseconds, whatever is known.

    :param most: how many, at most. :param cutoff: as ``difflib.get_close_matches`` has it: 1 is equal.
    """
    if len(known) > COMPARED:
        known = nlargest(COMPARED, known, key=lambda one: _ends_alike(word, one))
    shortened: dict[str, str] = {}
    for one in known:
        shortened.setdefault(one[:LONGEST], one)
    return [shortened[one] for one in difflib.get_close_matches(word[:LONGEST], shortened, n=most, cutoff=cutoff)]


def _ends_alike(word: str, other: str) -> int:
    """How many characters at their beginnings and ends are the same."""
    pairs = (zip(word, other, strict=False), zip(reversed(word), reversed(other), strict=False))
    return sum(1 for two in pairs for _ in takewhile(lambda pair: pair[0] == pair[1], two))
