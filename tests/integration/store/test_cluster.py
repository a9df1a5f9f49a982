"""A cluster of three: requests and watches move to another member, and one without quorum is not believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store import connection
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import free_port
from coordinator.store.port import Put, StoreUnavailable, Transaction, WatchStream
from tests.etcd_cluster import Cluster, Member

LIMIT = 20.0

Answer = TypeVar("Answer")


@pytest.fixture
def members(tmp_path: Path) -> Iterator[list[Member]]:
    with Cluster(tmp_path) as cluster:
        yield cluster.members


@pytest.fixture
def store(members: list[Member]) -> Iterator[EtcdStore]:
    # "localhost" and not only addresses: gRPC's own balancing over several endpoints could not do that.
    endpoints = [members[0].endpoint, f"localhost:{members[1].port}", members[2].endpoint]
    store = connect(EtcdSettings(endpoints=endpoints, timeout=2))
    yield store
    store.close()


def in_the_end(ask: Callable[[], Answer]) -> Answer:
    """Ask until somebody answers: nobody does while the members elect a leader."""
    until = monotonic() + LIMIT
    while True:
        try:
            return ask()
        except StoreUnavailable:
            if monotonic() > until:
                raise


def put_in_the_end(store: EtcdStore, key: str) -> int:
    return in_the_end(lambda: store.commit(Transaction((), (Put(key, b"x"),)))).revision


def listen(stream: WatchStream) -> None:
    """Ask for progress again and again."""
    until = monotonic() + LIMIT
    while monotonic() < until:
        stream.request_progress()
        stream.receive(1.0)


def test_reading_and_writing_go_on_when_a_member_dies(members: list[Member], store: EtcdStore) -> None:
    put_in_the_end(store, "/c/a")
    members[0].kill()
    assert [kv.key for kv in in_the_end(lambda: store.list("/c/")).items] == ["/c/a"]
    put_in_the_end(store, "/c/b")
    assert in_the_end(lambda: store.get("/c/b")) is not None


def test_a_write_is_sent_elsewhere_if_it_certainly_was_not_sent(members: list[Member]) -> None:
    dead = f"127.0.0.1:{free_port()}"
    store = connect(EtcdSettings(endpoints=[dead, members[1].endpoint], timeout=2))
    assert store.commit(Transaction((), (Put("/c/a", b"x"),))).succeeded
    store.close()


def test_a_watch_moves_to_another_member(members: list[Member], store: EtcdStore) -> None:
    revision = put_in_the_end(store, "/c/a")
    with store.watch("/c/", from_revision=revision + 1) as stream:
        members[0].kill()
        with pytest.raises(StoreUnavailable):
            stream.receive(LIMIT)
    with store.watch("/c/", from_revision=revision + 1) as stream:
        second = put_in_the_end(store, "/c/b")
        batch = stream.receive(LIMIT)
        assert batch is not None
        assert batch.revision == second


def test_a_frozen_member_is_left_after_one_time_out(members: list[Member], store: EtcdStore) -> None:
    put_in_the_end(store, "/c/a")
    members[0].freeze()
    began = monotonic()
    store.list("/c/")
    store.list("/c/")
    assert monotonic() - began < 6
    members[0].thaw()


def test_a_member_without_quorum_does_not_pretend_that_nothing_happens(members: list[Member], store: EtcdStore) -> None:
    """It accepts a plain watch, and even answers progress requests; ``hasleader`` makes it give up."""
    revision = put_in_the_end(store, "/c/a")
    with store.watch("/c/", from_revision=revision + 1) as stream:
        members[1].kill()
        members[2].kill()
        with pytest.raises(StoreUnavailable, match="no leader"):
            listen(stream)


def test_the_status_is_that_of_every_member(members: list[Member], store: EtcdStore) -> None:
    assert [status.problem for status in store.status()] == [None] * 3
    assert [status.is_leader for status in store.status()].count(True) == 1
    members[1].kill()
    members[2].kill()
    first, second, third = store.status()
    assert first.version  # what it knows by itself, without a quorum
    assert first.problem is not None
    assert second.problem is not None
    assert (second.version, third.version) == ("", "")


@pytest.mark.promise("leader-only")
def test_a_lease_that_was_prolonged_under_another_leader_is_not_believed(
    members: list[Member], store: EtcdStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever prolonged it may have been the leader no more: a new one counts from its own beginning."""
    lease = store.grant_lease(60)
    assert store.refresh_lease(lease, quorum_key="/c/a") == 60
    prolong = connection._once

    def and_then_the_leader_falls(keep_alive: Callable[..., Any]) -> Callable[..., Any]:
        def ask(request: object, **options: object) -> Any:
            kept = prolong(keep_alive)(request, **options)
            leader = next(member for member, status in zip(members, store.status(), strict=True) if status.is_leader)
            leader.kill()
            return kept

        return ask

    monkeypatch.setattr(connection, "_once", and_then_the_leader_falls)
    with pytest.raises(StoreUnavailable):  # no answer until there is another leader; then it is told from the first
        store.refresh_lease(lease, quorum_key="/c/a")
    monkeypatch.setattr(connection, "_once", prolong)
    until = monotonic() + LIMIT
    while True:
        try:
            assert store.refresh_lease(lease, quorum_key="/c/a") == 60
            return
        except StoreUnavailable:
            assert monotonic() < until
