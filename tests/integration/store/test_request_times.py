"""What a client of a real etcd has asked, how long that took, and which revision etcd has named."""

from __future__ import annotations

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd, free_port
from coordinator.store.keys import Keys
from coordinator.store.port import Put, StoreError, StoreUnavailable, Transaction
from coordinator.store.timings import BOUNDS, Timings


def test_requests_are_timed_by_kind_and_outcome(etcd_server: EmbeddedEtcd, keys: Keys) -> None:
    store = connect(EtcdSettings(endpoints=[etcd_server.endpoint], prefix=keys.prefix))
    committed = store.commit(Transaction((), (Put(keys.leader, b"x"),)))
    assert store.requests.revision == committed.revision
    lease = store.grant_lease(5)
    assert store.refresh_lease(lease, quorum_key=keys.leader) > 0
    store.revoke_lease(lease)
    store.status()
    with pytest.raises(StoreError):
        store.get(keys.leader, revision=committed.revision + 1_000_000)
    found = {labels: sum(one.counts) for labels, one in store.requests.timings.snapshot().items()}
    assert found == {
        ("txn", "answered"): 1,
        ("lease", "answered"): 3,
        ("range", "answered"): 1,
        ("range", "refused"): 1,
        ("other", "answered"): 2,
    }
    assert all(0 < one.seconds < 30 for one in store.requests.timings.snapshot().values())
    later = connect(EtcdSettings(endpoints=[etcd_server.endpoint], prefix=keys.prefix))
    newest = later.commit(Transaction((), (Put(keys.leader, b"y"),))).revision
    assert store.get(keys.leader) is not None
    assert store.requests.revision == newest, "that of others, too"
    store.close()
    later.close()


def test_requests_without_an_answer_are_counted_by_attempt(keys: Keys) -> None:
    endpoints = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    store = connect(EtcdSettings(endpoints=endpoints, prefix=keys.prefix, timeout=2))
    with pytest.raises(StoreUnavailable):
        store.get(keys.leader)
    assert {labels: sum(one.counts) for labels, one in store.requests.timings.snapshot().items()} == {
        ("range", "unanswered"): 2
    }
    assert store.requests.revision == 0
    store.close()


def test_each_bucket_has_what_took_up_to_its_bound() -> None:
    timings = Timings()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1], BOUNDS[-1] * 2):
        timings.note("a", seconds=seconds)
    (one,) = timings.snapshot().values()
    assert one.counts == (2, 1, *[0] * (len(BOUNDS) - 3), 1, 1)
    assert one.seconds == pytest.approx(BOUNDS[0] * 2.01 + BOUNDS[-1] * 3)
