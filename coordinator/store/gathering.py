"""Listing all keys under a prefix at one revision, in a way that no compaction can prevent.

A listing that is pinned at one revision fails when that revision is compacted before its last page, and every client
of etcd may compact. So the watch is opened first, and each page is read at its own revision:

- A change of a key that a page has covered is kept, and applied to what has been read.
- A change of a key that no page has covered yet is dropped: the page that will cover it is read later, and shows it.

When all pages are there, the watch is read up to a revision that is no lower than that of any page. The result is then
the content of etcd at that revision, and the same watch continues from there.
"""

from __future__ import annotations

from collections.abc import Callable

from coordinator.store.large_values import kept
from coordinator.store.port import (
    Changes,
    KeyValue,
    Listing,
    Page,
    Store,
    StoreUnavailable,
    WatchStream,
    key_bytes,
)

MOST_CHANGES = 50_000
"""Changes kept beside the pages before they are applied: a writer that puts and deletes endlessly must not fill
memory."""

_BATCHES_AT_ONCE = 1_000
"""Batches read from the watch between two pages, at most: a fast writer must not prevent the next page."""

_QUESTIONS = 40
"""How often the watch is asked for its progress before it counts as broken."""


class Gathering:
    """One listing, with the watch that continues after it.

    :param stream: a watch from the present on, opened before anything is read.
    :param largest: how many bytes the value of a key may have. A larger one is replaced by zeros, one more than it may
        have.
    :param patience: seconds to wait for the watch to catch up with the pages.
    :ivar complete_to: the revision up to which the watch has been read.
    """

    def __init__(
        self, store: Store, prefix: str, stream: WatchStream, *, largest: Callable[[str], int], patience: float
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._stream = stream
        self._largest = largest
        self._patience = patience
        self._items: list[KeyValue] = []
        self._changed: dict[str, KeyValue | None] = {}
        self._covered: bytes | None = b""
        self._newest_page = 0
        self.complete_to = stream.revision

    def run(self) -> Listing:
        """List everything.

        :raises Compacted: the watch fell so far behind that it was ended.
        :raises StoreError: etcd failed, or is not the one that it was at the beginning.
        """
        for page in self._store.pages(self._prefix):
            self._take_page(page)
            self._read_what_has_come()
        self._catch_up()
        self._work_in()
        return Listing(self._items, self.complete_to, self._stream.cluster_id)

    def _take_page(self, page: Page) -> None:
        if page.cluster_id != self._stream.cluster_id or page.revision < self.complete_to:
            raise StoreUnavailable(
                f"listing {self._prefix}: expected cluster {self._stream.cluster_id:x} at revision {self.complete_to} "
                f"or later, found cluster {page.cluster_id:x} at {page.revision}; it was restored meanwhile, or the "
                "endpoints belong to different clusters"
            )
        self._newest_page = max(self._newest_page, page.revision)
        self._items.extend(kept(kv, self._largest) for kv in page.items)
        self._covered = None if page.up_to is None else key_bytes(page.up_to)

    def _read_what_has_come(self) -> None:
        for _ in range(_BATCHES_AT_ONCE):
            batch = self._stream.receive(0)
            if batch is None:
                return
            self._take(batch)

    def _catch_up(self) -> None:
        """Read the watch up to the newest page.

        The progress notifications of etcd before 3.5.8 prove nothing. There the keys are counted: if none was put since
        the last change, and there are as many as here, none was deleted either.
        """
        questions = 0
        while self.complete_to < self._newest_page:
            self._stream.request_progress()
            batch = self._stream.receive(self._patience / _QUESTIONS)
            before = self.complete_to
            if batch is not None:
                self._take(batch)
            if self.complete_to > before:
                continue
            questions += 1
            if questions > _QUESTIONS:
                raise StoreUnavailable(
                    f"listing {self._prefix}: the watch stands at revision {self.complete_to} and says no more, where "
                    f"etcd was at {self._newest_page}"
                )
            if batch is not None:
                self._count()

    def _count(self) -> None:
        census = self._store.census(self._prefix, newer_than=self.complete_to)
        self._work_in()
        if not census.has_newer and census.keys == len(self._items):
            self.complete_to = census.revision

    def _take(self, batch: Changes) -> None:
        for change in batch.changes:
            if self._covered is None or key_bytes(change.key) <= self._covered:
                self._changed[change.key] = None if change.kv is None else kept(change.kv, self._largest)
        self.complete_to = max(self.complete_to, batch.revision)
        if len(self._changed) > MOST_CHANGES:
            self._work_in()

    def _work_in(self) -> None:
        """Apply the changes to the pages; the order stays that of the keys."""
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        self._items = [kv for kv in self._items if kv.key not in changed]
        self._items.extend(kv for kv in changed.values() if kv is not None)
        self._items.sort(key=lambda kv: key_bytes(kv.key))


def gather(store: Store, prefix: str, *, largest: Callable[[str], int], patience: float = 10.0) -> Listing:
    """All keys under a prefix at one revision, for a caller that needs them once. See :class:`Gathering`.

    :raises StoreError: as :meth:`Gathering.run` does.
    """
    with store.watch(prefix, from_revision=0) as stream:
        return Gathering(store, prefix, stream, largest=largest, patience=patience).run()
