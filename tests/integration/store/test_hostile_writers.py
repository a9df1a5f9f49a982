"""Whoever may write, or only reaches etcd, cannot keep a reader from its snapshot, nor fill its memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model import bounds
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.members import RECEIVE_LIMIT
from coordinator.store.port import AnswerTooLarge, Changes, Compacted, Put, Transaction
from coordinator.store.protobuf import import_etcd3
from coordinator.store.reflector import Disconnected, Reflector, Snapshot, Update

KEYS = Keys("/c")
LARGE = b"x" * 1_500_000
SUCCESS = b'{"state": "success", "note": "%s"}' % (b"n" * 1_000)
SHOWN_FOR_LARGE = bytes(bounds.RUN_STATE + 1)


@contextmanager
def over_and_over(act: Callable[[int], object]) -> Iterator[None]:
    """Somebody does this in a loop, as fast as etcd lets them, until the end of the block."""
    stop, acted = threading.Event(), threading.Event()

    def loop() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            act(count)
            if count == 3:
                acted.set()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        assert acted.wait(20)
        yield
    finally:
        stop.set()
        thread.join(30)


@contextmanager
def putting_and_compacting(server: EmbeddedEtcd, key: str) -> Iterator[None]:
    """Nobody has to log in for the second."""
    rpc = import_etcd3().etcdrpc
    with import_etcd3().client(host="127.0.0.1", port=server.port) as client:

        def act(count: int) -> None:
            request = rpc.PutRequest(key=key.encode(), value=str(count).encode())
            revision = client.kvstub.Put(request, timeout=10).header.revision
            client.kvstub.Compact(rpc.CompactionRequest(revision=revision), timeout=10)

        with over_and_over(act):
            yield


def state_key(number: int, dag_id: str = "dag") -> str:
    return f"{KEYS.root}state/default/{dag_id}/{number:06}"


def fill(store: EtcdStore, count: int) -> None:
    for start in range(0, count, 100):
        puts = tuple(Put(state_key(number), SUCCESS) for number in range(start, start + 100))
        store.commit(Transaction((), puts))


def put(store: EtcdStore, key: str, value: bytes) -> int:
    return store.commit(Transaction((), (Put(key, value),))).revision


def first_snapshot(reflector: Reflector, *, tries: int) -> Snapshot:
    updates: list[Update | None] = []
    for _ in range(tries):
        updates.append(reflector.step(5.0))
        if isinstance(updates[-1], Snapshot):
            return updates[-1]
    raise AssertionError(f"no snapshot in {tries} tries: {updates}")


@pytest.mark.promise("downtime")
@pytest.mark.parametrize("key", [state_key(0), state_key(11_999), "/elsewhere"])
def test_a_loop_of_put_and_compact_keeps_nobody_from_a_snapshot(
    own_etcd: EmbeddedEtcd, own_store: EtcdStore, key: str
) -> None:
    fill(own_store, 12_000)
    with putting_and_compacting(own_etcd, key):
        reflector = Reflector(own_store, KEYS.root)
        try:
            snapshot = first_snapshot(reflector, tries=4)
        finally:
            reflector.close()
    assert len(snapshot.listing.items) == 12_000


def test_such_a_loop_ends_a_listing_that_is_pinned(own_etcd: EmbeddedEtcd, own_store: EtcdStore) -> None:
    """Without this the test above would prove nothing."""
    fill(own_store, 12_000)

    def list_often() -> None:
        for _ in range(20):
            own_store.list(KEYS.root)

    with putting_and_compacting(own_etcd, state_key(0)), pytest.raises(Compacted):
        list_often()


def test_large_values_are_listed_and_followed_and_not_kept(own_store: EtcdStore) -> None:
    for number in range(40):
        put(own_store, state_key(number, "large"), LARGE)
    fill(own_store, 1_000)
    reflector = Reflector(own_store, KEYS.root, largest=KEYS.largest_value)
    try:
        values = {kv.key: kv.value for kv in first_snapshot(reflector, tries=1).listing.items}
        assert {values[state_key(number, "large")] for number in range(40)} == {SHOWN_FOR_LARGE}
        assert {values[state_key(number)] for number in range(1_000)} == {SUCCESS}
        revision = put(own_store, state_key(7), LARGE)
        batch = reflector.step(5.0)
        assert isinstance(batch, Changes)
        (change,) = batch.changes
        assert change.kv is not None
        assert (change.key, change.revision, change.kv.value) == (state_key(7), revision, SHOWN_FOR_LARGE)
    finally:
        reflector.close()


def test_a_reader_that_was_away_while_large_values_were_put_resumes(own_store: EtcdStore) -> None:
    before = own_store.list(KEYS.root).revision
    for number in range(30):
        put(own_store, state_key(number), LARGE)
    seen = 0
    with own_store.watch(KEYS.root, from_revision=before + 1) as stream:
        while seen < 30:
            batch = stream.receive(10.0)
            assert batch is not None
            assert sum(len(change.kv.value) for change in batch.changes if change.kv) < RECEIVE_LIMIT
            seen += len(batch.changes)


@pytest.fixture
def generous_etcd(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """An etcd that takes values larger than any answer that this client takes."""
    with EmbeddedEtcd(tmp_path / "generous", arguments=["--max-request-bytes=33554432"]) as server:
        yield server


def test_a_value_larger_than_any_answer_is_shown_by_its_key(generous_etcd: EmbeddedEtcd) -> None:
    store = connect(EtcdSettings(endpoints=[generous_etcd.endpoint]))
    reflector = Reflector(store, KEYS.root, largest=KEYS.largest_value)
    huge = b"x" * (RECEIVE_LIMIT + bounds.MIB)
    try:
        fill(store, 100)
        revision = put(store, state_key(50), huge)
        with pytest.raises(AnswerTooLarge):
            store.get(state_key(50))
        items = {kv.key: kv for kv in first_snapshot(reflector, tries=1).listing.items}
        assert (len(items), items[state_key(50)].value) == (100, SHOWN_FOR_LARGE)
        assert items[state_key(50)].mod_revision == revision
        put(store, state_key(60), huge)  # the watch cannot deliver it, neither now nor when it is resumed
        assert isinstance(reflector.step(5.0), Disconnected)
        items = {kv.key: kv for kv in first_snapshot(reflector, tries=1).listing.items}
        assert items[state_key(60)].value == SHOWN_FOR_LARGE
        last = put(store, state_key(70), b"failed")
        batch = reflector.step(5.0)
        assert isinstance(batch, Changes)
        assert [change.revision for change in batch.changes] == [last]
    finally:
        reflector.close()
        store.close()
