"""Cursors: up to when the runs of an observed environment are known (docs/architecture.md#observed-environments)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from coordinator.model import bounds
from coordinator.model.stored import Unreadable, WrittenTime, as_utc, read_stored


class _CursorDocument(msgspec.Struct):
    until: WrittenTime


_decode = msgspec.json.Decoder(_CursorDocument).decode


def dump_cursor(until: datetime) -> bytes:
    """The bytes for etcd. :param until: by the environment's own clock."""
    return msgspec.json.encode(_CursorDocument(until))


def read_cursor(value: bytes) -> datetime | Unreadable:
    """Read the value of an ``observed/`` key. Never raises."""
    return read_stored(value, _cursor_of, most=bounds.SMALL_VALUE, what="a cursor")


def _cursor_of(value: bytes) -> datetime:
    until: datetime = as_utc(_decode(value).until)
    return until
