"""What is alive in this process, so that a test can tell what is left to the garbage collector."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


def alive(*kinds: type) -> Counter[str]:
    """How many objects of these classes there are, by the name of their class."""
    # Not isinstance: among all objects there are proxies, which would go and look.
    return Counter(type(one).__name__ for one in gc.get_objects() if issubclass(type(one), kinds))


@contextmanager
def no_collections() -> Iterator[None]:
    """All garbage is collected before, and none meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
