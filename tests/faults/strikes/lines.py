"""Lines cut, silenced and made one-way: between watchers, etcd and the environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.faults.line import Line, Way
from tests.faults.registry import Struck, fault
from tests.faults.stage import SUCCEEDED_WITHIN, WATCHER, Replica, pause, set_all

pytestmark = pytest.mark.promise("leader-only", "takeover")

LONGER_THAN_A_LEASE = WATCHER.lease_ttl + 1.5
BEHIND = WATCHER.lease_ttl + 3.0

STILL_KEPT_ALIVE = {Way.DEAF: WATCHER.lease_ttl}
"""Seconds for which etcd may go on prolonging the lease: it is asked to, until who hears no answer has given it up."""

WORDS = {
    Way.CUT: "cut",
    Way.SILENT: "silent",
    Way.MUTE: "one-way, nothing gets there",
    Way.DEAF: "one-way, nothing comes back",
}


@contextmanager
def broken(lines: list[Line], way: Way) -> Iterator[None]:
    """These lines, for a while."""
    set_all(lines, way)
    try:
        yield
    finally:
        set_all(lines, Way.OPEN)


def _airflow_lines(replica: Replica) -> list[Line]:
    return list(replica.to_airflow.values())


def _wave_goes(struck: Struck) -> None:
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.6))


def _leader_from_etcd(way: Way) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        leader = struck.stage.leader()
        _wave_goes(struck)
        with broken(leader.to_etcd, way):
            struck.stage.leader_besides(leader, within=SUCCEEDED_WITHIN + STILL_KEPT_ALIVE.get(way, 0.0))
            pause(struck.workload.dice.uniform(0.0, 1.0))

    return strike


def _leader_from_airflow(way: Way) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        leader = struck.stage.leader()
        _wave_goes(struck)
        with broken(_airflow_lines(leader), way):
            pause(LONGER_THAN_A_LEASE)
            assert struck.stage.leader() is leader

    return strike


def _leader_from_both(way: Way) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        leader = struck.stage.leader()
        _wave_goes(struck)
        with broken([*leader.to_etcd, *_airflow_lines(leader)], way):
            struck.stage.leader_besides(leader)
            pause(struck.workload.dice.uniform(0.0, 1.0))

    return strike


for _way, _words in WORDS.items():
    fault(
        f"leader and etcd: {_words}",
        group="lines",
        asserts="another one leads; the old one writes no intent and sends nothing",
        in_every_test_run=_way is Way.DEAF,
        behind=BEHIND,
        in_soak=True,
    )(_leader_from_etcd(_way))
for _way, _words in WORDS.items():
    fault(
        f"leader and Airflow: {_words}",
        group="lines",
        asserts="the leader stays the same",
        in_every_test_run=_way is Way.DEAF,
        behind=BEHIND,
        in_soak=True,
    )(_leader_from_airflow(_way))
for _way in (Way.CUT, Way.SILENT):
    fault(
        f"leader and both: {WORDS[_way]}",
        group="lines",
        asserts="another one leads",
        behind=BEHIND,
        in_soak=True,
    )(_leader_from_both(_way))


@fault(
    "every watcher and etcd: silent",
    group="lines",
    asserts="one leads again as soon as it can",
    behind=BEHIND,
    in_soak=True,
)
def silence_all(struck: Struck) -> None:
    _wave_goes(struck)
    with broken([line for replica in struck.stage.replicas for line in replica.to_etcd], Way.SILENT):
        pause(LONGER_THAN_A_LEASE)
    struck.stage.await_health()


@fault("standby and etcd: silent", group="lines", asserts="the leader stays the same")
def silence_standby(struck: Struck) -> None:
    leader, standby = struck.stage.leader(), struck.stage.standby()
    _wave_goes(struck)
    with broken(standby.to_etcd, Way.SILENT):
        pause(LONGER_THAN_A_LEASE)
        assert struck.stage.leader() is leader


@fault("every line: flaps for ten seconds", group="lines", asserts="one leads again", behind=BEHIND, in_soak=True)
def flap(struck: Struck) -> None:
    dice = struck.workload.dice
    lines = [line for replica in struck.stage.replicas for line in (*replica.to_etcd, *_airflow_lines(replica))]
    lines += struck.stage.reporters_to_etcd
    _wave_goes(struck)
    for _ in range(20):
        with broken(dice.sample(lines, dice.randint(1, len(lines))), dice.choice(list(WORDS))):
            pause(dice.uniform(0.1, 0.9))
