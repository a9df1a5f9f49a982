"""Signed tokens (``--auth-token=jwt``) end in the middle of their use: by time, and by any change of roles."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from coordinator.store.roles import watcher
from coordinator.store.securing import WantedUser, carry_out, enable_authentication, find_changes
from coordinator.store.users import ROOT, Users
from tests.integration.store.secured import add_root
from tests.logins import logins
from tests.signed_tokens import signed_tokens

KEYS = Keys()
PLACE = KEYS.leader
"""A key that the watcher's role may write."""


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("secret")
    return file


@pytest.fixture
def etcd(tmp_path: Path, password: Path) -> Iterator[EmbeddedEtcd]:
    with EmbeddedEtcd(tmp_path / "etcd", arguments=[signed_tokens(tmp_path, life=600)]) as server:
        role = watcher(KEYS)
        with Users(EtcdSettings(endpoints=[server.endpoint])) as users:
            add_root(users, password.read_text())
            carry_out(
                users, find_changes(users, KEYS, [role], [WantedUser("watcher", (role.name,), password.read_text())])
            )
            assert enable_authentication(users)
        yield server


def settings_of(server: EmbeddedEtcd, user: str, password: Path) -> EtcdSettings:
    return EtcdSettings(endpoints=[server.endpoint], timeout=2, username=user, password_file=password)


def put(store: EtcdStore) -> int:
    return store.commit(Transaction((), (Put(PLACE, b"x"),))).revision


@pytest.mark.promise("rotation")
@pytest.mark.parametrize("what", ["write", "read", "watch", "lease"])
def test_a_token_from_before_a_change_of_roles_is_replaced(etcd: EmbeddedEtcd, password: Path, what: str) -> None:
    store = connect(settings_of(etcd, "watcher", password))
    revision = put(store)
    lease = store.grant_lease(60)
    with Users(settings_of(etcd, ROOT, password)) as users:
        users.add_role("somebody-else")
    if what == "write":
        assert put(store) > revision
    elif what == "read":
        assert store.get(PLACE) is not None
    elif what == "lease":
        assert store.refresh_lease(lease, quorum_key=Keys().leader) == 60
    else:
        with store.watch(KEYS.root, from_revision=revision) as stream:
            assert stream.receive(15) is not None
    store.close()


@pytest.mark.promise("rotation")
def test_when_a_token_ends_one_thread_logs_in_for_all(etcd: EmbeddedEtcd, password: Path) -> None:
    threads = 16
    store = connect(settings_of(etcd, "watcher", password))
    put(store)
    with Users(settings_of(etcd, ROOT, password)) as users:
        users.add_role("somebody-else")
    before = logins(etcd.endpoint)
    with ThreadPoolExecutor(threads) as pool:
        assert all(pool.map(lambda _: put(store), range(threads)))
    assert logins(etcd.endpoint) == before + 1
    store.close()
