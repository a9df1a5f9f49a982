"""Patterns of URIs: ``*`` stands for any characters, also ``/`` and none; every other character for itself."""

from __future__ import annotations

ANY = "*"


def matches(pattern: str, uri: str) -> bool:
    """Whether a URI is one of a pattern's. What stands between two ``*`` is looked for from left to right, which takes
    no longer for a pattern with many of them."""
    first, *others = pattern.split(ANY)
    if not others:
        return uri == pattern
    *between, last = others
    end = len(uri) - len(last)
    at = len(first)
    if at > end or not (uri.startswith(first) and uri.endswith(last)):
        return False
    for text in between:
        found = uri.find(text, at, end)
        if found < 0:
            return False
        at = found + len(text)
    return True


def covers(wider: str, pattern: str) -> bool:
    """Whether each URI of a pattern is also one of the wider one's.

    It is, if the wider pattern matches the text of the other one: only its own ``*`` can stand for the ``*`` there.
    """
    return matches(wider, pattern)


def overlap(one: str, other: str) -> bool:
    """Whether some URI is one of both patterns'.

    If both have a ``*``, only their beginnings and ends can exclude each other: what each has in between finds room in
    a ``*`` of the other one.
    """
    if ANY not in one:
        return matches(other, one)
    if ANY not in other:
        return matches(one, other)
    begin, other_begin = (pattern.partition(ANY)[0] for pattern in (one, other))
    end, other_end = (pattern.rpartition(ANY)[2] for pattern in (one, other))
    return _is_beginning(begin, other_begin) and _is_beginning(end[::-1], other_end[::-1])


def _is_beginning(one: str, other: str) -> bool:
    """Whether the shorter text begins the longer one."""
    return one.startswith(other) or other.startswith(one)
