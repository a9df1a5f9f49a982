"""Forgetting partitions: one transaction deletes state, trigger record and order, what is known of tasks, and the waits
of sensors there, so that nothing starts in between."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from coordinator.commands import acts
from coordinator.errors import CoordinatorError
from coordinator.model.references import Target
from coordinator.model.view import Facts
from coordinator.store.keys import Keys
from coordinator.store.port import MAX_OPERATIONS, Delete, ModRevisionIs, Put, Store, Transaction

MOST = MAX_OPERATIONS // 4
"""Partitions in one transaction: each has at most three keys to delete, and an act."""


class ChangedMeanwhile(CoordinatorError):
    """A partition has changed since it was looked at: nothing was written."""


def forget(
    store: Store,
    keys: Keys,
    facts: Facts,
    targets: Collection[Target],
    dependents: Iterable[Target],
    signature: acts.Signature,
    *,
    further: Mapping[str, int],
) -> list[str]:
    """Delete all keys of some partitions, and record that as acts.

    :param facts: the facts that were looked at; every key must still be the same.
    :param dependents: partitions that could be started because of these. Their records must not have changed either, as
        far as the transaction has room to compare them.
    :param further: other keys of these partitions, of tasks and waits, with their revisions.
    :returns: the keys that were deleted.
    :raises ChangedMeanwhile: something has changed there since.
    :raises CoordinatorError: there are more partitions than fit into a transaction.
    """
    if len(targets) > MOST:
        raise CoordinatorError(
            f"nothing was done: {len(targets)} partitions would be forgotten together, and a transaction of etcd has "
            f"room for {MOST}; forget what is furthest below first, with its pipeline held"
        )
    compares: list[ModRevisionIs] = []
    deleted: list[str] = []
    for target in sorted(targets):
        for key, seen in (
            (keys.state(target), facts.state(target)),
            (keys.trigger(target), facts.record(target)),
            (keys.order(target), facts.order(target)),
        ):
            compares.append(ModRevisionIs(key, 0 if seen is None else seen.revision))
            if seen is not None:
                deleted.append(key)
    compares += [ModRevisionIs(key, revision) for key, revision in sorted(further.items())]
    deleted += sorted(further)
    for dependent in sorted(set(dependents).difference(targets)):
        seen = facts.record(dependent)
        compares.append(ModRevisionIs(keys.trigger(dependent), 0 if seen is None else seen.revision))
    puts = [
        acts.put_of(keys, acts.Act(acts.Verb.FORGET, target.pipeline, target.partition, signature))
        for target in sorted(targets)
    ]
    operations: tuple[Put | Delete, ...] = (*map(Delete, deleted), *puts)
    if len(operations) > MAX_OPERATIONS:
        raise CoordinatorError(
            f"nothing was done: that takes {len(operations)} keys, with those of tasks and sensors, and a transaction "
            f"of etcd has room for {MAX_OPERATIONS}; forget what is furthest below first, with its pipeline held"
        )
    if not store.commit(Transaction(tuple(compares[:MAX_OPERATIONS]), operations)).succeeded:
        raise ChangedMeanwhile("a partition has changed since it was looked at; nothing was written, look again")
    return deleted
