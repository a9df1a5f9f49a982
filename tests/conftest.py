"""Fixtures that several kinds of tests share: a real etcd of our own, a client of it, and keys nobody else uses."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys

pytest.register_assert_rewrite("coordinator.runners.testing")


@pytest.fixture(autouse=True)
def leaves_no_thread() -> Iterator[None]:
    """A thread that a test leaves behind acts in all tests after it, and keeps the whole run from ending."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in left:
        thread.join(10)
    still = [thread.name for thread in left if thread.is_alive()]
    assert not still, f"threads that this test has left behind: {', '.join(still)}"


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEtcd]:
    """A real etcd for the whole session: not to be stopped, frozen or compacted. Take another one for that."""
    with EmbeddedEtcd(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
def keys() -> Keys:
    """Keys under a prefix of this test's own."""
    return Keys(f"/test-{uuid.uuid4().hex}")


@pytest.fixture
def etcd_settings(etcd_server: EmbeddedEtcd, keys: Keys) -> EtcdSettings:
    """The ``[etcd]`` section for this test: the session's server, and the prefix of ``keys``."""
    return EtcdSettings(endpoints=[etcd_server.endpoint], prefix=keys.prefix)


@pytest.fixture
def etcd(etcd_settings: EtcdSettings) -> Iterator[EtcdStore]:
    """A client of the session's etcd, for use with ``keys``."""
    store = connect(etcd_settings)
    yield store
    store.close()
