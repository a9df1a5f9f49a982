"""What bites in etcd3 and in etcd, each shown on a real server (docs of ``coordinator.store.connection``)."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd, free_port
from coordinator.store.keys import Keys
from coordinator.store.port import Compacted, Put, StoreError, StoreUnavailable, Transaction
from tests.integration.store.conftest import compact
from tests.integration.store.waiting import wait_for


def put(store: EtcdStore, key: str, value: bytes = b"x") -> int:
    return store.commit(Transaction((), (Put(key, value),))).revision


def eventually_lists(store: EtcdStore, prefix: str, *, limit: float) -> float:
    """Try until a list succeeds; the seconds that it took."""
    began = monotonic()
    while True:
        try:
            store.list(prefix)
        except StoreUnavailable:
            if monotonic() - began > limit:
                raise
        else:
            return monotonic() - began


def test_a_store_can_be_made_before_etcd_is_there() -> None:
    store = connect(EtcdSettings(endpoints=[f"127.0.0.1:{free_port()}"], timeout=1))
    began = monotonic()
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        store.list("/x/")
    assert monotonic() - began < 3
    store.close()


def test_a_listener_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        store = connect(EtcdSettings(endpoints=[f"127.0.0.1:{mute.getsockname()[1]}"], timeout=0.5))
        began = monotonic()
        with pytest.raises(StoreUnavailable):
            store.get("/x")
        with pytest.raises(StoreUnavailable):
            store.watch("/x", from_revision=1)
        assert monotonic() - began < 4
        store.close()


def test_a_list_larger_than_the_receive_limit_of_grpc_arrives(etcd: EtcdStore, keys: Keys) -> None:
    for number in range(12):
        put(etcd, f"{keys.root}{number:02}", os.urandom(1_000_000))
    assert len(etcd.list(keys.root).items) == 12


def test_a_watch_batch_larger_than_the_receive_limit_of_grpc_arrives(etcd: EtcdStore, keys: Keys) -> None:
    start = put(etcd, keys.root + "00")
    for number in range(12):
        put(etcd, f"{keys.root}{number:02}", os.urandom(1_000_000))
    seen = 0
    with etcd.watch(keys.root, from_revision=start) as stream:
        while seen < 13:
            batch = stream.receive(15)
            assert batch is not None
            seen += len(batch.changes)


def test_a_compaction_is_told_to_a_watch_that_fell_behind_it(own_etcd: EmbeddedEtcd, own_store: EtcdStore) -> None:
    for _ in range(5):
        last = put(own_store, "/c/k")
    with own_store.watch("/c/", from_revision=last + 1):
        pass
    compact(own_etcd, last)
    with pytest.raises(Compacted):
        own_store.watch("/c/", from_revision=2)
    # The way that etcd itself has: created first, cancelled with a compact_revision afterwards.
    own_store._refuse_compacted = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(Compacted) as told, own_store.watch("/c/", from_revision=2) as stream:
        stream.receive(15)
    assert told.value.compact_revision == last


def test_a_watch_says_when_its_server_is_gone_and_the_store_is_usable_afterwards(
    own_etcd: EmbeddedEtcd, own_store: EtcdStore
) -> None:
    revision = put(own_store, "/c/k")
    with own_store.watch("/c/", from_revision=revision + 1) as stream:
        own_etcd.kill()
        with pytest.raises(StoreUnavailable):
            stream.receive(15)
        with pytest.raises(StoreUnavailable):
            stream.receive(0)
    own_etcd.start()
    eventually_lists(own_store, "/c/", limit=10)
    with own_store.watch("/c/", from_revision=revision + 1) as stream:
        put(own_store, "/c/k")
        assert stream.receive(15) is not None


def test_a_long_absence_of_etcd_does_not_make_it_slow_to_be_found_again(
    own_etcd: EmbeddedEtcd, own_store: EtcdStore
) -> None:
    """gRPC's own back-off would grow to two minutes in which it does not even try."""
    own_store.list("/c/")
    own_etcd.kill()
    until = monotonic() + 8
    while monotonic() < until:
        with pytest.raises(StoreUnavailable):
            own_store.list("/c/")
        threading.Event().wait(0.1)
    own_etcd.start()
    assert eventually_lists(own_store, "/c/", limit=10) < 2.0


def test_nothing_spins_while_etcd_is_away(own_etcd: EmbeddedEtcd, own_store: EtcdStore) -> None:
    """etcd3's own watch thread takes a whole processor."""
    stream = own_store.watch("/c/", from_revision=1)
    own_etcd.kill()
    with pytest.raises(StoreUnavailable):
        stream.receive(15)
    before = time.process_time()
    threading.Event().wait(2.0)
    assert time.process_time() - before < 0.5
    stream.close()


def test_a_frozen_server_ends_the_watch_in_seconds(own_etcd: EmbeddedEtcd, own_store: EtcdStore) -> None:
    """Without ``grpc.http2.ping_timeout_ms`` it takes a minute."""
    with own_store.watch("/c/", from_revision=1) as stream:
        own_etcd.freeze()
        began = monotonic()
        with pytest.raises(StoreUnavailable):
            stream.receive(30)
        assert monotonic() - began < 20
        with pytest.raises(StoreUnavailable):
            own_store.get("/c/k")
        own_etcd.thaw()
    eventually_lists(own_store, "/c/", limit=10)


def fill(store: EtcdStore, *, megabytes: int) -> None:
    for number in range(megabytes):
        put(store, f"/c/{number}", os.urandom(1_000_000))


def test_a_full_disk_is_told_as_such(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("small")
    with EmbeddedEtcd(folder, arguments=["--quota-backend-bytes=2097152"]) as server:
        store = connect(server.settings)
        with pytest.raises(StoreUnavailable, match="defragment"):
            fill(store, megabytes=20)
        (status,) = store.status()
        assert status.alarms == ("NOSPACE",)
        assert store.list("/c/").items
        store.close()


def test_the_status_tells_what_doctor_needs(etcd: EtcdStore, keys: Keys) -> None:
    (status,) = etcd.status()
    assert status.problem is None
    assert status.version.count(".") == 2
    assert status.db_size > 0
    assert status.is_leader
    assert status.has_leader
    assert status.alarms == ()
    assert status.cluster_id == etcd.list(keys.root).cluster_id


def test_the_status_of_a_server_that_is_not_there_is_a_problem() -> None:
    store = connect(EtcdSettings(endpoints=[f"127.0.0.1:{free_port()}"], timeout=1))
    (status,) = store.status()
    assert status.problem is not None
    assert "cannot be reached (Connection refused)" in status.problem
    store.close()


def test_a_client_is_refused_in_a_fork(etcd: EtcdStore, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    etcd.list(keys.root)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(StoreError, match="fork"):
        etcd.list(keys.root)
    with pytest.raises(StoreError, match="fork"):
        etcd.watch(keys.root, from_revision=1)


def test_many_threads_share_one_store(etcd: EtcdStore, keys: Keys) -> None:
    def work(name: int) -> None:
        for number in range(50):
            revision = put(etcd, f"{keys.root}{name}/{number}")
            assert etcd.get(f"{keys.root}{name}/{number}", revision=revision) is not None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(etcd.list(keys.root).items) == 400


def test_a_closed_watch_leaves_no_thread_behind(etcd: EtcdStore, keys: Keys) -> None:
    def watching() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("etcd-watch")]

    before = len(watching())
    for _ in range(5):
        with etcd.watch(keys.root, from_revision=etcd.list(keys.root).revision + 1):
            pass
    wait_for(lambda: len(watching()) == before)


def test_a_watch_closed_with_much_unread_leaves_no_thread_behind(etcd: EtcdStore, keys: Keys) -> None:
    start = put(etcd, keys.root + "k")
    with etcd.watch(keys.root, from_revision=start) as stream:
        for _ in range(300):
            put(etcd, keys.root + "k")
        stream.receive(15)
        reader = stream._reader
    reader.join(5)
    assert not reader.is_alive()
