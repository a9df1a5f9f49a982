"""Giving orders: ``rerun`` and the ``release`` of a partition (:mod:`coordinator.model.order`).

An order may be given again, by anybody: one that has not been carried out yet is not given twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator import acts
from coordinator.model.order import GivenOrder, Order, dump_order, read_order
from coordinator.model.references import Target
from coordinator.model.runstate import Unreadable
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.keys import Keys
from coordinator.store.port import ModRevisionIs, Put, Store, StoreError, Transaction

_TRIES = 10
"""Each lost try means that another person gave an order for the same partition in that moment."""


@dataclass(frozen=True, slots=True)
class OrderChange:
    """What came of giving an order.

    :ivar given: the order that stands there now.
    :ivar revision: its etcd revision.
    :ivar changed: it was written; otherwise the one that stood there asks for as much, and is still to be carried out.
    """

    given: GivenOrder
    revision: int
    changed: bool


def put_order(store: Store, keys: Keys, target: Target, given: GivenOrder) -> OrderChange:
    """Give an order for a pipeline in a partition, and record it as an act.

    An order that waits to be carried out is kept where it asks for as much: it leads to one run, however often it is
    given. One whose request is on its way already does not: what is asked for now is a run after that.

    :raises StoreError: others change it all the time; or what the store raises.
    """
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
        act = acts.Act(acts.Deed(given.order), target.pipeline, target.partition, signature)
        compare = ModRevisionIs(key, 0 if present is None else present.mod_revision)
        answer = store.commit(Transaction((compare,), (Put(key, dump_order(given)), acts.put_of(keys, act))))
        if answer.succeeded:
            return OrderChange(given, answer.revision, changed=True)
    raise StoreError(f"{key}: changed by somebody else {_TRIES} times in a row, nothing was written; try again")


def _asks_for_as_much(present: Order, wanted: Order) -> bool:
    return present is wanted or present is Order.RERUN  # which releases too


def _waits(revision: int, record: TriggerRecord | Unreadable | None) -> bool:
    """Whether an order is still to be carried out, and no request for it may have been sent."""
    if not isinstance(record, TriggerRecord):
        return True
    on_its_way = record.status is Status.INTENT and record.ordered == revision
    return revision > record.order and not on_its_way
