"""Listing a prefix page by page, however large the values in it are.

etcd limits a page by its number of keys only, and has no filter by size. So the number of keys follows from the bytes
of the previous page; a page that is larger than the client accepts is requested again with fewer keys, and a single
value that is too large is not fetched at all: its key gets zeros instead, one more than the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from coordinator.model import bounds
from coordinator.store.failures import timed_out
from coordinator.store.members import RECEIVE_LIMIT
from coordinator.store.port import AnswerTooLarge, KeyValue, Page, StoreUnavailable, end_of, key_bytes
from coordinator.store.protobuf import import_etcd3

_FIRST_PAGE = 500
_LARGEST_PAGE = 50_000
_GROWTH = 32
"""A page has at most so many times the keys of the one before."""

_WARY_GROWTH = 2
_WARY_FOR = 8
"""Pages that grow more slowly after one that was too large: large values may follow right after small ones, and etcd
composes the whole of an answer that the client refuses."""

_PAGE_BYTES = 4 * bounds.MIB
"""The aim. Few large pages, because etcd counts the whole range again for every page (``RangeResponse.count``)."""

_SMALLER_AFTER_TIMEOUT = 16
_TIMEOUTS = 2
"""Time-outs in a row, each with a smaller page, after which etcd counts as down."""

_NOT_FETCHED = bytes(RECEIVE_LIMIT + 1)


def pages(
    ask: Callable[[Any], Any],
    prefix: str,
    *,
    through: str = "",
    revision: int = 0,
    pinned: bool = False,
    keys_only: bool = False,
) -> Iterator[Page]:
    """All keys under a prefix.

    :param ask: sends a ``RangeRequest``.
    :param through: also all keys in between, up to those under this prefix.
    :param revision: of every page; 0: the present one.
    :param pinned: all pages are of the revision of the first one; otherwise each has its own.
    :param keys_only: fetch no values: each key gets zeros instead.
    :raises Compacted: that revision is no longer kept.
    """
    key, range_end = key_bytes(prefix), end_of(through or prefix)
    limit, timeouts, wary = _FIRST_PAGE, 0, 0
    while True:
        request = import_etcd3().etcdrpc.RangeRequest(
            key=key, range_end=range_end, limit=limit, revision=revision, keys_only=keys_only
        )
        try:
            answer = _ask_for_page(ask, request)
        except AnswerTooLarge as error:
            limit, wary = _limit_for(limit, error.size or RECEIVE_LIMIT * 2), _WARY_FOR
            continue
        except StoreUnavailable as error:
            timeouts += 1
            if limit == 1 or timeouts > _TIMEOUTS or not timed_out(error):
                raise
            limit = max(1, limit // _SMALLER_AFTER_TIMEOUT)
            continue
        timeouts = 0
        items = list(map(key_value, answer.kvs))
        if request.keys_only:
            items = [KeyValue(kv.key, _NOT_FETCHED, kv.create_revision, kv.mod_revision, kv.lease) for kv in items]
        at = revision or int(answer.header.revision)
        yield Page(items, at, int(answer.header.cluster_id), items[-1].key if answer.more else None)
        if not answer.more:
            return
        if pinned:
            revision = at
        key = answer.kvs[-1].key + b"\x00"
        growth = _WARY_GROWTH if wary else _GROWTH
        wary = max(0, wary - 1)
        limit = min(_LARGEST_PAGE, limit * growth, _limit_for(len(items), answer.ByteSize()))


def key_value(kv: Any) -> KeyValue:
    """A key of an answer, as a value of the port."""
    key, created, modified = kv.key.decode("utf-8", "surrogateescape"), kv.create_revision, kv.mod_revision
    if created == modified:
        created = modified  # one object, not two: most keys are written once
    return KeyValue(key, kv.value, created, modified, kv.lease)


def _ask_for_page(ask: Callable[[Any], Any], request: Any) -> Any:
    try:
        return ask(request)
    except AnswerTooLarge:
        if request.limit > 1:
            raise
        request.keys_only = True
        return ask(request)


def _limit_for(keys: int, size: int) -> int:
    """The number of keys of the next page, if so many keys had so many bytes."""
    return max(1, _PAGE_BYTES * keys // size)
