"""The port in memory: a client of :class:`MemoryEtcd`.

It keeps the promises that etcd keeps (the contract tests run against both), so that simulations can rely on it. Faults
are added by wrapping :class:`MemoryStore`, or by giving it another ``server`` (a restore from a backup).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from types import TracebackType

from coordinator.store.large_values import kept
from coordinator.store.memory_etcd import MemoryEtcd
from coordinator.store.port import (
    MAX_OPERATIONS,
    Census,
    Changes,
    Committed,
    Delete,
    KeyValue,
    Listing,
    Page,
    Put,
    StoreError,
    StoreUnavailable,
    Transaction,
    TransactionTooLarge,
)

__all__ = ["MemoryEtcd", "MemoryStore", "MemoryWatch"]

MAX_REQUEST_BYTES = 1536 * 1024
"""etcd's default ``--max-request-bytes``."""


class MemoryWatch:
    """A :class:`coordinator.store.port.WatchStream` on a :class:`MemoryEtcd`."""

    def __init__(self, server: MemoryEtcd, prefix: str, from_revision: int) -> None:
        self._server = server
        self._prefix = prefix
        self._next = from_revision or server.revision + 1
        self._progress_requested = False
        self._closed = False
        self.cluster_id = server.cluster_id
        self.revision = server.revision
        server.since(prefix, self._next)

    def receive(self, timeout: float) -> Changes | None:
        until = monotonic() + timeout
        with self._server.changed:
            while True:
                batch = self._ready()
                if batch is not None:
                    return batch
                left = until - monotonic()
                if left <= 0:
                    return None
                self._server.wait_for_change(left)

    def _ready(self) -> Changes | None:
        if self._closed:
            raise StoreUnavailable(f"watching {self._prefix}: closed by this side")
        batch = self._server.since(self._prefix, self._next)
        if batch.changes:
            complete_to = batch.changes[-1].revision
            self._next = complete_to + 1
            return replace(batch, revision=complete_to)
        if self._progress_requested:
            self._progress_requested = False
            self._next = max(self._next, batch.revision + 1)
            return Changes((), self._next - 1)
        return None

    def request_progress(self) -> None:
        with self._server.changed:
            self._progress_requested = True
            self._server.changed.notify_all()

    def close(self) -> None:
        with self._server.changed:
            self._closed = True
            self._server.changed.notify_all()

    def __enter__(self) -> MemoryWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemoryStore:
    """A :class:`coordinator.store.port.Store`: a client of a :class:`MemoryEtcd`.

    :cvar page_size: keys of a page.
    :ivar server: receives the requests. Open watches stay with the server that they were opened on.
    """

    page_size = 1_000

    def __init__(self, server: MemoryEtcd) -> None:
        self.server = server
        self._closed = False

    def list(
        self, prefix: str, *, through: str = "", revision: int = 0, largest: Callable[[str], int] | None = None
    ) -> Listing:
        listing = self._reached().list(prefix, revision, through)
        return listing if largest is None else replace(listing, items=[kept(kv, largest) for kv in listing.items])

    def pages(self, prefix: str, *, pinned: bool = False) -> Iterator[Page]:
        if pinned:
            listing = self.list(prefix)
            yield Page(listing.items, listing.revision, listing.cluster_id, None)
            return
        after: str | None = None
        while True:
            page = self._reached().page(prefix, after, self.page_size)
            yield page
            if page.up_to is None:
                return
            after = page.up_to

    def names(self, prefix: str, *, revision: int = 0) -> Iterator[str]:
        return (item.key for item in self.list(prefix, revision=revision).items)

    def census(self, prefix: str, *, newer_than: int) -> Census:
        return self._reached().census(prefix, newer_than)

    def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        return self._reached().get(key, revision)

    def commit(self, transaction: Transaction) -> Committed:
        server = self._reached()
        _refuse_too_large(transaction)
        return server.commit(transaction)

    def watch(self, prefix: str, *, from_revision: int) -> MemoryWatch:
        return MemoryWatch(self._reached(), prefix, from_revision)

    def grant_lease(self, ttl: int) -> int:
        return self._reached().grant_lease(ttl)

    def refresh_lease(self, lease: int, *, quorum_key: str) -> int:
        del quorum_key  # there is only one member, which is always the leader
        return self._reached().refresh_lease(lease)

    def revoke_lease(self, lease: int) -> None:
        self._reached().revoke_lease(lease)

    def close(self) -> None:
        self._closed = True

    def _reached(self) -> MemoryEtcd:
        if self._closed:
            raise StoreUnavailable("this client is closed")
        return self.server


def _refuse_too_large(transaction: Transaction) -> None:
    largest = max(len(transaction.compares), len(transaction.then), len(transaction.otherwise))
    if largest > MAX_OPERATIONS:
        raise TransactionTooLarge(f"{largest} compares or operations in a transaction, at most {MAX_OPERATIONS}")
    size = sum(
        len(operation.value) + len(operation.key) for operation in transaction.then if isinstance(operation, Put)
    )
    if size > MAX_REQUEST_BYTES:
        raise TransactionTooLarge(f"{size} bytes in a transaction, at most {MAX_REQUEST_BYTES}")
    put = [operation.key for operation in transaction.then if isinstance(operation, Put)]
    if len(set(put)) < len(put) or not set(put).isdisjoint(
        operation.key for operation in transaction.then if isinstance(operation, Delete)
    ):
        raise StoreError("a transaction changes a key twice; etcd refuses that")
