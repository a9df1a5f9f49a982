"""A clear of sensors: what an intent of it stands on, what it is compared with, and what it leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from coordinator.controller.reconcile import records
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.reconcile import is_unchanged
from coordinator.controller.state.cache import Cache
from coordinator.controller.writes import Lost, Written
from coordinator.model.conditions import On
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import Attempt, State
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import Readiness, SeenWait
from coordinator.model.waits import Wait, WaitStatus, dump_wait
from coordinator.runners.port import ObservedRun
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryStore
from coordinator.store.memory_etcd import MemoryEtcd
from coordinator.store.port import Put, Transaction

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN = Target(PipelineRef("default", "D"), "p")
UPSTREAM = Target(PipelineRef("default", "U"), "p")
USED = Consumption.of({UPSTREAM: Consumed(3, Attempt("r", NOON), State.SUCCESS)})


def wait(sensor: str, revision: int) -> SeenWait:
    value = Wait(WaitStatus.PASSED, UPSTREAM, On.SUCCESS, "id", 1, NOON)
    return SeenWait(WaitRef(RUN, "r", sensor, -1), value, revision)


def intent(*tasks: str) -> TriggerRecord:
    return TriggerRecord(Status.INTENT, 1, Action.CLEAR, "r", "t", 1, inputs=USED, tasks=tasks)


@pytest.mark.parametrize(("tasks", "consumed"), [((), USED), (("sensor",), Consumption())], ids=["a run", "sensors"])
def test_what_sensors_have_taken_stands_in_their_waits(tasks: tuple[str, ...], consumed: Consumption) -> None:
    """In the record it would hide a completion from a dependency on the same upstream."""
    run = ObservedRun("D", "r", State.QUEUED, NOON)
    assert records.sent(intent(*tasks), run).consumed == consumed
    assert records.cleared(intent(*tasks), NOON).consumed == consumed


def test_an_intent_to_clear_other_sensors_is_another_one() -> None:
    decision = Decision(RUN, Readiness.BUSY, due=True, ready=True, inputs=USED.named, clears=(wait("first", 1),))
    assert is_unchanged(decision, intent("first"))
    assert not is_unchanged(replace(decision, clears=(wait("first", 1), wait("second", 2))), intent("first"))
    assert not is_unchanged(replace(decision, clears=()), intent("first"))


@pytest.mark.promise("once")
@pytest.mark.parametrize("changes", [False, True])
def test_an_intent_stands_on_the_waits_as_they_were_seen(changes: bool) -> None:
    """A sensor that was cleared by a person, and waits again, needs no clear."""
    store, keys = MemoryStore(MemoryEtcd()), Keys("/k")
    leads = store.commit(Transaction((), (Put(keys.leader, b"me"),))).revision
    key = keys.wait(wait("sensor", 0).ref)
    value = wait("sensor", 0).value
    assert isinstance(value, Wait)
    seen = wait("sensor", store.commit(Transaction((), (Put(key, dump_wait(value)),))).revision)
    ledger = Ledger(store, keys, Cache(keys), who="w")
    ledger.record(RUN, intent("sensor"), sensors=(seen,))
    if changes:
        store.commit(Transaction((), (Put(key, dump_wait(replace(value, since=2))),)))
    (result,) = [result for _, result in ledger.flush(leads)]
    assert isinstance(result, Lost if changes else Written)
    assert (store.get(keys.trigger(RUN)) is None) is changes
