"""Writing to etcd, fenced by leadership: many small writes in as few transactions as etcd allows.

Each write stands on its own compares. Written together they hold or fail together, so when a group fails its
writes are tried one by one: only those whose ground has moved fail then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from coordinator.errors import LeadershipLost
from coordinator.model.references import Target
from coordinator.store.port import (
    MAX_OPERATIONS,
    AccessDenied,
    Committed,
    Compare,
    CreateRevisionIs,
    Delete,
    ModRevisionIs,
    Put,
    Store,
    Transaction,
    TransactionTooLarge,
)

MAX_BYTES = 1_000_000
"""etcd refuses a request over 1.5 MiB."""

RESERVED_COMPARES = 2
"""The leader key, and the written key itself; what is left is for the inputs."""


@dataclass(frozen=True, slots=True)
class Write:
    """One put or delete and what it stands on.

    :ivar target: whose state or record is written.
    :ivar expected: mod revision of the key itself; 0: it does not exist.
    :ivar grounds: mod revisions of other keys that must not have moved.
    :ivar committed: called with the revision of the write.
    :ivar lost: called with a revision: the ground had moved by then; look again once it has been read.
    :ivar refused: called with etcd's reason: it answers, and will not write this.
    """

    target: Target
    operation: Put | Delete
    expected: int
    committed: Callable[[int], None]
    lost: Callable[[int], None]
    refused: Callable[[str], None]
    grounds: tuple[ModRevisionIs, ...] = ()

    @property
    def compares(self) -> tuple[Compare, ...]:
        own = ModRevisionIs(self.operation.key, self.expected)
        return (own, *self.grounds[: MAX_OPERATIONS - RESERVED_COMPARES])

    @property
    def size(self) -> int:
        return len(self.operation.value) if isinstance(self.operation, Put) else 0


def commit(store: Store, fence: CreateRevisionIs, writes: Sequence[Write]) -> None:
    """Write them all; each one's ``committed``, ``lost`` or ``refused`` is called.

    :param fence: holds while this watcher leads.
    :raises StoreUnavailable: some may have been written; those of which nothing was called are to be read back.
    :raises LeadershipLost: somebody else leads; the rest was not written.
    """
    for group in _groups(writes):
        if len(group) == 1 or not _commit_together(store, fence, group):
            for write in group:
                try:
                    _commit_alone(store, fence, write)
                except (AccessDenied, TransactionTooLarge) as error:
                    write.refused(str(error))


def _commit_alone(store: Store, fence: CreateRevisionIs, write: Write) -> None:
    answer = commit_fenced(store, fence, write.compares, (write.operation,))
    if answer.succeeded:
        write.committed(answer.revision)
    else:
        write.lost(answer.revision)


def commit_fenced(
    store: Store, fence: CreateRevisionIs, compares: Iterable[Compare], operations: Iterable[Put | Delete]
) -> Committed:
    """One transaction, fenced by leadership.

    :returns: ``succeeded`` is ``False`` where one of the compares did not hold.
    :raises LeadershipLost: somebody else leads; nothing was written.
    """
    answer = store.commit(Transaction((fence, *compares), tuple(operations), otherwise=(fence.key,)))
    if not answer.succeeded:
        leader = answer.found[0]
        if leader is None or leader.create_revision != fence.revision:
            raise LeadershipLost(
                f"{fence.key}: expected the leadership of revision {fence.revision}, found "
                f"{'none' if leader is None else leader.create_revision}; a successor takes over what is under way"
            )
    return answer


def _commit_together(store: Store, fence: CreateRevisionIs, group: Sequence[Write]) -> bool:
    compares = dict.fromkeys(compare for write in group for compare in write.compares)
    try:
        answer = store.commit(Transaction((fence, *compares), tuple(write.operation for write in group)))
    except (AccessDenied, TransactionTooLarge):
        return False  # one of them is the reason: alone each will tell
    if answer.succeeded:
        for write in group:
            write.committed(answer.revision)
    return answer.succeeded


def _groups(writes: Iterable[Write]) -> Iterable[list[Write]]:
    """Cut into groups that fit a transaction; no key is written twice in one (etcd refuses that)."""
    group: list[Write] = []
    compares, size, keys = 1, 0, set[str]()
    for write in writes:
        more = len(write.compares)
        full = len(group) == MAX_OPERATIONS or compares + more > MAX_OPERATIONS or size + write.size > MAX_BYTES
        if group and (full or write.operation.key in keys):
            yield group
            group, compares, size, keys = [], 1, 0, set()
        group.append(write)
        keys.add(write.operation.key)
        compares += more
        size += write.size
    if group:
        yield group
