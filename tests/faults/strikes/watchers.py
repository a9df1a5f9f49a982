"""Watchers killed and frozen."""

from __future__ import annotations

import contextlib

from coordinator.model.trigger import Status
from tests.faults.registry import Struck, fault
from tests.faults.sickness import EFFECTS, sick
from tests.faults.stage import REQUEST_TIMEOUT, WATCHER, Stage, pause
from tests.integration.watcher.waiting import until
from tests.standin.faults import Fault

HALF_A_LEASE = WATCHER.lease_ttl / 2
LONGER_THAN_A_LEASE = WATCHER.lease_ttl + 1.5
A_QUEUE = 4
"""Intents at the same time in environments that take one request each."""


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


@fault("every watcher: kill -9", group="watchers", asserts="one of them leads again, from what stands in etcd")
def kill_all(struck: Struck) -> None:
    struck.workload.end_sources()
    pause(struck.workload.dice.uniform(0.0, 0.8))
    for replica in struck.stage.replicas:
        replica.service.kill()
    pause(struck.workload.dice.uniform(0.0, 2.0))
    for replica in struck.stage.replicas:
        struck.stage.restart(replica)
    struck.stage.await_health()


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


@fault(
    "leader: SIGSTOP while its requests wait for their turn",
    group="watchers",
    asserts="its successor sends them; the woken one sends nothing",
    behind=6.0,
    max_in_flight=1,
)
def freeze_with_requests_waiting(struck: Struck) -> None:
    stage, leader = struck.stage, struck.stage.leader()
    with sick(stage.airflows.values(), EFFECTS, Fault.late(0.75 * REQUEST_TIMEOUT)):
        struck.workload.end_sources()
        _wait_for_a_queue(stage)
        leader.service.freeze()
    assert stage.leader_besides(leader) is not leader
    until(lambda: not stage.targets_in(Status.INTENT), "what was written down has been sent", limit=30)
    leader.service.thaw()


def _wait_for_a_queue(stage: Stage) -> None:
    """Some waves are too small for one."""
    with contextlib.suppress(AssertionError):
        until(lambda: len(stage.targets_in(Status.INTENT)) >= A_QUEUE, "requests wait for their turn", limit=3)
