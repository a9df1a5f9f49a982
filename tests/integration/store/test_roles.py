"""What each role may do with each kind of key on a real etcd, and nothing beyond: tried, key by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import (
    AccessDenied,
    Delete,
    ModRevisionIs,
    Put,
    Transaction,
)
from tests.integration.store.secured import USERS, SecuredEtcd

KEYS = Keys()
TEAM_B, TEAM_B2 = PipelineRef("team_b", "load"), PipelineRef("team_b2", "load")
SLASH, DEFAULT = PipelineRef("team_b/", "load"), PipelineRef("default", "load")

PLACES = {
    "state team_b": KEYS.state(Target(TEAM_B, "p")),
    "state team_b2": KEYS.state(Target(TEAM_B2, "p")),
    "state team_b/": KEYS.state(Target(SLASH, "p")),
    "state default": KEYS.state(Target(DEFAULT, "p")),
    "state, cut off": "/coordinator/state/team_b",
    "state, the next": "/coordinator/state/team_b0",
    "wait team_b": KEYS.wait(WaitRef(Target(TEAM_B, "p"), "run", "sensor", -1)),
    "wait default": KEYS.wait(WaitRef(Target(DEFAULT, "p"), "run", "sensor", -1)),
    "task": KEYS.state(Target(TEAM_B._replace(task="copy"), "p")),
    "observed": KEYS.cursor("team_b"),
    "trigger": KEYS.trigger(Target(TEAM_B, "p")),
    "dependencies team_b": KEYS.dependencies("team_b"),
    "dependencies team_b2": KEYS.dependencies("team_b2"),
    "dependencies default": KEYS.dependencies("default"),
    "dependencies, below": KEYS.dependencies("team_b") + "/x",
    "hold team_b": KEYS.hold(TEAM_B),
    "hold default": KEYS.hold(DEFAULT),
    "order team_b": KEYS.order(Target(TEAM_B, "p")),
    "order default": KEYS.order(Target(DEFAULT, "p")),
    "floor": KEYS.watermark(TEAM_B),
    "acts": KEYS.act("2026-11-20"),
    "heartbeat": KEYS.heartbeat,
    "leader": KEYS.leader,
    "retention": KEYS.retention,
    "watchers": KEYS.watcher("w-1"),
    "what nobody knows": "/coordinator/novelty",
    "the root": "/coordinator/",
    "other prefix": "/coordinator2/state/team_b/load/p",
    "no prefix": "/coordinator",
    "others": "/registry/secrets",
}
OURS = {place for place, key in PLACES.items() if key.startswith(KEYS.root)}
STATES = {place for place in PLACES if place.startswith("state")}

READS: dict[str, set[str]] = dict.fromkeys(USERS, OURS) | {
    "rep": {"state team_b", "wait team_b"},
    "rep-default": {"state default", "wait default"},
    "sensors": {"wait team_b"},
    "nobody": set(),
}
WRITES: dict[str, set[str]] = {
    "watcher": STATES
    | {place for place in PLACES if place.startswith(("dependencies", "order", "wait"))}
    | {"task", "observed", "trigger", "floor", "acts", "heartbeat", "leader", "retention", "watchers"},
    "rep": {"state team_b", "wait team_b"},
    "rep-default": {"state default", "wait default"},
    "sensors": {"wait team_b"},
    "own": {"dependencies team_b"},
    "ops": STATES | {"hold team_b", "hold default", "order team_b", "order default", "trigger", "acts"},
    "ops-b": {"state team_b", "hold team_b", "order team_b", "trigger", "acts"},
    "view": set(),
    "nobody": set(),
}


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredEtcd]:
    with SecuredEtcd(tmp_path_factory.mktemp("secured")) as server:
        server.secure()
        yield server


@pytest.fixture(scope="module")
def root(etcd: SecuredEtcd) -> Iterator[EtcdStore]:
    store = etcd.connect("root")
    yield store
    store.close()


@pytest.fixture
def stands(root: EtcdStore) -> dict[str, int]:
    """Every key is there; at which revision."""
    return {place: root.commit(Transaction((), (Put(key, b"x"),))).revision for place, key in PLACES.items()}


@pytest.fixture
def user(request: pytest.FixtureRequest, etcd: SecuredEtcd) -> Iterator[EtcdStore]:
    store = etcd.connect(request.param)
    yield store
    store.close()


everybody = pytest.mark.parametrize(("name", "user"), [(name, name) for name in WRITES], indirect=["user"])


def allowed(attempts: Mapping[str, Callable[[], object]]) -> set[str]:
    """Which of these etcd lets pass."""
    found = set()
    for place, attempt in attempts.items():
        try:
            attempt()
        except AccessDenied:
            continue
        found.add(place)
    return found


@pytest.mark.promise("roles")
@everybody
def test_a_role_reads_its_keys_and_no_others(name: str, user: EtcdStore, stands: dict[str, int]) -> None:
    def watch(key: str) -> None:
        user.watch(key, from_revision=stands["others"] + 1).close()

    single = {place: lambda key=key: user.get(key) for place, key in PLACES.items()}
    assert allowed(single) == READS[name]
    compares = {
        place: lambda key=key: user.commit(Transaction((ModRevisionIs(key, 1),), ())) for place, key in PLACES.items()
    }
    assert allowed(compares) == READS[name], "a compare tells what stands there, so it is reading"
    # A prefix: state/team_b takes in team_b2, which a reporter of team_b may not see.
    beginnings = {place: key for place, key in PLACES.items() if place not in ("state, cut off", "no prefix")}
    expected = READS[name] - {"state, cut off"}
    assert allowed({place: lambda key=key: user.list(key) for place, key in beginnings.items()}) == expected
    assert allowed({place: lambda key=key: watch(key) for place, key in beginnings.items()}) == expected


@pytest.mark.promise("roles")
@everybody
@pytest.mark.usefixtures("stands")
def test_a_role_writes_its_keys_and_no_others(name: str, user: EtcdStore, root: EtcdStore) -> None:
    puts = {
        place: lambda key=key: user.commit(Transaction((), (Put(key, name.encode()),))) for place, key in PLACES.items()
    }
    assert allowed(puts) == WRITES[name]
    written = {place for place, key in PLACES.items() if (item := root.get(key)) and item.value == name.encode()}
    assert written == WRITES[name]
    deletes = {place: lambda key=key: user.commit(Transaction((), (Delete(key),))) for place, key in PLACES.items()}
    assert allowed(deletes) == WRITES[name], "etcd knows no right to write without the right to delete"
    assert {place for place, key in PLACES.items() if root.get(key) is None} == WRITES[name]
