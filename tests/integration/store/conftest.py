"""The two stores that must keep the same promises, and servers that a test may mistreat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Store
from coordinator.store.protobuf import import_etcd3


@dataclass(frozen=True)
class Contestant:
    """A store, and what only its administrator can do."""

    store: Store
    compact: Callable[[int], None]
    shortest_lease: int


def compact(server: EmbeddedEtcd, revision: int) -> None:
    """Compact a real etcd, and wait until it is done."""
    rpc = import_etcd3().etcdrpc
    with import_etcd3().client(host="127.0.0.1", port=server.port) as client:
        client.kvstub.Compact(rpc.CompactionRequest(revision=revision, physical=True), timeout=10)


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    """A real etcd that this test may stop, freeze and compact."""
    with EmbeddedEtcd(tmp_path / "own-etcd") as server:
        yield server


@pytest.fixture
def own_store(own_etcd: EmbeddedEtcd) -> Iterator[EtcdStore]:
    store = connect(EtcdSettings(endpoints=[own_etcd.endpoint], timeout=2))
    yield store
    store.close()


@pytest.fixture(params=["etcd", "memory"])
def contestant(request: pytest.FixtureRequest) -> Iterator[Contestant]:
    if request.param == "memory":
        server = MemoryEtcd()
        yield Contestant(MemoryStore(server), server.compact, shortest_lease=1)
        return
    etcd_server: EmbeddedEtcd = request.getfixturevalue("etcd_server")
    store: EtcdStore = request.getfixturevalue("etcd")
    # etcd raises a shorter lease to 1.5 election timeouts, rounded up
    yield Contestant(store, lambda revision: compact(etcd_server, revision), shortest_lease=2)


@pytest.fixture
def store(contestant: Contestant) -> Store:
    return contestant.store
