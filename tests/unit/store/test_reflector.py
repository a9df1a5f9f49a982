"""A reflector never goes deaf, and never shows a view that the store has not had."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Changes, Delete, Put, StoreUnavailable, Transaction
from coordinator.store.reflector import Disconnected, Reflector, Snapshot, Update, jittered
from tests.unit.store.faults import Clock, FaultyStore

PREFIX = "/c/"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> MemoryEtcd:
    return MemoryEtcd(clock=clock)


@pytest.fixture
def store(server: MemoryEtcd) -> FaultyStore:
    return FaultyStore(server)


@pytest.fixture
def reflector(store: FaultyStore, clock: Clock) -> Reflector:
    return Reflector(store, PREFIX, progress_every=3.0, silence_limit=10.0, clock=clock)


def put(server: MemoryEtcd, key: str, value: bytes = b"x") -> int:
    return server.commit(Transaction((), (Put(PREFIX + key, value),))).revision


def keys_of(update: Update | None) -> list[str]:
    if isinstance(update, Snapshot):
        return [kv.key for kv in update.listing.items]
    assert isinstance(update, Changes)
    return [change.key for change in update.changes]


def test_a_snapshot_comes_first_and_then_what_changed_after_it(reflector: Reflector, server: MemoryEtcd) -> None:
    put(server, "a")
    assert keys_of(reflector.step(0)) == ["/c/a"]
    put(server, "b")  # between the list and the watch
    assert keys_of(reflector.step(0)) == ["/c/b"]
    assert reflector.step(0) is None


def test_a_watch_that_breaks_is_resumed_and_nothing_is_listed_again(
    reflector: Reflector, store: FaultyStore, server: MemoryEtcd
) -> None:
    reflector.step(0)
    first = put(server, "a")
    assert keys_of(reflector.step(0)) == ["/c/a"]
    store.watch_errors.append(StoreUnavailable("cut"))
    second = put(server, "b")
    assert isinstance(reflector.step(0), Disconnected)
    assert store.watches[0].closed
    assert keys_of(reflector.step(0)) == ["/c/b"]
    assert (store.watches[-1].from_revision, second) == (first + 1, first + 1)
    assert store.lists == 1


def test_while_etcd_is_away_it_says_so_and_waits_longer_and_longer(reflector: Reflector, store: FaultyStore) -> None:
    store.down = True
    pauses = []
    for _ in range(8):
        assert isinstance(reflector.step(0), Disconnected)
        pauses.append(reflector.retry_in)
    assert all(later > earlier * 0.9 for earlier, later in pairwise(pauses[:5]))
    assert pauses[0] <= 0.1
    assert 1.0 < pauses[-1] <= 5.0
    store.down = False
    assert isinstance(reflector.step(0), Snapshot)


def test_the_pauses_of_many_watchers_are_not_in_step() -> None:
    assert len({jittered(3) for _ in range(20)}) > 10
    assert jittered(10_000) <= 5.0


def test_hearing_something_makes_the_next_pause_short_again(
    reflector: Reflector, store: FaultyStore, server: MemoryEtcd
) -> None:
    reflector.step(0)
    reflector.step(0)
    store.watch_errors.extend(StoreUnavailable("cut") for _ in range(6))
    for _ in range(6):
        assert isinstance(reflector.step(0), Disconnected)
    assert reflector.retry_in > 1.0
    put(server, "a")
    assert keys_of(reflector.step(0)) == ["/c/a"]
    store.watch_errors.append(StoreUnavailable("cut"))
    reflector.step(0)
    assert reflector.retry_in <= 0.1


def test_silence_is_first_questioned_and_then_ended(reflector: Reflector, store: FaultyStore, clock: Clock) -> None:
    reflector.step(0)
    assert reflector.step(0) is None
    store.silent = True
    heard_at = clock.now
    update = None
    while update is None:
        clock.advance(1.0)
        update = reflector.step(0)
    assert isinstance(update, Disconnected)
    assert clock.now - heard_at == 10.0
    assert store.watches[0].closed
    store.silent = False
    reflector.step(0)
    assert len(store.watches) == 2


def test_a_quiet_server_is_not_taken_for_a_silent_one(reflector: Reflector, store: FaultyStore, clock: Clock) -> None:
    reflector.step(0)
    for _ in range(100):
        clock.advance(1.0)
        assert not isinstance(reflector.step(0), Disconnected)
    assert len(store.watches) == 1


def test_it_resumes_after_the_progress_and_not_after_the_last_change(
    reflector: Reflector, store: FaultyStore, server: MemoryEtcd, clock: Clock
) -> None:
    reflector.step(0)
    reflector.step(0)
    for _ in range(10):
        server.commit(Transaction((), (Put("/other", b""),)))
    clock.advance(3.0)
    reflector.step(0)  # asks
    assert reflector.step(0) == Changes((), server.revision)
    store.watch_errors.append(StoreUnavailable("cut"))
    reflector.step(0)
    server.compact(server.revision)
    reflector.step(0)
    assert store.watches[-1].from_revision == server.revision + 1
    assert store.lists == 1


def test_after_a_compaction_that_it_missed_it_lists_again(
    reflector: Reflector, store: FaultyStore, server: MemoryEtcd
) -> None:
    put(server, "a")
    reflector.step(0)
    reflector.step(0)
    store.watch_errors.append(StoreUnavailable("cut"))
    reflector.step(0)
    put(server, "b")
    server.commit(Transaction((), (Delete(PREFIX + "a"),)))
    put(server, "c")
    server.compact(server.revision)
    assert isinstance(reflector.step(0), Disconnected)
    assert keys_of(reflector.step(0)) == ["/c/b", "/c/c"]


def test_another_cluster_is_listed_anew(reflector: Reflector, store: FaultyStore, clock: Clock) -> None:
    reflector.step(0)
    reflector.step(0)
    other = MemoryEtcd(clock=clock, cluster_id=2)
    for _ in range(5):
        put(other, "restored")
    store.server = other
    store.watch_errors.append(StoreUnavailable("cut"))
    assert isinstance(reflector.step(0), Disconnected)
    assert isinstance(reflector.step(0), Disconnected)
    assert keys_of(reflector.step(0)) == ["/c/restored"]


def test_a_store_that_went_back_in_time_is_listed_anew(
    reflector: Reflector, store: FaultyStore, server: MemoryEtcd, clock: Clock
) -> None:
    for _ in range(5):
        put(server, "a")
    reflector.step(0)
    reflector.step(0)
    store.server = MemoryEtcd(clock=clock)
    put(store.server, "restored")
    store.watch_errors.append(StoreUnavailable("cut"))
    assert isinstance(reflector.step(0), Disconnected)
    assert isinstance(reflector.step(0), Disconnected)
    assert keys_of(reflector.step(0)) == ["/c/restored"]


@pytest.mark.promise("downtime")
@pytest.mark.parametrize("deleted", [False, True])
def test_a_store_that_went_back_and_has_caught_up_is_listed_anew(
    reflector: Reflector, store: FaultyStore, server: MemoryEtcd, clock: Clock, deleted: bool
) -> None:
    reflector.step(0)
    put(server, "a")
    if deleted:
        server.commit(Transaction((), (Delete(PREFIX + "a"),)))
    reflector.step(0)
    store.server = MemoryEtcd(clock=clock)
    for _ in range(9):
        put(store.server, "a" if deleted else "restored")
    store.watch_errors.append(StoreUnavailable("cut"))
    assert isinstance(reflector.step(0), Disconnected)
    assert isinstance(reflector.step(0), Disconnected)
    assert isinstance(reflector.step(0), Snapshot)


def test_a_consumer_s_view_is_the_store_s_whatever_happens(
    reflector: Reflector, store: FaultyStore, server: MemoryEtcd, clock: Clock
) -> None:
    view: dict[str, bytes] = {}

    def follow() -> None:
        update = reflector.step(0)
        if isinstance(update, Snapshot):
            view.clear()
            view.update({kv.key: kv.value for kv in update.listing.items})
        elif isinstance(update, Changes):
            for change in update.changes:
                if change.kv is None:
                    view.pop(change.key, None)
                else:
                    view[change.key] = change.kv.value

    for turn in range(400):
        put(server, f"k{turn % 7}", str(turn).encode())
        if turn % 5 == 0:
            server.commit(Transaction((), (Delete(f"{PREFIX}k{turn % 3}"),)))
        if turn % 11 == 0:
            store.watch_errors.append(StoreUnavailable("cut"))
        if turn % 37 == 0:
            server.compact(server.revision)
        store.down = turn % 50 > 40
        store.silent = turn % 60 > 55
        clock.advance(1.5)
        follow()
    store.down = store.silent = False
    store.watch_errors.clear()
    for _ in range(10):
        follow()
    assert view == {kv.key: kv.value for kv in server.list(PREFIX).items}


def test_it_stops_at_once_when_it_is_closed(store: FaultyStore) -> None:
    reflector = Reflector(store, PREFIX)
    stop, listed = threading.Event(), threading.Event()
    seen: list[Update] = []

    def consume() -> None:
        for update in reflector.updates(stop):
            seen.append(update)
            listed.set()

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    assert listed.wait(5.0)
    stop.set()
    reflector.close()
    consumer.join(1.0)
    assert not consumer.is_alive()
    assert [type(update) for update in seen] == [Snapshot]


def test_a_consumer_that_leaves_takes_the_watch_along(store: FaultyStore, server: MemoryEtcd) -> None:
    updates = Reflector(store, PREFIX).updates(threading.Event())
    next(updates)
    put(server, "a")
    next(updates)
    updates.close()  # type: ignore[attr-defined]
    assert all(stream.closed for stream in store.watches)
