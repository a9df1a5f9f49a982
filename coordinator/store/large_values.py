"""Values that are larger than their kind allows: only the fact that they are too large is kept.

A client that may write run states may write hundreds of values of 1.5 MB. A reader refuses each of them by its length
alone, so zeros of one byte more than the limit serve as well, and all keys share the same zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import msgspec

from coordinator.model import bounds
from coordinator.store.port import Changed, Changes, KeyValue

_NEVER_TOO_LARGE = 4 * bounds.KIB
"""Bytes, for any kind: the key of a smaller value need not be looked at."""


def kept(kv: KeyValue, largest: Callable[[str], int]) -> KeyValue:
    """A key with the value to keep. :param largest: how many bytes the value of a key may have."""
    size = len(kv.value)
    if size <= _NEVER_TOO_LARGE or size <= (most := largest(kv.key)):
        return kv
    return msgspec.structs.replace(kv, value=_zeros(most + 1))


def kept_changes(batch: Changes, largest: Callable[[str], int]) -> Changes:
    """Changes with the values to keep."""
    if all(change.kv is None or len(change.kv.value) <= _NEVER_TOO_LARGE for change in batch.changes):
        return batch
    return replace(batch, changes=tuple(_kept_change(change, largest) for change in batch.changes))


def _kept_change(change: Changed, largest: Callable[[str], int]) -> Changed:
    return change if change.kv is None else replace(change, kv=kept(change.kv, largest))


@cache
def _zeros(size: int) -> bytes:
    return bytes(size)
