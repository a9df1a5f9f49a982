"""Writing to etcd, fenced by leadership: many small writes in as few transactions as etcd allows.

Each write has compares of its own. In one transaction they hold or fail together, so when a group fails, its writes are
tried one by one: then only those fail whose keys have changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from coordinator.controller.decision_log import LogEvent
from coordinator.errors import LeadershipLost
from coordinator.model.decide import Decision
from coordinator.model.references import Target
from coordinator.model.trigger import TriggerRecord
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
    StoreUnavailable,
    Transaction,
    TransactionTooLarge,
)

MAX_BYTES = 1_000_000
"""etcd refuses a request over 1.5 MiB."""

RETRY_AFTER = 0.5
"""Seconds until a write that etcd did not answer is tried again."""

RESERVED_COMPARES = 2
"""For the leader key and the written key itself; the rest is for the inputs."""


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """A trigger record to write, and what it was decided on.

    :ivar previous: the record that it replaces.
    :ivar decided_on: the etcd revision up to which this watcher had read.
    :ivar decision: what led to it; ``None`` where only the outcome of a request is known.
    :ivar event: its event in the decision log, where that does not follow from the record alone.
    :ivar counts: the counter to increase.
    """

    record: TriggerRecord
    previous: TriggerRecord | None
    decided_on: int
    decision: Decision | None = None
    event: LogEvent | None = None
    counts: str | None = None


@dataclass(frozen=True, slots=True)
class StateWrite:
    """A state that is written on a pipeline's behalf. :ivar askers: the targets that wait for it."""

    askers: frozenset[Target]


@dataclass(frozen=True, slots=True)
class WaitWrite:
    """The answer to a wait, or its removal."""


@dataclass(frozen=True, slots=True)
class Write:
    """One put or delete, and its conditions.

    :ivar target: whose state, record or wait is written.
    :ivar expected: mod revision of the key itself; 0: it does not exist.
    :ivar grounds: mod revisions of other keys that must not have changed.
    """

    target: Target
    operation: Put | Delete
    expected: int
    subject: RecordWrite | StateWrite | WaitWrite
    grounds: tuple[ModRevisionIs, ...] = ()

    @property
    def compares(self) -> tuple[Compare, ...]:
        own = ModRevisionIs(self.operation.key, self.expected)
        return (own, *self.grounds[: MAX_OPERATIONS - RESERVED_COMPARES])

    @property
    def size(self) -> int:
        return len(self.operation.value) if isinstance(self.operation, Put) else 0


@dataclass(frozen=True, slots=True)
class Written:
    """It was written, at this revision."""

    revision: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A compare failed at this revision: decide again once that has been read."""

    revision: int


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """etcd refuses to write this."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """etcd did not answer: it may have been written."""

    reason: str


Result = Written | Lost | WriteRefused | Unanswered


def commit(store: Store, fence: CreateRevisionIs, writes: Sequence[Write]) -> Iterator[tuple[Write, Result]]:
    """Write them all, and yield each with its result as soon as that is known.

    :param fence: holds while this watcher leads.
    :raises LeadershipLost: somebody else leads; the rest was not written.
    """
    groups = list(_groups(writes))
    while groups:
        group = groups.pop(0)
        try:
            yield from _commit_group(store, fence, group)
        except _Unavailable as error:
            rest = [*error.unanswered, *(write for later in groups for write in later)]
            yield from ((write, Unanswered(str(error.__cause__))) for write in rest)
            return


class _Unavailable(Exception):
    """etcd did not answer about these."""

    def __init__(self, unanswered: Sequence[Write]) -> None:
        super().__init__()
        self.unanswered = unanswered


def _commit_group(store: Store, fence: CreateRevisionIs, group: Sequence[Write]) -> Iterator[tuple[Write, Result]]:
    if len(group) > 1:
        try:
            revision = _commit_together(store, fence, group)
        except StoreUnavailable as error:
            raise _Unavailable(group) from error
        if revision is not None:
            yield from ((write, Written(revision)) for write in group)
            return
    for place, write in enumerate(group):
        try:
            result = _commit_alone(store, fence, write)
        except StoreUnavailable as error:
            raise _Unavailable(group[place:]) from error
        yield write, result


def _commit_alone(store: Store, fence: CreateRevisionIs, write: Write) -> Result:
    try:
        answer = commit_fenced(store, fence, write.compares, (write.operation,))
    except (AccessDenied, TransactionTooLarge) as error:
        return WriteRefused(str(error))
    return Written(answer.revision) if answer.succeeded else Lost(answer.revision)


def commit_fenced(
    store: Store, fence: CreateRevisionIs, compares: Iterable[Compare], operations: Iterable[Put | Delete]
) -> Committed:
    """One transaction, fenced by leadership.

    :returns: ``succeeded`` is ``False`` if one of the compares did not hold.
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


def _commit_together(store: Store, fence: CreateRevisionIs, group: Sequence[Write]) -> int | None:
    """The revision at which all of them were written; ``None``: none was; tried alone, each shows why."""
    compares = dict.fromkeys(compare for write in group for compare in write.compares)
    try:
        answer = store.commit(Transaction((fence, *compares), tuple(write.operation for write in group)))
    except (AccessDenied, TransactionTooLarge):
        return None
    return answer.revision if answer.succeeded else None


def _groups(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """Groups that fit into a transaction; none writes a key twice, which etcd refuses."""
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
