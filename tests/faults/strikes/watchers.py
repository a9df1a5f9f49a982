"""Watchers killed and frozen."""

from __future__ import annotations

from tests.faults.registry import Struck, fault
from tests.faults.stage import WATCHER, pause

HALF_A_LEASE = WATCHER.lease_ttl / 2
LONGER_THAN_A_LEASE = WATCHER.lease_ttl + 1.5


@fault(
    "leader: kill -9",
    group="watchers",
    asserts="another one leads, and takes over what was under way",
    in_every_test_run=True,
    in_soak=True,
)
def kill_leader(struck: Struck) -> None:
    leader = struck.stage.leader()
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.8))
    leader.service.kill()
    successor = struck.stage.leader_besides(leader)
    assert successor is not leader
    struck.stage.restart(leader)


@fault("standby: kill -9", group="watchers", asserts="the leader stays the same", in_soak=True)
def kill_standby(struck: Struck) -> None:
    leader, standby = struck.stage.leader(), struck.stage.standby()
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.8))
    standby.service.kill()
    struck.stage.restart(standby)
    assert struck.stage.leader() is leader


@fault(
    "leader: SIGSTOP, longer than its lease",
    group="watchers",
    asserts="another one leads; the woken one writes and sends nothing",
    behind=6.0,
    in_soak=True,
)
def freeze_leader(struck: Struck) -> None:
    leader = struck.stage.leader()
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.8))
    leader.service.freeze()
    assert struck.stage.leader_besides(leader) is not leader
    pause(struck.workload.dice.uniform(0.0, 2.0))
    leader.service.thaw()


@fault(
    "leader: SIGSTOP, shorter than its lease",
    group="watchers",
    asserts="it goes on leading or is replaced",
    behind=4.0,
    in_soak=True,
)
def pause_leader(struck: Struck) -> None:
    leader = struck.stage.leader()
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.8))
    leader.service.freeze()
    pause(HALF_A_LEASE)
    leader.service.thaw()


@fault("standby: SIGSTOP, longer than its lease", group="watchers", asserts="the leader stays the same", in_soak=True)
def freeze_standby(struck: Struck) -> None:
    leader, standby = struck.stage.leader(), struck.stage.standby()
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.8))
    standby.service.freeze()
    pause(LONGER_THAN_A_LEASE)
    standby.service.thaw()
    assert struck.stage.leader() is leader
