"""Giving orders, and taking them back: ``rerun`` and the ``release`` of a partition (:mod:`coordinator.model.order`).

An order may be given repeatedly, by anybody: while it has not been carried out, it counts once. Until then, anybody may
take it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.commands import acts
from coordinator.errors import CoordinatorError
from coordinator.model.assets.names import EVENTS
from coordinator.model.order import GivenOrder, Order, dump_order, read_order
from coordinator.model.references import Target
from coordinator.model.runstate import Unreadable
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.keys import Keys
from coordinator.store.port import Delete, ModRevisionIs, Put, Store, StoreError, Transaction

_TRIES = 10
"""Attempts. Each failure means that another person gave an order for the same partition at that moment."""


@dataclass(frozen=True, slots=True)
class OrderChange:
    """The result of giving an order.

    :ivar given: the present order.
    :ivar revision: its etcd revision.
    :ivar changed: it was written; otherwise an equivalent order existed that is still to be carried out.
    """

    given: GivenOrder
    revision: int
    changed: bool


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The result of taking an order back.

    :ivar before: the order; ``None``: there was none.
    :ivar changed: it was taken back; otherwise there was none, or it had been carried out already.
    :ivar on_its_way: an intent to carry it out is written. It is withdrawn unless its request was sent already.
    :ivar revision: etcd revision at which it was taken back.
    """

    before: GivenOrder | Unreadable | None
    changed: bool
    on_its_way: bool = False
    revision: int = 0


def cancel_order(store: Store, keys: Keys, target: Target, signature: acts.Signature) -> Cancellation:
    """Take back the order for a pipeline in a partition, and record that as an act. Does nothing if there is none.

    An unreadable order has no effect, and is deleted too.

    :raises StoreError: others change it again and again, or the store fails.
    """
    key = keys.order(target)
    for _ in range(_TRIES):
        present, recorded = store.get(key), store.get(keys.trigger(target))
        if present is None:
            return Cancellation(None, changed=False)
        before = read_order(present.value)
        record = None if recorded is None else read_record(recorded.value)
        if isinstance(record, TriggerRecord) and record.order >= present.mod_revision:
            return Cancellation(before, changed=False)
        what = str(before.order) if isinstance(before, GivenOrder) else ""
        act = acts.Act(acts.Verb.CANCEL, target.pipeline, target.partition, signature, what)
        compares = (
            ModRevisionIs(key, present.mod_revision),
            ModRevisionIs(keys.trigger(target), 0 if recorded is None else recorded.mod_revision),
        )
        answer = store.commit(Transaction(compares, (Delete(key), acts.put_of(keys, act))))
        if answer.succeeded:
            on_its_way = isinstance(record, TriggerRecord) and _is_on_its_way(present.mod_revision, record)
            return Cancellation(before, changed=True, on_its_way=on_its_way, revision=answer.revision)
    raise StoreError(f"{key}: it or its trigger record changed {_TRIES} times in a row, nothing was written; try again")


def put_order(store: Store, keys: Keys, target: Target, given: GivenOrder) -> OrderChange:
    """Give an order for a pipeline in a partition, and record it as an act.

    An equivalent order that is still to be carried out is kept: it leads to one run, however often it is given. If its
    request is under way already, a new order is written, for another run after that one.

    :raises CoordinatorError: it stands for asset events, which tasks emit.
    :raises StoreError: others change it again and again, or the store fails.
    """
    if target.pipeline.dag_id == EVENTS:
        raise CoordinatorError(
            f"{target.pipeline} cannot be started: tasks emit asset events; to hand one on again, name its deliveries, "
            f"such as 'finance/assets from {target.pipeline.environment}'"
        )
    key = keys.order(target)
    for _ in range(_TRIES):
        present = store.get(key)
        before = None if present is None else read_order(present.value)
        if present is not None and isinstance(before, GivenOrder) and _asks_for_as_much(before.order, given.order):
            recorded = store.get(keys.trigger(target))
            record = None if recorded is None else read_record(recorded.value)
            if _waits(present.mod_revision, record):
                return OrderChange(before, present.mod_revision, changed=False)
        signature = acts.Signature(given.who, given.when or datetime.now(UTC), given.why)
        act = acts.Act(acts.Verb(given.order), target.pipeline, target.partition, signature)
        compare = ModRevisionIs(key, 0 if present is None else present.mod_revision)
        answer = store.commit(Transaction((compare,), (Put(key, dump_order(given)), acts.put_of(keys, act))))
        if answer.succeeded:
            return OrderChange(given, answer.revision, changed=True)
    raise StoreError(f"{key}: changed by somebody else {_TRIES} times in a row, nothing was written; try again")


def _asks_for_as_much(present: Order, wanted: Order) -> bool:
    return present is wanted or present is Order.RERUN  # a rerun includes a release


def _waits(revision: int, record: TriggerRecord | Unreadable | None) -> bool:
    """Whether an order is still to be carried out, and no request for it may have been sent, or was refused: another
    order has a refused one tried again at once."""
    if not isinstance(record, TriggerRecord):
        return True
    is_refused = record.status is Status.BLOCKED and record.ordered == revision
    return revision > record.order and not is_refused and not _is_on_its_way(revision, record)


def _is_on_its_way(revision: int, record: TriggerRecord) -> bool:
    return record.status is Status.INTENT and record.ordered == revision
