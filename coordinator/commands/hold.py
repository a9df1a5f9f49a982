"""Holding and releasing pipelines (docs/architecture.md#keys).

Both may be repeated, for example after an answer was lost. Every change is recorded as an act.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from coordinator.commands import acts
from coordinator.model.hold import Hold, dump_hold, read_hold
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import Unreadable
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, KeyValue, ModRevisionIs, Put, Store, StoreError, Transaction

_TRIES = 10
"""Attempts. Each failure means that another person changed the same hold at that moment."""


@dataclass(frozen=True, slots=True)
class HoldChange:
    """The hold before and after; equal if nothing was changed."""

    before: Hold | Unreadable | None
    after: Hold | Unreadable | None

    @property
    def changed(self) -> bool:
        return self.before != self.after


def put_hold(store: Store, keys: Keys, pipeline: PipelineRef, hold: Hold) -> HoldChange:
    """Hold a pipeline. An existing hold keeps its ``since``, and is not written again if it is otherwise the same.

    :raises StoreError: others change it again and again, or the store fails.
    """
    key = keys.hold(pipeline)
    for _ in range(_TRIES):
        present = store.get(key)
        before = None if present is None else read_hold(present.value)
        after = hold
        if isinstance(before, Hold):
            after = before if before.why == hold.why else replace(hold, since=before.since or hold.since)
        signature = acts.Signature(hold.who, hold.since or datetime.now(UTC), hold.why)
        act = acts.put_of(keys, acts.Act(acts.Verb.HOLD, pipeline, None, signature))
        if after == before or _swapped(store, key, present, Put(key, dump_hold(after)), act):
            return HoldChange(before, after)
    raise _always_changing(key)


def delete_hold(store: Store, keys: Keys, pipeline: PipelineRef, signature: acts.Signature) -> HoldChange:
    """Release a pipeline. Does nothing if it is not held.

    :raises StoreError: others change it again and again, or the store fails.
    """
    key = keys.hold(pipeline)
    for _ in range(_TRIES):
        present = store.get(key)
        if present is None:
            return HoldChange(None, None)
        act = acts.put_of(keys, acts.Act(acts.Verb.RELEASE, pipeline, None, signature))
        if _swapped(store, key, present, Delete(key), act):
            return HoldChange(read_hold(present.value), None)
    raise _always_changing(key)


def _swapped(store: Store, key: str, present: KeyValue | None, *writes: Put | Delete) -> bool:
    compare = ModRevisionIs(key, 0 if present is None else present.mod_revision)
    return store.commit(Transaction((compare,), writes)).succeeded


def _always_changing(key: str) -> StoreError:
    return StoreError(f"{key}: changed by somebody else {_TRIES} times in a row, nothing was written; try again")
