"""Writing the wait of a sensor (docs/architecture.md#waits): over what its earlier attempts have left, and over no
answer that it has got, nor over the wait of a later attempt.

Several write under one key: the workers and triggerers of each attempt of the sensor, and the leader, who answers. Any
of them may be late. So a write compares what it replaces.
"""

from __future__ import annotations

from coordinator.model.waits import Wait, dump_wait, is_later_wait, is_same_wait, read_wait
from coordinator.store.port import ModRevisionIs, Put, Store, Transaction


def write_wait(store: Store, key: str, wait: Wait, *, begins: bool) -> Wait:
    """Write a wait, unless it is there, answered or not, or that of a later attempt is.

    :param begins: the sensor itself asks, at its beginning: what stands there first is of an earlier attempt, whatever
        it says. A run that was deleted and made again counts its tries anew.
    :returns: the wait as it stands; where that of a later attempt does, the wait that was to be written.
    :raises StoreError: etcd could not be reached, or refuses. To write it again is safe.
    """
    present = store.get(key)
    while True:
        found = read_wait(present.value) if present is not None else None
        if isinstance(found, Wait) and is_same_wait(found, wait):
            return found
        if isinstance(found, Wait) and not begins and is_later_wait(found, wait):
            return wait
        replaced = ModRevisionIs(key, present.mod_revision if present is not None else 0)
        answer = store.commit(Transaction((replaced,), (Put(key, dump_wait(wait)),), otherwise=(key,)))
        if answer.succeeded:
            return wait
        (present,) = answer.found
        begins = False
