"""What somebody who means harm would try under each role: ranges, transactions, leases, watches, etcd's own rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest

from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import AccessDenied, ModRevisionIs, NothingPutSince, Put, Transaction
from coordinator.store.protobuf import import_etcd3
from coordinator.store.roles import is_enforced
from tests.integration.store.secured import USERS, SecuredEtcd

KEYS = Keys()
MINE, THEIRS = "/coordinator/state/team_b/load/p", "/coordinator/state/team_b2/load/p"
TO_THE_END = b"\x00"
OTHERS = sorted({*USERS, "nobody"} - {"watcher"})
"""Everybody who must not touch what watchers keep for themselves."""

Attempts = dict[str, Callable[[], object]]


class Raw:
    """A user with etcd's own messages: for what the store would never send."""

    def __init__(self, etcd: SecuredEtcd, user: str | None) -> None:
        self.store = etcd.connect(user or "nobody")
        self.rpc = import_etcd3().etcdrpc
        self._member = self.store._members.in_use
        self._user = user
        self.auth = self._member.authentication
        self.kv = self._member.kv
        self.leases = self._member.leases
        self.maintenance = self._member.maintenance
        self.cluster = self._member.client.clusterstub

    def __call__(self, method: Callable[..., Any], request: Any) -> Any:
        metadata = () if self._user is None else self.store._members.metadata(self._member)
        return method(request, timeout=10, metadata=metadata)

    def range(self, first: str, end: bytes) -> object:
        return self(self.kv.Range, self.rpc.RangeRequest(key=first.encode(), range_end=end))

    def delete_range(self, first: str, end: bytes) -> object:
        return self(self.kv.DeleteRange, self.rpc.DeleteRangeRequest(key=first.encode(), range_end=end))

    def watch(self, first: str, end: bytes) -> None:
        """:raises AccessDenied: the watch is created and cancelled in one."""
        create = self.rpc.WatchCreateRequest(key=first.encode(), range_end=end)
        answers = self(self._member.watches.Watch, iter((self.rpc.WatchRequest(create_request=create),)))
        try:
            first_answer = next(answers)
        finally:
            answers.cancel()
        if first_answer.canceled:
            raise AccessDenied(first_answer.cancel_reason)

    def put_on_lease(self, key: str, lease: int) -> object:
        return self(self.kv.Put, self.rpc.PutRequest(key=key.encode(), value=b"harm", lease=lease))

    def transaction(self, *, then: Sequence[Any] = (), otherwise: Sequence[Any] = ()) -> object:
        return self(self.kv.Txn, self.rpc.TxnRequest(success=then, failure=otherwise))

    def put(self, key: str, value: bytes = b"harm", **more: Any) -> Any:
        """For a transaction."""
        return self.rpc.RequestOp(request_put=self.rpc.PutRequest(key=key.encode(), value=value, **more))

    def nested(self, operation: Any) -> Any:
        """A transaction as an operation of another one."""
        return self.rpc.RequestOp(request_txn=self.rpc.TxnRequest(success=(operation,)))


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredEtcd]:
    with SecuredEtcd(tmp_path_factory.mktemp("secured")) as server:
        server.secure()
        yield server


@pytest.fixture
def root(etcd: SecuredEtcd) -> Iterator[EtcdStore]:
    store = etcd.connect("root")
    for key in (MINE, THEIRS, KEYS.leader, "/registry/secrets", "/coordinator/hold/team_b/load"):
        store.commit(Transaction((), (Put(key, b"x"),)))
    yield store
    store.close()


@pytest.fixture
def raw(request: pytest.FixtureRequest, etcd: SecuredEtcd) -> Iterator[Raw]:
    raw = Raw(etcd, request.param)
    yield raw
    raw.store.close()


everybody = pytest.mark.parametrize(("name", "raw"), [(name, name) for name in OTHERS], indirect=["raw"])


def passed(attempts: Attempts) -> set[str]:
    """Which of these etcd lets pass."""
    found = set()
    for what, attempt in attempts.items():
        try:
            attempt()
        except AccessDenied:
            continue
        except grpc.RpcError as error:
            details = str(error.details())  # type: ignore[attr-defined]
            assert "permission denied" in details or "user name is empty" in details, f"{what}: {details}"
            continue
        found.add(what)
    return found


@pytest.mark.promise("roles")
@everybody
@pytest.mark.usefixtures("root")
def test_no_range_reaches_beyond_a_role(name: str, raw: Raw) -> None:
    ranges = {
        "everything": ("\0", TO_THE_END),
        "all of the coordinator": ("/coordinator/", b"/coordinator0"),
        "from a state of its own on": (MINE, TO_THE_END),
        "from its document on": ("/coordinator/dependencies/team_b", TO_THE_END),
        "team_b and what begins so": ("/coordinator/state/team_b", b"/coordinator/state/team_c"),
        "all states": ("/coordinator/state/", b"/coordinator/state0"),
        "holds and orders, and the leader between them": ("/coordinator/hold/", b"/coordinator/order0"),
        "back to front": ("/coordinator/state0", b"/coordinator/state/"),
    }
    of_operators = {"team_b and what begins so", "all states"} if name == "ops" else set()
    assert passed({what: lambda at=at: raw.delete_range(*at) for what, at in ranges.items()}) == of_operators
    open_ended = {what: at for what, at in ranges.items() if at[1] == TO_THE_END}
    assert passed({what: lambda at=at: raw.range(*at) for what, at in open_ended.items()}) == set()
    beyond = (
        {"the next environment": ("/coordinator/state/team_b", b"/coordinator/state/team_c")} if name == "rep" else {}
    )
    beyond |= {"everything": ranges["everything"], "beside the prefix": ("/coordinator", b"/coordinator0")}
    assert passed({what: lambda at=at: raw.watch(*at) for what, at in beyond.items()}) == set()


@pytest.mark.promise("roles")
@pytest.mark.parametrize("raw", ["rep"], indirect=True)
def test_no_transaction_reaches_beyond_a_role(raw: Raw, root: EtcdStore) -> None:
    def commit(transaction: Transaction) -> Callable[[], object]:
        return lambda: raw.store.commit(transaction)

    mine = Put(MINE, b"harm")
    attempts: Attempts = {
        "beside a write that is allowed": commit(Transaction((), (mine, Put(THEIRS, b"harm")))),
        "where a compare tells what others have": commit(Transaction((ModRevisionIs(THEIRS, 1),), (mine,))),
        "a compare of a range": commit(Transaction((NothingPutSince("/coordinator/state/", 1),), (mine,))),
        "reading in the other branch": commit(Transaction((ModRevisionIs(MINE, 1),), (mine,), otherwise=(THEIRS,))),
        "writing in the branch that is not taken": lambda: raw.transaction(otherwise=[raw.put(THEIRS)]),
        "a value that is kept": lambda: raw.transaction(then=[raw.put(THEIRS, b"", ignore_value=True)]),
    }
    assert passed(attempts) == set()
    for key in (MINE, THEIRS):
        assert (item := root.get(key)) is not None
        assert item.value == b"x", "a transaction is refused as a whole"


@pytest.mark.promise("roles")
@everybody
def test_nobody_else_ends_the_leaders_lease(name: str, raw: Raw, etcd: SecuredEtcd, root: EtcdStore) -> None:
    watcher = etcd.connect("watcher")
    lease = watcher.grant_lease(60)
    watcher.commit(Transaction((), (Put(KEYS.leader, b"w-1", lease),)))
    of_its_own = {"own": "/coordinator/dependencies/team_b"}.get(name, MINE)
    attempts: Attempts = {
        "revoke": lambda: raw.store.revoke_lease(lease),
        "put a key of one's own on it": lambda: raw.put_on_lease(of_its_own, lease),
        "take the key from it": lambda: raw.store.commit(Transaction((), (Put(KEYS.leader, b"me"),))),
    }
    assert passed(attempts) == set()
    leader = root.get(KEYS.leader)
    assert leader is not None
    assert (leader.value, leader.lease) == (b"w-1", lease)
    assert watcher.refresh_lease(lease, quorum_key=Keys().leader) == 60
    watcher.revoke_lease(lease)
    assert root.get(KEYS.leader) is None
    watcher.close()


@pytest.mark.promise("roles")
@pytest.mark.parametrize(("name", "raw"), [(name, name) for name in (*OTHERS, "watcher")], indirect=["raw"])
@pytest.mark.usefixtures("root")
def test_nobody_gives_himself_more(name: str, raw: Raw) -> None:
    rpc, auth = raw.rpc, raw.auth
    grant = rpc.AuthRoleGrantPermissionRequest(name=f"coordinator-{USERS.get(name, 'viewer')}")
    grant.perm.key, grant.perm.permType = KEYS.leader.encode(), 2
    attempts: Attempts = {
        "a role": lambda: raw(auth.UserGrantRole, rpc.AuthUserGrantRoleRequest(user=name, role="root")),
        "a permission": lambda: raw(auth.RoleGrantPermission, grant),
        "a user": lambda: raw(auth.UserAdd, rpc.AuthUserAddRequest(name="harm", password="harm")),
        "root's password": lambda: raw(
            auth.UserChangePassword, rpc.AuthUserChangePasswordRequest(name="root", password="harm")
        ),
        "an end of all this": lambda: raw(auth.AuthDisable, rpc.AuthDisableRequest()),
        "who there is": lambda: raw(auth.UserList, rpc.AuthUserListRequest()),
        "a copy of everything": lambda: next(raw(raw.maintenance.Snapshot, rpc.SnapshotRequest())),
        "a stand-still": lambda: raw(raw.maintenance.Defragment, rpc.DefragmentRequest()),
        "another member": lambda: raw(raw.cluster.MemberAdd, rpc.MemberAddRequest(peerURLs=["http://127.0.0.1:1"])),
    }
    assert passed(attempts) == set()


BY_ANYBODY = {
    "a write in a nested transaction",
    "reading in a nested transaction",
    "keeping the leader's lease alive",
    "alarms",
    "the members' addresses",
}
BY_REPORTERS = {"a watch without an end", "a key on the leader's lease in a transaction"}


@pytest.mark.parametrize("raw", [None, "nobody", "rep"], indirect=True, ids=["no user", "nobody", "reporter"])
def test_only_a_new_etcd_keeps_everybody_out(
    raw: Raw, etcd: SecuredEtcd, root: EtcdStore, request: pytest.FixtureRequest
) -> None:
    """What an older one lets pass, also for somebody who has not logged in; docs/security.md says which one is new."""
    rpc = raw.rpc
    lease = root.grant_lease(60)
    root.commit(Transaction((), (Put(KEYS.leader, b"w-1", lease),)))
    read = rpc.RequestOp(request_range=rpc.RangeRequest(key=b"/registry/secrets"))
    keep_alive = iter((rpc.LeaseKeepAliveRequest(ID=lease),))
    attempts: Attempts = {
        "keeping the leader's lease alive": lambda: next(raw(raw.leases.LeaseKeepAlive, keep_alive)),
        "a key on the leader's lease in a transaction": lambda: raw.transaction(then=[raw.put(MINE, lease=lease)]),
        "a write in a nested transaction": lambda: raw.transaction(then=[raw.nested(raw.put(KEYS.leader))]),
        "reading in a nested transaction": lambda: raw.transaction(then=[raw.nested(read)]),
        "a watch without an end": lambda: raw.watch(MINE, TO_THE_END),
        "alarms": lambda: raw(raw.maintenance.Alarm, rpc.AlarmRequest(action=rpc.AlarmRequest.GET)),
        "the members' addresses": lambda: raw(raw.cluster.MemberList, rpc.MemberListRequest()),
    }
    found = passed(attempts)
    if is_enforced(etcd.version()):
        assert {what for what in found if "transaction" in what or "watch" in what} == set()
    else:
        is_reporter = "reporter" in request.node.name
        assert found == (BY_ANYBODY | BY_REPORTERS if is_reporter else BY_ANYBODY)
