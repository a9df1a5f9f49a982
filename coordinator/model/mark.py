"""Marks: up to when the runs of an observed environment are known (docs/architecture.md#observed-environments)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from coordinator.model import bounds
from coordinator.model.stored import Unreadable, WrittenTime, as_utc, read_stored


class _MarkDocument(msgspec.Struct):
    until: WrittenTime


_decode = msgspec.json.Decoder(_MarkDocument).decode


def dump_mark(until: datetime) -> bytes:
    """The bytes for etcd. :param until: by the environment's own clock."""
    return msgspec.json.encode(_MarkDocument(until))


def read_mark(value: bytes) -> datetime | Unreadable:
    """Read the value of an ``observed/`` key. Never raises."""
    return read_stored(value, _mark_of, most=bounds.SMALL_VALUE, what="a mark")


def _mark_of(value: bytes) -> datetime:
    until: datetime = as_utc(_decode(value).until)
    return until
