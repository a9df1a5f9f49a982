"""etcd in memory: the server.

Revisions, leases (by the caller's clock), compaction, history and transactions work as in etcd. It is deterministic and
has no thread of its own; several threads may use it.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic

from coordinator.store.port import (
    Census,
    Changed,
    Changes,
    Committed,
    Compacted,
    Compare,
    CreateRevisionIs,
    Delete,
    KeyValue,
    LeaseNotFound,
    Listing,
    NothingPutSince,
    Page,
    Put,
    StoreError,
    Transaction,
    end_of,
    key_bytes,
)


@dataclass(slots=True)
class _Lease:
    ttl: int
    expires_at: float
    keys: set[str] = field(default_factory=set)


class MemoryEtcd:
    """The server. Its contents exist in memory only.

    :param clock: seconds, growing; leases expire by it.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic, cluster_id: int = 1) -> None:
        self.cluster_id = cluster_id
        self.revision = 1  # as in an empty etcd
        self.compacted_revision = 0
        self.changed = threading.Condition()
        """Guards all state, and is notified when there is something new for watches."""
        self._clock = clock
        self._present: dict[str, KeyValue] = {}
        self._of_key: dict[str, list[Changed]] = {}
        self._history: list[Changes] = []
        self._leases: dict[int, _Lease] = {}
        self._next_lease = 1

    def list(self, prefix: str, revision: int = 0, through: str = "") -> Listing:
        def is_listed(key: str) -> bool:
            return key_bytes(prefix) <= key_bytes(key) < end_of(through) if through else key.startswith(prefix)

        with self.changed:
            self.expire_leases()
            if not revision:
                items = [self._present[key] for key in sorted(filter(is_listed, self._present))]
                return Listing(items, self.revision, self.cluster_id)
            self._refuse_unreadable(revision, f"listing {prefix}")
            past = (self._at(key, revision) for key in sorted(filter(is_listed, self._of_key)))
            return Listing([kv for kv in past if kv is not None], revision, self.cluster_id)

    def page(self, prefix: str, after: str | None, limit: int) -> Page:
        """At most so many keys after the given one, in the order of their bytes."""
        with self.changed:
            self.expire_leases()
            begin = key_bytes(prefix if after is None else after)
            found = sorted(
                (key_bytes(key), kv)
                for key, kv in self._present.items()
                if key.startswith(prefix) and (key != after) and key_bytes(key) >= begin
            )
            items = [kv for _, kv in found[:limit]]
            return Page(items, self.revision, self.cluster_id, items[-1].key if len(found) > limit else None)

    def census(self, prefix: str, newer_than: int) -> Census:
        with self.changed:
            self.expire_leases()
            found = [kv.mod_revision for key, kv in self._present.items() if key.startswith(prefix)]
            return Census(len(found), self.revision, has_newer=max(found, default=0) > newer_than)

    def get(self, key: str, revision: int = 0) -> KeyValue | None:
        with self.changed:
            self.expire_leases()
            if not revision:
                return self._present.get(key)
            self._refuse_unreadable(revision, f"reading {key}")
            return self._at(key, revision)

    def commit(self, transaction: Transaction) -> Committed:
        with self.changed:
            self.expire_leases()
            if not all(map(self._holds, transaction.compares)):
                return Committed(False, self.revision, tuple(map(self._present.get, transaction.otherwise)))
            for operation in transaction.then:
                if isinstance(operation, Put) and operation.lease and operation.lease not in self._leases:
                    raise LeaseNotFound(f"putting {operation.key}: lease {operation.lease:x} not found")
            self._apply(transaction.then)
            return Committed(True, self.revision)

    def compact(self, revision: int) -> None:
        """Forget what was overwritten or deleted before ``revision``.

        :raises Compacted: that has happened already.
        :raises StoreError: the revision is in the future.
        """
        with self.changed:
            if revision <= self.compacted_revision:
                raise Compacted(f"compacting up to {revision}: done up to {self.compacted_revision} already")
            if revision > self.revision:
                raise StoreError(f"compacting up to {revision}: the store is at {self.revision} only")
            self.compacted_revision = revision
            del self._history[: bisect_left(self._history, revision, key=_revision_of_batch)]
            for key, changes in list(self._of_key.items()):
                del changes[: max(0, bisect_right(changes, revision, key=_revision_of) - 1)]
                if len(changes) == 1 and changes[0].kv is None and changes[0].revision <= revision:
                    del self._of_key[key]
            self.changed.notify_all()

    def since(self, prefix: str, revision: int) -> Changes:
        """All changes under ``prefix`` from ``revision`` on. :raises Compacted: not all of them are kept."""
        with self.changed:
            self.expire_leases()
            self._refuse_compacted(revision)
            batches = self._history[bisect_left(self._history, revision, key=_revision_of_batch) :]
            wanted = (change for batch in batches for change in batch.changes if change.key.startswith(prefix))
            return Changes(tuple(wanted), self.revision)

    def grant_lease(self, ttl: int) -> int:
        with self.changed:
            lease, self._next_lease = self._next_lease, self._next_lease + 1
            self._leases[lease] = _Lease(ttl, self._clock() + ttl)
            self.changed.notify_all()
            return lease

    def refresh_lease(self, lease: int) -> int:
        with self.changed:
            self.expire_leases()
            held = self._leases.get(lease)
            if held is None:
                return 0
            held.expires_at = self._clock() + held.ttl
            return held.ttl

    def revoke_lease(self, lease: int) -> None:
        with self.changed:
            self.expire_leases()
            self._end_lease(lease)

    def expire_leases(self) -> None:
        """Delete the keys of expired leases. This is also done before every request."""
        now = self._clock()
        with self.changed:
            for lease in [lease for lease, held in self._leases.items() if held.expires_at <= now]:
                self._end_lease(lease)

    def next_expiry(self) -> float | None:
        """When the next lease expires, by the clock."""
        with self.changed:
            return min((held.expires_at for held in self._leases.values()), default=None)

    def wait_for_change(self, timeout: float) -> None:
        """Wait until something may be new: a write, an expired lease. The caller holds :attr:`changed`."""
        expiry = self.next_expiry()
        self.changed.wait(timeout if expiry is None else min(timeout, max(0.0, expiry - self._clock())))

    def _end_lease(self, lease: int) -> None:
        held = self._leases.pop(lease, None)
        if held is not None and held.keys:
            self._apply([Delete(key) for key in sorted(held.keys)])

    def _holds(self, compare: Compare) -> bool:
        if isinstance(compare, NothingPutSince):
            present = (kv for key, kv in self._present.items() if key.startswith(compare.prefix))
            return all(kv.mod_revision <= compare.revision for kv in present)
        kv = self._present.get(compare.key)
        if kv is None:
            return compare.revision == 0
        return compare.revision == (kv.create_revision if isinstance(compare, CreateRevisionIs) else kv.mod_revision)

    def _apply(self, operations: Iterable[Put | Delete]) -> None:
        revision = self.revision + 1
        changes = []
        for operation in operations:
            present = self._present.pop(operation.key, None)
            if present is not None and present.lease in self._leases:
                self._leases[present.lease].keys.discard(operation.key)
            kv = None
            if isinstance(operation, Put):
                created = revision if present is None else present.create_revision
                kv = KeyValue(operation.key, operation.value, created, revision, operation.lease)
                self._present[operation.key] = kv
                if operation.lease:
                    self._leases[operation.lease].keys.add(operation.key)
            elif present is None:
                continue  # deleting an absent key is no change, and makes no revision
            changes.append(Changed(operation.key, revision, kv))
            self._of_key.setdefault(operation.key, []).append(changes[-1])
        if changes:
            self.revision = revision
            self._history.append(Changes(tuple(changes), revision))
            self.changed.notify_all()

    def _at(self, key: str, revision: int) -> KeyValue | None:
        changes = self._of_key.get(key, [])
        position = bisect_right(changes, revision, key=_revision_of)
        return changes[position - 1].kv if position else None

    def _refuse_unreadable(self, revision: int, doing: str) -> None:
        self._refuse_compacted(revision)
        if revision > self.revision:
            raise StoreError(f"{doing} at revision {revision}: the store is at {self.revision} only")

    def _refuse_compacted(self, revision: int) -> None:
        if revision < self.compacted_revision:
            raise Compacted(
                f"revision {revision} is compacted, history begins at {self.compacted_revision}; list again",
                compact_revision=self.compacted_revision,
            )


def _revision_of(change: Changed) -> int:
    return change.revision


def _revision_of_batch(batch: Changes) -> int:
    return batch.revision
