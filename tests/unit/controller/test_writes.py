"""Writes go together where they can, and stand or fall each on its own ground."""

from __future__ import annotations

import pytest

from coordinator.controller.writes import Lost, StateWrite, Unanswered, Write, WriteRefused, Written, commit
from coordinator.errors import LeadershipLost
from coordinator.model.references import PipelineRef, Target
from coordinator.store.memory import MemoryStore
from coordinator.store.memory_etcd import MemoryEtcd
from coordinator.store.port import (
    MAX_OPERATIONS,
    Committed,
    CreateRevisionIs,
    ModRevisionIs,
    Put,
    StoreUnavailable,
    Transaction,
)


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__(MemoryEtcd())
        self.transactions: list[Transaction] = []
        self.fails_from: int | None = None

    def commit(self, transaction: Transaction) -> Committed:
        self.transactions.append(transaction)
        if self.fails_from is not None and len(self.transactions) >= self.fails_from:
            raise StoreUnavailable("a test")
        return super().commit(transaction)


class Outcomes:
    """What came of writes, by key."""

    def __init__(self) -> None:
        self.committed: list[str] = []
        self.lost: list[str] = []
        self.refused: list[str] = []
        self.unanswered: list[str] = []

    def commit(self, store: CountingStore, fence: CreateRevisionIs, *writes: Write) -> None:
        kept = {Written: self.committed, Lost: self.lost, WriteRefused: self.refused, Unanswered: self.unanswered}
        for write, result in commit(store, fence, writes):
            kept[type(result)].append(write.operation.key)


def put(key: str, *, expected: int = 0, value: bytes = b"v", grounds: tuple[ModRevisionIs, ...] = ()) -> Write:
    return Write(
        target=Target(PipelineRef("default", key), "p"),
        operation=Put(key, value),
        expected=expected,
        subject=StateWrite(frozenset()),
        grounds=grounds,
    )


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def fence(store: CountingStore) -> CreateRevisionIs:
    revision = store.commit(Transaction((), (Put("leader", b"me"),))).revision
    store.transactions.clear()
    return CreateRevisionIs("leader", revision)


def test_many_writes_take_few_transactions_within_etcds_limits(store: CountingStore, fence: CreateRevisionIs) -> None:
    outcomes = Outcomes()
    outcomes.commit(store, fence, *(put(f"key{number}") for number in range(500)))
    assert len(outcomes.committed) == 500
    assert len(store.transactions) == 4
    assert all(len(transaction.compares) <= MAX_OPERATIONS for transaction in store.transactions)
    assert all(fence in transaction.compares for transaction in store.transactions)


def test_one_that_lost_its_ground_takes_no_other_with_it(store: CountingStore, fence: CreateRevisionIs) -> None:
    outcomes = Outcomes()
    store.commit(Transaction((), (Put("key3", b"somebody else's"),)))
    outcomes.commit(store, fence, *(put(f"key{number}") for number in range(6)))
    assert outcomes.lost == ["key3"]
    assert outcomes.committed == ["key0", "key1", "key2", "key4", "key5"]


def test_an_input_that_moved_is_ground_lost(store: CountingStore, fence: CreateRevisionIs) -> None:
    outcomes = Outcomes()
    revision = store.commit(Transaction((), (Put("input", b"success"),))).revision
    store.commit(Transaction((), (Put("input", b"running"),)))
    outcomes.commit(store, fence, put("record", grounds=(ModRevisionIs("input", revision),)))
    assert outcomes.lost == ["record"]
    assert store.get("record") is None


@pytest.mark.promise("leader-only")
@pytest.mark.parametrize("count", [1, 3])
def test_who_does_not_lead_writes_nothing(store: CountingStore, fence: CreateRevisionIs, count: int) -> None:
    outcomes = Outcomes()
    successor = CreateRevisionIs("leader", fence.revision - 1)
    with pytest.raises(LeadershipLost, match="successor takes over"):
        outcomes.commit(store, successor, *(put(f"key{number}") for number in range(count)))
    assert [item.key for item in store.list("key").items] == []
    assert not outcomes.committed
    assert not outcomes.lost


def test_a_key_is_written_once_in_a_transaction(store: CountingStore, fence: CreateRevisionIs) -> None:
    """etcd refuses a transaction that puts a key twice."""
    outcomes = Outcomes()
    outcomes.commit(store, fence, put("key"), put("key", expected=0))
    assert (outcomes.committed, outcomes.lost) == (["key"], ["key"])


def test_what_etcd_refuses_is_said_and_stops_nothing(store: CountingStore, fence: CreateRevisionIs) -> None:
    outcomes = Outcomes()
    outcomes.commit(store, fence, put("small"), put("huge", value=b"x" * 2_000_000), put("b"))
    assert outcomes.refused == ["huge"]
    assert outcomes.committed == ["small", "b"]


def test_more_grounds_than_a_transaction_holds_are_compared_as_far_as_it_holds(
    store: CountingStore, fence: CreateRevisionIs
) -> None:
    outcomes = Outcomes()
    grounds = tuple(ModRevisionIs(f"input{number}", 0) for number in range(300))
    outcomes.commit(store, fence, put("record", grounds=grounds))
    assert outcomes.committed == ["record"]


def test_without_an_answer_nothing_is_claimed(store: CountingStore, fence: CreateRevisionIs) -> None:
    outcomes = Outcomes()
    store.fails_from = 2
    outcomes.commit(store, fence, *(put(f"key{number}") for number in range(200)))
    assert len(outcomes.committed) == MAX_OPERATIONS - 1
    assert len(outcomes.unanswered) == 200 - (MAX_OPERATIONS - 1)
    assert not outcomes.lost
