"""What is gathered page by page, while it changes, is what stood in the store at the revision that it names."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from coordinator.store import gathering
from coordinator.store.gathering import gather
from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Delete, Put, StoreUnavailable, Transaction
from coordinator.store.reflector import Disconnected, Reflector, Snapshot
from tests.unit.store.faults import Clock, FaultyStore

PREFIX = "/c/"
SMALL_PAGES = 3


@pytest.fixture
def server() -> MemoryEtcd:
    server = MemoryEtcd(clock=Clock())
    for name in "abcdefghi":
        put(server, name, b"first")
    return server


@pytest.fixture
def store(server: MemoryEtcd) -> FaultyStore:
    store = FaultyStore(server)
    store.page_size = SMALL_PAGES
    return store


def put(server: MemoryEtcd, name: str, value: bytes = b"x") -> None:
    server.commit(Transaction((), (Put(PREFIX + name, value),)))


def delete(server: MemoryEtcd, name: str) -> None:
    server.commit(Transaction((), (Delete(PREFIX + name),)))


def after_page(store: FaultyStore, number: int, act: Callable[[], object]) -> None:
    pages = iter(range(1, 100))

    def between_pages() -> None:
        if next(pages) == number:
            act()

    store.between_pages = between_pages


def gathered(store: FaultyStore) -> dict[str, bytes]:
    listing = gather(store, PREFIX, largest=lambda _: 1_000)
    assert listing == store.list(PREFIX, revision=listing.revision)
    return {kv.key.removeprefix(PREFIX): kv.value for kv in listing.items}


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("name", ["a", "e", "i"])
def test_a_key_deleted_between_two_pages_is_not_there(store: FaultyStore, page: int, name: str) -> None:
    after_page(store, page, lambda: delete(store.server, name))
    found = gathered(store)
    assert "".join(found) == "abcdefghi".replace(name, "")


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("name", ["a", "bb", "e", "ee", "zz"])
def test_a_key_put_between_two_pages_is_there_and_in_its_place(store: FaultyStore, page: int, name: str) -> None:
    after_page(store, page, lambda: put(store.server, name, b"second"))
    found = gathered(store)
    assert list(found) == sorted({*"abcdefghi", name})
    assert found[name] == b"second"


@pytest.mark.parametrize("moves", [("a", "z"), ("h", "0"), ("e", "ee")])
def test_a_value_that_moves_between_two_pages_is_in_one_place(store: FaultyStore, moves: tuple[str, str]) -> None:
    before, after = moves

    def move() -> None:
        store.server.commit(Transaction((), (Delete(PREFIX + before), Put(PREFIX + after, b"moved"))))

    after_page(store, 1, move)
    assert list(gathered(store)) == sorted({*"abcdefghi", after} - {before})


def test_a_key_that_was_put_and_deleted_between_two_pages_is_not_there(store: FaultyStore) -> None:
    def blink() -> None:
        for name in ("aa", "zz"):
            put(store.server, name)
            delete(store.server, name)

    after_page(store, 1, blink)
    assert "".join(gathered(store)) == "abcdefghi"


def test_it_does_not_matter_what_is_compacted_between_two_pages(store: FaultyStore) -> None:
    def put_and_compact() -> None:
        put(store.server, "a", b"second")
        store.server.compact(store.server.revision)

    store.between_pages = put_and_compact
    reflector = Reflector(store, PREFIX)
    snapshot = reflector.step(0)
    assert isinstance(snapshot, Snapshot)
    assert "".join(kv.key.removeprefix(PREFIX) for kv in snapshot.listing.items) == "abcdefghi"
    assert snapshot.listing.items[0].value == b"second"


def test_whatever_is_written_while_it_is_gathered(store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST_CHANGES", 2)
    for seed in range(300):
        chance = random.Random(seed)
        names = [chance.choice("abcdefghi") + chance.choice(["", "x", "é"]) for _ in range(8)]

        def write(chance: random.Random = chance, names: list[str] = names) -> None:
            for _ in range(chance.randrange(6)):
                act = chance.choice([put, put, delete])
                act(store.server, chance.choice(names))

        store.between_pages = write
        gathered(store)


def test_what_the_watch_repeats_of_a_snapshot_is_not_delivered_again(store: FaultyStore) -> None:
    reflector = Reflector(store, PREFIX)
    after_page(store, 2, lambda: put(store.server, "a", b"second"))
    assert isinstance(reflector.step(0), Snapshot)
    assert reflector.step(0) is None


def test_a_store_that_is_another_one_after_the_first_page_is_listed_anew(store: FaultyStore) -> None:
    other = MemoryEtcd(clock=Clock(), cluster_id=2)
    put(other, "restored")

    def replace_server() -> None:
        store.server = other

    after_page(store, 1, replace_server)
    reflector = Reflector(store, PREFIX)
    assert isinstance(reflector.step(0), Disconnected)
    snapshot = reflector.step(0)
    assert isinstance(snapshot, Snapshot)
    assert [kv.key for kv in snapshot.listing.items] == [PREFIX + "restored"]


def test_a_watch_that_says_nothing_ends_the_attempt(store: FaultyStore) -> None:
    after_page(store, 1, lambda: put(store.server, "a"))
    store.silent = True
    with pytest.raises(StoreUnavailable, match="the watch stands at revision"):
        gather(store, PREFIX, largest=lambda _: 1_000)
