"""A call that has ended or failed is gone at once, without the garbage collector.

What the collector has to find stays for as long as it does not look, and gRPC's finalizer of a stream takes a lock that
gRPC's own threads take too: run at the interpreter's end, after these have been killed, it once kept a watcher
that had been told to stop from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import grpc
import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd, free_port
from coordinator.store.etcd_watch import EtcdWatch
from coordinator.store.keys import Keys
from coordinator.store.port import Put, StoreError, StoreUnavailable, Transaction
from coordinator.store.reflector import Disconnected, Reflector
from tests.alive import alive, no_collections
from tests.integration.store.waiting import wait_for

OURS = (grpc.RpcError, EtcdWatch, StoreError)


@pytest.fixture
def nothing_left_behind() -> Iterator[Callable[[], None]]:
    with no_collections():
        before = alive(*OURS)
        yield lambda: wait_for(lambda: alive(*OURS) <= before, limit=10.0)


def test_by_a_watch_that_was_closed(own_store: EtcdStore, nothing_left_behind: Callable[[], None]) -> None:
    for _ in range(3):
        with own_store.watch("/x/", from_revision=1) as stream:
            own_store.commit(Transaction((), (Put("/x/a", b"1"),)))
            assert stream.receive(10.0) is not None
    del stream
    nothing_left_behind()


@pytest.mark.promise("shutdown")
def test_by_a_watch_that_is_closed_and_still_held(own_store: EtcdStore) -> None:
    """As it is at the end of a process: the interpreter destroys who holds the watch. A finalizer of gRPC, left to
    that moment, once kept a watcher from ending."""
    with no_collections():
        before = alive(*OURS)
        stream = own_store.watch("/x/", from_revision=1)
        stream.close()
        found = alive(*OURS) - before
    assert found["EtcdWatch"] == 1
    assert not [name for name in found if "Rendezvous" in name]


def test_by_a_server_that_is_away(
    own_etcd: EmbeddedEtcd, own_store: EtcdStore, nothing_left_behind: Callable[[], None]
) -> None:
    reflector = Reflector(own_store, "/x/", backoff=lambda _: 0.0)
    lease, leader = own_store.grant_lease(60), Keys().leader
    reflector.step(1.0)
    reflector.step(1.0)
    own_etcd.kill()
    while not isinstance(reflector.step(1.0), Disconnected):
        pass
    for _ in range(3):
        assert isinstance(reflector.step(1.0), Disconnected)
        for attempt in (lambda: own_store.get("/x/a"), lambda: own_store.refresh_lease(lease, quorum_key=leader)):
            failed = False
            try:
                attempt()
            except StoreError:
                failed = True
            assert failed
    nothing_left_behind()


def test_what_was_being_handled_keeps_its_frames(own_etcd: EmbeddedEtcd, own_store: EtcdStore) -> None:
    own_etcd.kill()

    def defect() -> None:
        raise KeyError("the defect")

    def clean_up() -> None:
        with suppress(StoreError):
            own_store.get("/x/a")

    def program() -> None:
        try:
            defect()
        finally:
            clean_up()

    with pytest.raises(KeyError) as found:
        program()
    assert [frame.name for frame in found.traceback][-1] == "defect"


def test_by_a_watch_for_which_there_is_no_thread(
    own_store: EtcdStore, nothing_left_behind: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("etcd-watch"):
            raise RuntimeError("can't start new thread")
        real(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        failed = ""
        try:
            own_store.watch("/x/", from_revision=1)
        except StoreUnavailable as error:
            failed = str(error)
        assert failed.endswith("watching /x/: can't start new thread")
    nothing_left_behind()
    with own_store.watch("/x/", from_revision=1):
        pass


def test_a_watch_that_has_ended_says_so_again_and_blames_no_server_for_our_closing(own_etcd: EmbeddedEtcd) -> None:
    store = connect(EtcdSettings(endpoints=[own_etcd.endpoint, f"127.0.0.1:{free_port()}"], timeout=2))
    with store.watch("/x/", from_revision=1) as stream:
        stream.close()
        for said in ("closed by this side", "it has ended: .*closed by this side"):
            with pytest.raises(StoreUnavailable, match=said):
                stream.receive(1.0)
        assert store._members.in_use.endpoint == own_etcd.endpoint
    store.close()
