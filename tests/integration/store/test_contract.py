"""What every store promises. Each test runs against a real etcd and against the one in memory."""

from __future__ import annotations

import threading
from time import monotonic

import pytest

from coordinator.store.gathering import gather
from coordinator.store.keys import Keys
from coordinator.store.port import (
    MAX_OPERATIONS,
    Changed,
    Changes,
    Committed,
    Compacted,
    CreateRevisionIs,
    Delete,
    KeyValue,
    LeaseNotFound,
    ModRevisionIs,
    NothingPutSince,
    Put,
    Store,
    StoreError,
    StoreUnavailable,
    Transaction,
    TransactionTooLarge,
    WatchStream,
)
from tests.integration.store.conftest import Contestant

LIMIT = 15.0


def put(store: Store, key: str, value: bytes = b"x", lease: int = 0) -> int:
    """Put a key; the revision of that."""
    return store.commit(Transaction((), (Put(key, value, lease),))).revision


def next_changes(stream: WatchStream, count: int) -> list[Changed]:
    """The next ``count`` changes of a watch."""
    found: list[Changed] = []
    until = monotonic() + LIMIT
    while len(found) < count:
        batch = stream.receive(until - monotonic())
        assert batch is not None, f"expected {count} changes, found {found}"
        found.extend(batch.changes)
    return found


def next_progress(stream: WatchStream) -> Changes:
    """Ask for progress until the watch says that it is complete up to somewhere."""
    until = monotonic() + LIMIT
    while monotonic() < until:
        stream.request_progress()
        batch = stream.receive(1.0)
        if batch is not None and not batch.changes:
            return batch
    raise AssertionError("no progress notification")


def test_a_list_shows_what_is_under_the_prefix_in_order_and_nothing_else(store: Store, keys: Keys) -> None:
    for name in ("b", "a", "c/d"):
        put(store, keys.root + name, name.encode())
    last = put(store, keys.prefix + "0beyond")
    listing = store.list(keys.root)
    assert [(kv.key, kv.value) for kv in listing.items] == [
        (keys.root + "a", b"a"),
        (keys.root + "b", b"b"),
        (keys.root + "c/d", b"c/d"),
    ]
    assert listing.revision >= last
    assert listing.cluster_id != 0


def test_a_list_may_go_through_to_another_prefix_and_ends_with_what_is_under_that(store: Store, keys: Keys) -> None:
    names = [keys.root + name for name in ("a", "b", "b/1", "c", "é", "é/2", "ü")]
    for name in names:
        put(store, name)
    before = store.list(keys.root).revision
    assert {kv.key for kv in store.list(names[1], through=names[4]).items} == set(names[1:6])
    assert {kv.key for kv in store.list(names[3], through=names[3]).items} == {names[3]}
    put(store, keys.root + "bb")
    assert {kv.key for kv in store.list(names[1], through=names[3], revision=before).items} == set(names[1:4])


def test_names_are_those_of_the_keys_under_the_prefix_now_or_at_a_revision(store: Store, keys: Keys) -> None:
    for name in ("a", "b/1"):
        put(store, keys.root + name, b"x" * 1_000)
    before = store.list(keys.root).revision
    put(store, keys.root + "c")
    put(store, keys.prefix + "0beyond")
    assert list(store.names(keys.root)) == [keys.root + name for name in ("a", "b/1", "c")]
    assert list(store.names(keys.root, revision=before)) == [keys.root + name for name in ("a", "b/1")]


def test_an_empty_list_has_a_revision_too(store: Store, keys: Keys) -> None:
    before = put(store, keys.prefix + "0beyond")
    assert store.list(keys.root).items == []
    assert store.list(keys.root).revision >= before


def test_a_list_of_many_pages_is_as_of_one_revision(store: Store, keys: Keys) -> None:
    names = [f"{keys.root}{number:05}" for number in range(3_000)]
    for start in range(0, len(names), MAX_OPERATIONS):
        store.commit(Transaction((), tuple(Put(name, b"v" * 100) for name in names[start : start + MAX_OPERATIONS])))
    stop = threading.Event()

    def keep_changing() -> None:
        # The first and the last key change together, so a list of two revisions would show them apart.
        count = 0
        while not stop.is_set():
            count += 1
            value = str(count).encode()
            store.commit(Transaction((), (Put(names[0], value), Put(names[-1], value))))

    writer = threading.Thread(target=keep_changing, daemon=True)
    writer.start()
    try:
        for _ in range(5):
            items = store.list(keys.root).items
            assert [kv.key for kv in items] == names
            assert items[0].mod_revision == items[-1].mod_revision or items[0].value == items[-1].value
    finally:
        stop.set()
        writer.join(30)


def test_a_key_tells_when_it_was_created_and_changed(store: Store, keys: Keys) -> None:
    key = keys.root + "k"
    assert store.get(key) is None
    created = put(store, key, b"1")
    changed = put(store, key, b"2")
    assert changed > created
    assert store.get(key) == KeyValue(key, b"2", created, changed)


def test_a_deleted_and_recreated_key_is_a_new_one(store: Store, keys: Keys) -> None:
    key = keys.root + "k"
    put(store, key)
    store.commit(Transaction((), (Delete(key),)))
    again = put(store, key)
    found = store.get(key)
    assert found is not None
    assert found.create_revision == again


def test_a_key_can_be_read_as_it_was(store: Store, keys: Keys) -> None:
    key = keys.root + "k"
    first = put(store, key, b"1")
    second = put(store, key, b"2")
    deleted = store.commit(Transaction((), (Delete(key),))).revision
    assert store.get(key, revision=first) == KeyValue(key, b"1", first, first)
    assert store.get(key, revision=second) == KeyValue(key, b"2", first, second)
    assert store.get(key, revision=deleted) is None


def test_reading_a_compacted_revision_says_so(contestant: Contestant, keys: Keys) -> None:
    key = keys.root + "k"
    old = put(contestant.store, key, b"1")
    new = put(contestant.store, key, b"2")
    contestant.compact(new)
    with pytest.raises(Compacted):
        contestant.store.get(key, revision=old)
    assert contestant.store.get(key, revision=new) == KeyValue(key, b"2", old, new)


def test_a_prefix_can_be_listed_as_it_was(store: Store, keys: Keys) -> None:
    a, b = keys.root + "a", keys.root + "b"
    first = put(store, a, b"1")
    second = put(store, b, b"2")
    third = store.commit(Transaction((), (Put(a, b"3"), Delete(b)))).revision
    put(store, keys.root + "c")
    assert store.list(keys.root, revision=first).items == [KeyValue(a, b"1", first, first)]
    as_of_second = store.list(keys.root, revision=second)
    assert as_of_second.items == [KeyValue(a, b"1", first, first), KeyValue(b, b"2", second, second)]
    assert as_of_second.revision == second
    assert as_of_second.cluster_id == store.list(keys.root).cluster_id
    assert store.list(keys.root, revision=third).items == [KeyValue(a, b"3", first, third)]


def test_a_list_of_many_pages_of_the_past_is_whole(store: Store, keys: Keys) -> None:
    names = [f"{keys.root}{number:05}" for number in range(2_500)]
    for start in range(0, len(names), MAX_OPERATIONS):
        page = names[start : start + MAX_OPERATIONS]
        revision = store.commit(Transaction((), tuple(Put(name, b"old") for name in page))).revision
    store.commit(Transaction((), (Delete(names[0]), Put(names[-1], b"new"), Put(keys.root + "z", b"new"))))
    items = store.list(keys.root, revision=revision).items
    assert [kv.key for kv in items] == names
    assert {kv.value for kv in items} == {b"old"}


def test_listing_a_compacted_revision_says_so(contestant: Contestant, keys: Keys) -> None:
    key = keys.root + "k"
    old = put(contestant.store, key, b"1")
    new = put(contestant.store, key, b"2")
    contestant.compact(new)
    with pytest.raises(Compacted):
        contestant.store.list(keys.root, revision=old)
    assert contestant.store.list(keys.root, revision=new).items == [KeyValue(key, b"2", old, new)]


def put_many(store: Store, names: list[str], value: bytes = b"v") -> int:
    """Put keys, as many at once as etcd takes; the revision of the last ones."""
    revision = 0
    for start in range(0, len(names), MAX_OPERATIONS):
        puts = tuple(Put(name, value) for name in names[start : start + MAX_OPERATIONS])
        revision = store.commit(Transaction((), puts)).revision
    return revision


def test_pages_show_each_key_once_and_in_order(store: Store, keys: Keys) -> None:
    names = [f"{keys.root}{number:05}" for number in range(2_500)]
    put_many(store, names)
    put(store, keys.prefix + "0beyond")
    pages = list(store.pages(keys.root))
    assert [kv.key for page in pages for kv in page.items] == names
    assert [page.up_to for page in pages] == [*(page.items[-1].key for page in pages[:-1]), None]
    assert len(pages) > 1


def test_pages_of_nothing_are_one_empty_page(store: Store, keys: Keys) -> None:
    (page,) = store.pages(keys.root)
    assert (page.items, page.up_to) == ([], None)
    assert page.cluster_id == store.list(keys.root).cluster_id


def test_a_page_shows_what_was_changed_before_it_was_asked_for(contestant: Contestant, keys: Keys) -> None:
    store, names = contestant.store, [f"{keys.root}{number:05}" for number in range(2_500)]
    put_many(store, names)
    pages = store.pages(keys.root)
    first = next(pages)
    store.commit(Transaction((), (Put(names[0], b"new"), Put(names[-1], b"new"), Delete(names[-2]))))
    changed = put(store, keys.root + "99999", b"added")
    contestant.compact(changed)
    found = {kv.key: kv.value for page in pages for kv in page.items if page.revision >= changed}
    assert first.revision < changed
    assert first.items[0].value == b"v"
    assert (found[names[-1]], found[keys.root + "99999"]) == (b"new", b"added")
    assert names[-2] not in found


def test_a_census_counts_keys_and_knows_whether_one_was_put_since(store: Store, keys: Keys) -> None:
    first = put(store, keys.root + "a")
    second = put(store, keys.root + "b")
    put(store, keys.prefix + "0beyond")
    census = store.census(keys.root, newer_than=first)
    assert (census.keys, census.has_newer) == (2, True)
    assert census.revision >= second
    assert not store.census(keys.root, newer_than=second).has_newer
    store.commit(Transaction((), (Delete(keys.root + "a"),)))
    census = store.census(keys.root, newer_than=second)
    assert (census.keys, census.has_newer) == (1, False)


def test_what_is_gathered_while_it_changes_is_what_stood_there_at_its_revision(store: Store, keys: Keys) -> None:
    names = [f"{keys.root}{number:05}" for number in range(3_000)]
    put_many(store, names, b"0")
    stop = threading.Event()

    def keep_changing() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            value, odd = str(count).encode(), f"{keys.root}{count % 3_000:05}x"
            moved = (Put(names[0], value), Put(names[-1], value), Delete(names[count % 2_900 + 1]))
            store.commit(Transaction((), (*moved, Put(odd, value))))
            store.commit(Transaction((), (Delete(odd), Put(names[(count * 7) % 2_900 + 1], value))))

    writer = threading.Thread(target=keep_changing, daemon=True)
    writer.start()
    try:
        for _ in range(5):
            gathered = gather(store, keys.root, largest=lambda _: 100)
            assert gathered == store.list(keys.root, revision=gathered.revision)
    finally:
        stop.set()
        writer.join(30)


def test_what_is_gathered_is_complete_where_only_others_write(store: Store, keys: Keys) -> None:
    names = [f"{keys.root}{number:05}" for number in range(2_500)]
    put_many(store, names)
    stop = threading.Event()

    def keep_changing() -> None:
        while not stop.is_set():
            put(store, keys.prefix + "0beyond")

    writer = threading.Thread(target=keep_changing, daemon=True)
    writer.start()
    try:
        gathered = gather(store, keys.root, largest=lambda _: 100)
    finally:
        stop.set()
        writer.join(30)
    assert [kv.key for kv in gathered.items] == names


def test_of_a_value_that_is_too_large_only_that_is_gathered(store: Store, keys: Keys) -> None:
    put(store, keys.root + "large", b"x" * 100_000)
    put(store, keys.root + "small", b"x" * 20_000)
    large, small = gather(store, keys.root, largest=lambda _: 20_000).items
    assert large.value == bytes(20_001)
    assert small.value == b"x" * 20_000


def test_a_watch_from_now_on_delivers_what_comes_after_its_revision(store: Store, keys: Keys) -> None:
    put(store, keys.root + "before")
    with store.watch(keys.root, from_revision=0) as stream:
        after = put(store, keys.root + "after")
        assert stream.revision < after
        assert [change.revision for change in next_changes(stream, 1)] == [after]


def test_reading_a_revision_of_the_future_is_an_error(store: Store, keys: Keys) -> None:
    future = put(store, keys.root + "k") + 1_000_000
    with pytest.raises(StoreError):
        store.get(keys.root + "k", revision=future)
    with pytest.raises(StoreError):
        store.list(keys.root, revision=future)


def test_keys_are_text_of_any_kind(store: Store, keys: Keys) -> None:
    key = keys.root + "état/日本 %2F\udcff"
    put(store, key, bytes(range(256)))
    assert [kv.key for kv in store.list(keys.root).items] == [key]
    assert store.get(key) is not None


def test_a_transaction_is_done_whole_at_one_revision(store: Store, keys: Keys) -> None:
    put(store, keys.root + "old")
    answer = store.commit(
        Transaction((), (Put(keys.root + "a", b"1"), Put(keys.root + "b", b"2"), Delete(keys.root + "old")))
    )
    listing = store.list(keys.root)
    assert answer == Committed(True, answer.revision)
    assert {kv.mod_revision for kv in listing.items} == {answer.revision}
    assert [kv.key for kv in listing.items] == [keys.root + "a", keys.root + "b"]


def test_a_compare_that_does_not_hold_changes_nothing_and_shows_what_is_there(store: Store, keys: Keys) -> None:
    present, absent = keys.root + "present", keys.root + "absent"
    revision = put(store, present, b"1")
    answer = store.commit(
        Transaction((ModRevisionIs(present, revision + 1),), (Put(present, b"2"),), otherwise=(absent, present))
    )
    assert not answer.succeeded
    assert answer.found == (None, KeyValue(present, b"1", revision, revision))
    assert answer.revision >= revision
    assert store.get(present) == answer.found[1]


@pytest.mark.parametrize("compare", [ModRevisionIs, CreateRevisionIs])
def test_zero_compares_with_a_key_that_is_not_there(
    store: Store, keys: Keys, compare: type[ModRevisionIs] | type[CreateRevisionIs]
) -> None:
    key = keys.root + "k"
    only_once = Transaction((compare(key, 0),), (Put(key, b"1"),))
    assert store.commit(only_once).succeeded
    assert not store.commit(only_once).succeeded


def test_the_create_revision_outlives_changes_and_the_mod_revision_does_not(store: Store, keys: Keys) -> None:
    key, other = keys.root + "k", keys.root + "other"
    created = put(store, key)
    changed = put(store, key)
    fenced = Transaction((CreateRevisionIs(key, created), ModRevisionIs(key, changed)), (Put(other, b""),))
    assert store.commit(fenced).succeeded
    put(store, key)
    assert store.commit(Transaction((CreateRevisionIs(key, created),), (Put(other, b""),))).succeeded
    assert not store.commit(fenced).succeeded


def test_a_whole_prefix_is_compared_with_a_revision(store: Store, keys: Keys) -> None:
    def unchanged_since(revision: int) -> bool:
        return store.commit(Transaction((NothingPutSince(keys.root + "a/", revision),), ())).succeeded

    assert unchanged_since(1), "nothing there is nothing put"
    first = put(store, keys.root + "a/1")
    second = put(store, keys.root + "a/2")
    put(store, keys.root + "b/1")
    assert unchanged_since(second)
    assert not unchanged_since(first), "a key that was not there before counts"
    third = put(store, keys.root + "a/1")
    assert not unchanged_since(second)
    store.commit(Transaction((), (Delete(keys.root + "a/2"),)))
    assert unchanged_since(third), "a deleted key does not show"


def test_a_transaction_that_changes_nothing_takes_no_revision(store: Store, keys: Keys) -> None:
    revision = put(store, keys.root + "k")
    assert store.commit(Transaction((), (Delete(keys.root + "absent"),))).revision == revision


def test_a_transaction_with_more_operations_than_etcd_takes_is_refused_whole(store: Store, keys: Keys) -> None:
    def puts(count: int) -> tuple[Put, ...]:
        return tuple(Put(f"{keys.root}{number}", b"") for number in range(count))

    assert store.commit(Transaction((), puts(MAX_OPERATIONS))).succeeded
    with pytest.raises(TransactionTooLarge):
        store.commit(Transaction((), puts(MAX_OPERATIONS + 1)))
    with pytest.raises(TransactionTooLarge):
        store.commit(Transaction(tuple(ModRevisionIs(put.key, 0) for put in puts(MAX_OPERATIONS + 1)), ()))
    assert len(store.list(keys.root).items) == MAX_OPERATIONS


@pytest.mark.parametrize("megabytes", [2, 6])
def test_a_transaction_with_more_bytes_than_etcd_takes_is_refused(store: Store, keys: Keys, megabytes: int) -> None:
    with pytest.raises(TransactionTooLarge):
        put(store, keys.root + "k", b"x" * megabytes * 1024 * 1024)
    assert store.get(keys.root + "k") is None


def test_a_key_cannot_be_put_twice_in_one_transaction(store: Store, keys: Keys) -> None:
    with pytest.raises(StoreError):
        store.commit(Transaction((), (Put(keys.root + "k", b"1"), Put(keys.root + "k", b"2"))))


def test_a_watch_delivers_puts_and_deletes_with_their_revisions(store: Store, keys: Keys) -> None:
    key = keys.root + "k"
    start = store.list(keys.root).revision + 1
    with store.watch(keys.root, from_revision=start) as stream:
        first = put(store, key, b"1")
        second = put(store, key, b"2")
        put(store, keys.prefix + "0beyond")
        deleted = store.commit(Transaction((), (Delete(key),))).revision
        assert next_changes(stream, 3) == [
            Changed(key, first, KeyValue(key, b"1", first, first)),
            Changed(key, second, KeyValue(key, b"2", first, second)),
            Changed(key, deleted, None),
        ]


def test_a_watch_knows_the_store_that_it_is_on(store: Store, keys: Keys) -> None:
    revision = put(store, keys.root + "k")
    with store.watch(keys.root, from_revision=revision + 1) as stream:
        assert stream.cluster_id == store.list(keys.root).cluster_id
        assert stream.revision >= revision


def test_a_watch_is_complete_up_to_its_last_change(store: Store, keys: Keys) -> None:
    with store.watch(keys.root, from_revision=store.list(keys.root).revision + 1) as stream:
        revision = put(store, keys.root + "k")
        put(store, keys.prefix + "0beyond")
        batch = stream.receive(LIMIT)
        assert batch is not None
        assert batch.revision == revision


def test_a_silent_watch_returns_after_its_time_out(store: Store, keys: Keys) -> None:
    with store.watch(keys.root, from_revision=store.list(keys.root).revision + 1) as stream:
        assert stream.receive(0) is None
        before = monotonic()
        assert stream.receive(0.2) is None
        assert 0.15 < monotonic() - before < LIMIT


def test_a_watch_from_the_past_replays_history_and_goes_on(store: Store, keys: Keys) -> None:
    revisions = [put(store, f"{keys.root}{number}") for number in range(2_500)]
    with store.watch(keys.root, from_revision=revisions[0]) as stream:
        assert [change.revision for change in next_changes(stream, len(revisions))] == revisions
        last = put(store, keys.root + "live")
        assert [change.revision for change in next_changes(stream, 1)] == [last]


def test_a_watch_resumed_after_its_last_change_loses_and_repeats_nothing(store: Store, keys: Keys) -> None:
    start = store.list(keys.root).revision + 1
    with store.watch(keys.root, from_revision=start) as stream:
        before = put(store, keys.root + "a")
        assert [change.revision for change in next_changes(stream, 1)] == [before]
    between = put(store, keys.root + "b")
    with store.watch(keys.root, from_revision=before + 1) as stream:
        after = put(store, keys.root + "c")
        assert [change.revision for change in next_changes(stream, 2)] == [between, after]


def test_the_changes_of_one_revision_come_in_one_batch(store: Store, keys: Keys) -> None:
    start = store.list(keys.root).revision + 1
    whole = tuple(Put(f"{keys.root}{number:03}", b"v" * 10_000) for number in range(100))
    revisions = [store.commit(Transaction((), whole)).revision for _ in range(5)]
    with store.watch(keys.root, from_revision=start) as stream:
        seen: list[int] = []
        while len(seen) < len(revisions):
            batch = stream.receive(LIMIT)
            assert batch is not None
            for revision in sorted({change.revision for change in batch.changes}):
                assert sum(change.revision == revision for change in batch.changes) == len(whole)
                seen.append(revision)
    assert seen == revisions


def test_the_changes_of_one_revision_come_in_one_batch_however_much_is_replayed(store: Store, keys: Keys) -> None:
    whole = tuple(Put(f"{keys.root}{number:03}", b"v" * 12_000) for number in range(100))
    revisions = [store.commit(Transaction((), whole)).revision for _ in range(12)]
    seen: list[int] = []
    with store.watch(keys.root, from_revision=revisions[0]) as stream:
        while len(seen) < len(revisions):
            batch = stream.receive(LIMIT)
            assert batch is not None
            assert batch.revision == batch.changes[-1].revision
            for revision in sorted({change.revision for change in batch.changes}):
                assert [c.key for c in batch.changes if c.revision == revision] == [put.key for put in whole]
                seen.append(revision)
    assert seen == revisions


def test_progress_can_be_asked_for(store: Store, keys: Keys) -> None:
    revision = put(store, keys.root + "k")
    with store.watch(keys.root, from_revision=revision + 1) as stream:
        assert next_progress(stream).revision >= revision


def test_progress_never_claims_a_change_that_has_not_been_delivered(store: Store, keys: Keys) -> None:
    """etcd before 3.5.8 answers a progress request at once, ahead of the changes that are still to come."""
    start = store.list(keys.root).revision + 1
    last = 0
    for _ in range(50):
        last = store.commit(
            Transaction((), tuple(Put(f"{keys.root}{number}", b"v" * 1_000) for number in range(100)))
        ).revision
    delivered = start - 1
    with store.watch(keys.root, from_revision=start) as stream:
        while delivered < last:
            stream.request_progress()
            batch = stream.receive(LIMIT)
            assert batch is not None
            if batch.changes:
                delivered = batch.changes[-1].revision
            assert batch.revision <= delivered


def test_watching_a_compacted_revision_says_so_at_once(contestant: Contestant, keys: Keys) -> None:
    old = put(contestant.store, keys.root + "k")
    new = put(contestant.store, keys.root + "k")
    contestant.compact(new)
    with pytest.raises(Compacted):
        contestant.store.watch(keys.root, from_revision=old)
    with contestant.store.watch(keys.root, from_revision=new) as stream:
        assert [change.revision for change in next_changes(stream, 1)] == [new]


def test_a_closed_watch_wakes_whoever_waits_on_it(store: Store, keys: Keys) -> None:
    stream = store.watch(keys.root, from_revision=store.list(keys.root).revision + 1)
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(StoreUnavailable):
            stream.receive(LIMIT)
        ended.set()

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    stream.close()
    assert ended.wait(2.0)
    waiter.join(30)
    with pytest.raises(StoreUnavailable):
        stream.receive(0)


def test_watches_do_not_disturb_each_other(store: Store, keys: Keys) -> None:
    start = store.list(keys.root).revision + 1
    with (
        store.watch(keys.root + "a/", from_revision=start) as a,
        store.watch(keys.root + "b/", from_revision=start) as b,
    ):
        put(store, keys.root + "a/1")
        put(store, keys.root + "b/1")
        assert [change.key for change in next_changes(a, 1)] == [keys.root + "a/1"]
        a.close()
        put(store, keys.root + "b/2")
        assert [change.key for change in next_changes(b, 2)] == [keys.root + "b/1", keys.root + "b/2"]


def test_a_lease_that_ends_takes_its_keys_along(contestant: Contestant, keys: Keys) -> None:
    store, key = contestant.store, keys.root + "k"
    lease = store.grant_lease(contestant.shortest_lease)
    revision = put(store, key, lease=lease)
    found = store.get(key)
    assert found is not None
    assert found.lease == lease
    with store.watch(keys.root, from_revision=revision + 1) as stream:
        (change,) = next_changes(stream, 1)
    assert (change.key, change.kv) == (key, None)
    assert store.get(key) is None


def test_a_lease_kept_alive_does_not_end(contestant: Contestant, keys: Keys) -> None:
    store = contestant.store
    lease = store.grant_lease(contestant.shortest_lease)
    revision = put(store, keys.root + "k", lease=lease)
    until = monotonic() + 2 * contestant.shortest_lease
    with store.watch(keys.root, from_revision=revision + 1) as stream:
        while monotonic() < until:
            assert store.refresh_lease(lease, quorum_key=keys.leader) == contestant.shortest_lease
            assert stream.receive(contestant.shortest_lease / 4) is None
    store.revoke_lease(lease)


def test_a_revoked_lease_takes_its_keys_along_at_one_revision(store: Store, keys: Keys) -> None:
    lease = store.grant_lease(60)
    put(store, keys.root + "a", lease=lease)
    revision = put(store, keys.root + "b", lease=lease)
    with store.watch(keys.root, from_revision=revision + 1) as stream:
        store.revoke_lease(lease)
        changes = next_changes(stream, 2)
    assert [change.key for change in changes] == [keys.root + "a", keys.root + "b"]
    assert len({change.revision for change in changes}) == 1


def test_a_lease_that_has_ended_cannot_be_kept_alive_nor_used(store: Store, keys: Keys) -> None:
    lease = store.grant_lease(60)
    store.revoke_lease(lease)
    store.revoke_lease(lease)
    assert store.refresh_lease(lease, quorum_key=keys.leader) == 0
    with pytest.raises(LeaseNotFound):
        put(store, keys.root + "k", lease=lease)
    assert store.get(keys.root + "k") is None


def test_a_key_put_again_without_its_lease_outlives_it(store: Store, keys: Keys) -> None:
    lease = store.grant_lease(60)
    put(store, keys.root + "k", lease=lease)
    put(store, keys.root + "k")
    store.revoke_lease(lease)
    assert store.get(keys.root + "k") is not None


def test_a_closed_store_says_so(keys: Keys, contestant: Contestant) -> None:
    contestant.store.close()
    with pytest.raises(StoreUnavailable):
        contestant.store.list(keys.root)
    with pytest.raises(StoreUnavailable):
        contestant.store.watch(keys.root, from_revision=1)
