"""Certificates and their authorities, replaced in mid wave. No process is started again, but for etcd where it must."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.connection import connect
from coordinator.store.port import StoreUnavailable
from tests.certificates import Pair
from tests.faults.encrypted import EncryptedStage, serial_number, shown_by
from tests.faults.line import Line, Way
from tests.faults.registry import Struck, fault
from tests.faults.stage import DRILL, REPORTERS, WATCHERS, Stage, pause
from tests.faults.strikes.lines import broken
from tests.integration.controller.waiting import until
from tests.tls_etcd import replace

pytestmark = pytest.mark.promise("rotation")

GROUP = "certificates"
BEHIND = 8.0


def _encrypted(stage: Stage) -> EncryptedStage:
    assert isinstance(stage, EncryptedStage)
    return stage


def _to_etcd(stage: Stage) -> list[Line]:
    return [*(line for replica in stage.replicas for line in replica.to_etcd), *stage.reporters_to_etcd]


def _to_airflow(stage: Stage) -> list[Line]:
    return [line for replica in stage.replicas for line in replica.to_airflow.values()]


def _shake_hands_anew(lines: list[Line]) -> None:
    with broken(lines, Way.CUT):
        pause(0.1)


def _wave_goes(struck: Struck) -> None:
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.6))


@fault(
    "etcd's certificate replaced", group=GROUP, asserts="the new one is shown; the leader stays", kind=EncryptedStage
)
def replace_server(struck: Struck) -> None:
    stage, leader = _encrypted(struck.stage), struck.stage.leader()
    _wave_goes(struck)
    stage.files.renew(stage.files.server, stage.authority)
    _shake_hands_anew(_to_etcd(stage))
    assert _shown_by_etcd(stage) == serial_number(stage.files.server[0].read_bytes())
    stage.await_health()
    assert stage.leader() is leader


@fault(
    "client certificates replaced, the old ones revoked at once",
    group=GROUP,
    asserts="the leader stays",
    kind=EncryptedStage,
    in_every_test_run=True,
)
def replace_clients(struck: Struck) -> None:
    stage, leader = _encrypted(struck.stage), struck.stage.leader()
    revoked = stage.authority.revoke(*_clients(stage))
    _wave_goes(struck)
    for who in (WATCHERS, REPORTERS):
        stage.files.renew(stage.certificate_of(who), stage.authority)
    replace(stage.files.revoked, revoked)
    _shake_hands_anew(_to_etcd(stage))
    stage.await_health()
    assert stage.leader() is leader


@fault(
    "client certificates revoked, the new ones later",
    group=GROUP,
    asserts="nobody gets in meanwhile; with the new ones everybody",
    kind=EncryptedStage,
    behind=BEHIND,
)
def revoke_clients(struck: Struck) -> None:
    stage = _encrypted(struck.stage)
    _wave_goes(struck)
    replace(stage.files.revoked, stage.authority.revoke(*_clients(stage)))
    _shake_hands_anew(_to_etcd(stage))
    until(lambda: not any(replica.service.is_ready() for replica in stage.replicas), "no watcher gets in")
    pause(struck.workload.dice.uniform(0.0, 5.0))
    for who in (WATCHERS, REPORTERS):
        stage.files.renew(stage.certificate_of(who), stage.authority)
    stage.await_health()


@fault(
    "etcd's authority replaced, with an overlap",
    group=GROUP,
    asserts="who is of the old one gets in no more, everybody else does",
    kind=EncryptedStage,
    behind=BEHIND,
)
def replace_authority(struck: Struck) -> None:
    stage, old = _encrypted(struck.stage), _encrypted(struck.stage).authority
    successor = stage.new_authority(f"etcd-authority-{struck.workload.dice.getrandbits(64):x}")
    left_behind = old.issue("left-behind")
    both = old.cert.read_bytes() + successor.cert.read_bytes()
    for believed in (stage.files.ca, stage.files.trusted):
        replace(believed, both)
    _wave_goes(struck)
    _restart(stage)  # it reads whom to believe when it starts, and then no more
    for pair in (stage.files.server, stage.files.client, *map(stage.certificate_of, (DRILL, WATCHERS, REPORTERS))):
        stage.files.renew(pair, successor)
    _shake_hands_anew(_to_etcd(stage))
    until(lambda: _is_reached(stage), "etcd is reached by its new name")
    until(lambda: _gets_in(stage, left_behind), "in the overlap, who is of the old authority gets in")
    stage.await_health()
    for believed in (stage.files.ca, stage.files.trusted):
        replace(believed, successor.cert.read_bytes())
    _restart(stage)
    until(lambda: _is_reached(stage), "etcd is reached by its new name alone")
    stage.authority = successor
    stage.await_health()
    assert _shown_by_etcd(stage) == serial_number(stage.files.server[0].read_bytes())
    assert not _gets_in(stage, left_behind), "who is of the old authority still gets in"
    assert _gets_in(stage, successor.issue("newcomer")), "that is for the authority"


@fault(
    "Airflow's certificate replaced, and its authority with an overlap",
    group=GROUP,
    asserts="the new one is shown, of the new authority alone; the leader stays",
    kind=EncryptedStage,
)
def replace_airflow(struck: Struck) -> None:
    stage, leader = _encrypted(struck.stage), struck.stage.leader()
    successor = stage.new_authority(f"airflow-authority-{struck.workload.dice.getrandbits(64):x}")
    replace(stage.airflow_ca, stage.airflow_authority.cert.read_bytes() + successor.cert.read_bytes())
    _wave_goes(struck)
    shown = stage.renew_airflow(successor)
    _shake_hands_anew(_to_airflow(stage))
    pause(struck.workload.dice.uniform(0.0, 0.3))
    replace(stage.airflow_ca, successor.cert.read_bytes())
    _shake_hands_anew(_to_airflow(stage))
    stage.airflow_authority = successor
    for airflow in stage.airflows.values():
        assert shown_by(airflow.port) == serial_number(shown)
    assert stage.leader() is leader


def _clients(stage: EncryptedStage) -> list[Path]:
    return [stage.certificate_of(who)[0] for who in (WATCHERS, REPORTERS)]


def _shown_by_etcd(stage: EncryptedStage) -> int:
    (member,) = stage.cluster.members
    return shown_by(member.port, stage.certificate_of(DRILL))


def _is_reached(stage: Stage) -> bool:
    try:
        stage.store.get(stage.keys.leader)
    except StoreUnavailable:
        return False
    return True


def _gets_in(stage: EncryptedStage, client: Pair) -> bool:
    """Whether etcd answers to whom shows this certificate, over a connection of its own."""
    settings = EtcdSettings(
        endpoints=stage.cluster.endpoints, timeout=5, ca_cert=stage.files.ca, cert=client.cert, key=client.key
    )
    with contextlib.closing(connect(settings)) as store:
        try:
            store.get(stage.keys.leader)
        except StoreUnavailable:
            return False
    return True


def _restart(stage: Stage) -> None:
    (member,) = stage.cluster.members
    member.stop()
    stage.cluster.start(member)
