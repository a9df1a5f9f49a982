"""Filling gaps: giving an order for each, and waiting for the ordered runs to end.

An order is given only while all keys of the partition are as they were when the gap was found. So a repeated fill, or
two fills at the same time, order nothing twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic

from coordinator.commands import acts
from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.references import Target
from coordinator.model.runstate import RunState, State, read_run_state
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.model.view import Facts
from coordinator.store.keys import Keys
from coordinator.store.port import Compacted, ModRevisionIs, Put, Store, Transaction, WatchStream

_LOOK_AGAIN = 5.0
"""Seconds after which a fill checks its orders even if no record has changed: one may have been taken back."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """A run has been ordered, at an etcd revision."""

    target: Target
    revision: int


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A partition has changed since its gap was found: nothing was ordered there."""

    target: Target


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an order.

    :ivar state: of its run; ``None``: the order was taken back, or the run has vanished.
    """

    target: Target
    state: State | None


def fill(
    store: Store,
    keys: Keys,
    facts: Facts,
    targets: Iterable[Target],
    signature: acts.Signature,
    *,
    max_in_flight: int | None = None,
) -> Iterator[Ordered | LeftAlone | Ended]:
    """Order a run for each gap, in this order, and yield each step as it is done.

    :param facts: the facts in which the gaps were found.
    :param max_in_flight: how many may be ordered and not ended at a time; this waits until all have ended. ``None``:
        order all at once, and wait for nothing.
    :raises StoreUnavailable: etcd cannot be reached. Orders that were given stay; a repetition continues.
    """
    waiting = deque(targets)
    ordered: dict[Target, int] = {}
    while waiting or (ordered and max_in_flight is not None):
        while waiting and (max_in_flight is None or len(ordered) < max_in_flight):
            target = waiting.popleft()
            revision = order_fill(store, keys, facts, target, signature)
            if revision is None:
                yield LeftAlone(target)
            else:
                ordered[target] = revision
                yield Ordered(target, revision)
        if max_in_flight is not None and ordered:
            for ended in wait_for_ends(store, keys, ordered):
                del ordered[ended.target]
                yield ended


def order_fill(store: Store, keys: Keys, facts: Facts, target: Target, signature: acts.Signature) -> int | None:
    """Order a run for a gap, and record that as an act.

    :param facts: the facts in which the gap was found.
    :returns: etcd revision of the order; ``None``: the partition has changed since, and nothing was written.
    """
    given = GivenOrder(Order.RERUN, who=signature.who, when=signature.when, why=signature.why)
    act = acts.Act(acts.Verb.FILL, target.pipeline, target.partition, signature)
    seen = (
        (keys.order(target), facts.order(target)),
        (keys.trigger(target), facts.record(target)),
        (keys.state(target), facts.state(target)),
    )
    compares = tuple(ModRevisionIs(key, 0 if one is None else one.revision) for key, one in seen)
    answer = store.commit(Transaction(compares, (Put(keys.order(target), dump_order(given)), acts.put_of(keys, act))))
    return answer.revision if answer.succeeded else None


def wait_for_ends(store: Store, keys: Keys, ordered: Mapping[Target, int]) -> list[Ended]:
    """Wait until the run of at least one of these orders has ended, or an order is taken back.

    :param ordered: orders with their etcd revisions; not empty.
    :raises StoreUnavailable: etcd cannot be reached.
    """
    records = {keys.trigger(target) for target in ordered}
    while True:
        revision = store.list(keys.leader).revision
        try:
            with store.watch(keys.every("trigger"), from_revision=revision + 1) as stream:
                while True:
                    ended = [one for target, at in ordered.items() if (one := _end(store, keys, target, at))]
                    if ended:
                        return ended
                    _wait_for_change(stream, records)
        except Compacted:
            continue  # the watch fell behind: everything is checked again anyway


def _wait_for_change(stream: WatchStream, records: Collection[str]) -> None:
    until = monotonic() + _LOOK_AGAIN
    while (left := until - monotonic()) > 0:
        changes = stream.receive(left)
        if changes is not None and any(change.key in records for change in changes.changes):
            return


def _end(store: Store, keys: Keys, target: Target, ordered_at: int) -> Ended | None:
    """The end of an order; ``None``: it is still to be carried out, or its run has not ended."""
    recorded = store.get(keys.trigger(target))
    record = None if recorded is None else read_record(recorded.value)
    if not isinstance(record, TriggerRecord) or record.order < ordered_at:
        order = store.get(keys.order(target))
        return None if order is not None and order.mod_revision == ordered_at else Ended(target, None)
    if record.status in (Status.INTENT, Status.SENT):
        return None
    present = store.get(keys.state(target))
    state = None if present is None else read_run_state(present.value)
    return Ended(target, state.state if isinstance(state, RunState) else None)
