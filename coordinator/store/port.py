"""The operations of etcd that the coordinator needs, and nothing more.

Two implementations keep the same promises (and pass the same contract tests): ``connection.EtcdStore`` over gRPC and
``memory.MemoryStore``. Revisions, leases and transactions are those of etcd's documentation
(https://etcd.io/docs/v3.5/learning/api/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import msgspec

from coordinator.errors import CoordinatorError

MAX_OPERATIONS = 128
"""etcd's default ``--max-txn-ops``: at most so many operations, and so many compares, in one transaction."""


class StoreError(CoordinatorError):
    """etcd did not do what was asked."""


class StoreUnavailable(StoreError):
    """No answer from etcd, or an unreliable one: a write may or may not have been applied. Read back."""


class Compacted(StoreError):
    """The revision asked for is no longer kept; list again."""

    def __init__(self, message: str, *, compact_revision: int = 0) -> None:
        super().__init__(message)
        self.compact_revision = compact_revision


class TransactionTooLarge(StoreError):
    """More operations or bytes than etcd accepts in one transaction."""


class AnswerTooLarge(StoreError):
    """An answer is larger than this client accepts (``members.RECEIVE_LIMIT``): ask for less at once.

    :ivar size: bytes of the answer; 0: unknown.
    """

    def __init__(self, message: str, *, size: int = 0) -> None:
        super().__init__(message)
        self.size = size


class AccessDenied(StoreError):
    """etcd refuses: the user may not do this."""


class LeaseNotFound(StoreError):
    """A put names a lease that has expired: nothing was written."""


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """A key and its value at a revision. A listing has a million of them."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """All keys under a prefix, as they stood at ``revision``."""

    items: list[KeyValue]
    revision: int
    cluster_id: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some keys of a prefix, in the order of their bytes, as they stood at ``revision``.

    A value that is larger than this client accepts is not fetched. It is replaced by zeros, more than any value may
    have.

    :ivar up_to: the last key of the page; ``None``: there are no keys after it.
    """

    items: list[KeyValue]
    revision: int
    cluster_id: int
    up_to: str | None


@dataclass(frozen=True, slots=True)
class Census:
    """How many keys there were under a prefix at ``revision``, and whether one of them was put after another one."""

    keys: int
    revision: int
    has_newer: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """A key was put (``value``) or deleted (``value is None``) at ``revision``."""

    key: str
    revision: int
    kv: KeyValue | None


@dataclass(frozen=True, slots=True)
class Changes:
    """A batch from a watch: changes in revision order, and the revision up to which they are complete.

    Without changes it is a progress notification. A change's whole revision is in one batch.
    """

    changes: tuple[Changed, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class ModRevisionIs:
    """Compare: the key was last modified at this revision; 0: it does not exist."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class CreateRevisionIs:
    """Compare: the key was created at this revision; 0: it does not exist. Fences writes by leadership."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class NothingPutSince:
    """Compare: no key under the prefix was put after this revision, whether or not it was known before.

    This does not detect deletions: compare each key that matters with :class:`ModRevisionIs` too.
    """

    prefix: str
    revision: int


Compare = ModRevisionIs | CreateRevisionIs | NothingPutSince


@dataclass(frozen=True, slots=True)
class Put:
    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    key: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """Apply ``then`` if all ``compares`` hold; else read the keys of ``otherwise`` and change nothing."""

    compares: tuple[Compare, ...]
    then: tuple[Put | Delete, ...]
    otherwise: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """The answer to a transaction.

    ``revision`` is the store's revision after it: that of the writes when it succeeded. ``found`` are the
    keys of ``otherwise`` as they stand when it did not succeed, in order, ``None`` for an absent key.
    """

    succeeded: bool
    revision: int
    found: tuple[KeyValue | None, ...] = ()


def key_bytes(key: str) -> bytes:
    """The bytes of a key in etcd, by which it is ordered. Foreign keys that are not UTF-8 get their own bytes back."""
    return key.encode("utf-8", "surrogateescape")


def end_of(prefix: str) -> bytes:
    """The first key after all that start with ``prefix`` (etcd's ``range_end`` for a prefix)."""
    key = key_bytes(prefix).rstrip(b"\xff")
    return key[:-1] + bytes((key[-1] + 1,)) if key else b"\x00"


class WatchStream(Protocol):
    """One watch. Use as a context manager: leaving it cancels the watch, also from another thread.

    ``cluster_id`` and ``revision`` are those of the store when the watch was created: another cluster, or a
    revision lower than one seen before, is a store restored from a backup.
    """

    @property
    def cluster_id(self) -> int: ...

    @property
    def revision(self) -> int: ...

    def receive(self, timeout: float) -> Changes | None:
        """The next batch, or ``None`` after ``timeout`` seconds of silence.

        :raises Compacted: the watch fell behind the compaction; list again.
        :raises AnswerTooLarge: one change is larger than what this client takes; list again.
        :raises StoreUnavailable: the watch has ended for any other reason; it must be opened again.
        """

    def request_progress(self) -> None:
        """Ask the server up to which revision this watch is complete (it answers with a batch without changes)."""

    def close(self) -> None: ...

    def __enter__(self) -> WatchStream: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Store(Protocol):
    """An etcd. Every method may raise :class:`StoreUnavailable` and :class:`AccessDenied`."""

    def list(
        self, prefix: str, *, through: str = "", revision: int = 0, largest: Callable[[str], int] | None = None
    ) -> Listing:
        """All keys under ``prefix``, now or at a revision: paginated, linearizable, pinned at one revision.

        :param through: also all keys in between, up to those under this prefix.
        :param largest: how many bytes the value of a key may have. A larger one is replaced by zeros, one more than
            that, so that hundreds of large values do not fill memory.

        :raises Compacted: that revision is no longer kept.
        """

    def pages(self, prefix: str, *, pinned: bool = False) -> Iterator[Page]:
        """All keys under ``prefix``, page by page, each at its own revision: linearizable, so that it is no lower than
        that of any change that was seen before the page was requested. No compaction can disturb this.

        Each page is asked for when it is taken.

        :param pinned: all pages are of the revision of the first one.
        :raises Compacted: that revision is no longer kept.
        """

    def names(self, prefix: str, *, revision: int = 0) -> Iterator[str]:
        """All keys under ``prefix`` without their values, page by page.

        :param revision: of every page; 0: each has its own, so that no compaction can disturb this.
        :raises Compacted: that revision is no longer kept.
        """

    def census(self, prefix: str, *, newer_than: int) -> Census:
        """Count the keys under ``prefix``, and find out whether one of them was put after a revision.

        Costs etcd as much as reading all of them.
        """

    def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        """One key, now or at a revision. :raises Compacted: that revision is no longer kept."""

    def commit(self, transaction: Transaction) -> Committed:
        """Run a transaction.

        :raises TransactionTooLarge: see :data:`MAX_OPERATIONS`; nothing was written.
        :raises LeaseNotFound: the lease of a put has expired; nothing was written.
        """

    def watch(self, prefix: str, *, from_revision: int) -> WatchStream:
        """Watch all keys under ``prefix``, from ``from_revision`` on, with progress notifications.

        :param from_revision: 0: from the one after the stream's ``revision`` on.
        :raises Compacted: that revision is no longer kept.
        """

    def grant_lease(self, ttl: int) -> int:
        """Grant a lease of ``ttl`` seconds. Returns its id."""

    def refresh_lease(self, lease: int, *, quorum_key: str) -> int:
        """Keep a lease alive. Returns the seconds it has left; 0: it has expired (etcd raises nothing).

        A member that has lost the leadership of the cluster, and does not know it yet (its disk hangs, it was
        suspended), extends leases that the cluster may let expire (etcd-io/etcd issue 15247). So a quorum is asked
        afterwards.

        :param quorum_key: a key that this client may read; its value does not matter.
        :raises StoreUnavailable: also when etcd has elected another leader meanwhile: ask again.
        """

    def revoke_lease(self, lease: int) -> None:
        """End a lease and delete its keys. Does nothing if it has expired already."""

    def close(self) -> None: ...
