"""What is kept of a value that is larger than its kind may be: that it is.

Whoever may write run states may write values of 1.5 MB, hundreds of them. A reader refuses each of them by its length
alone, so zeros of one byte more than the most serve as well, and all keys share the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from coordinator.model import bounds
from coordinator.store.port import Changed, Changes, KeyValue

_NEVER_TOO_LARGE = 4 * bounds.KIB
"""Bytes, whatever the kind: below it no key has to be looked at."""


def kept(kv: KeyValue, largest: Callable[[str], int]) -> KeyValue:
    """A key as it is kept. :param largest: how many bytes the value of a key may have."""
    size = len(kv.value)
    if size <= _NEVER_TOO_LARGE or size <= (most := largest(kv.key)):
        return kv
    return replace(kv, value=_zeros(most + 1))


def kept_changes(batch: Changes, largest: Callable[[str], int]) -> Changes:
    """What a watch delivered, as it is kept."""
    if all(change.kv is None or len(change.kv.value) <= _NEVER_TOO_LARGE for change in batch.changes):
        return batch
    return replace(batch, changes=tuple(_kept_change(change, largest) for change in batch.changes))


def _kept_change(change: Changed, largest: Callable[[str], int]) -> Changed:
    return change if change.kv is None else replace(change, kv=kept(change.kv, largest))


@cache
def _zeros(size: int) -> bytes:
    return bytes(size)
