"""Watchers killed and frozen."""

from __future__ import annotations

from time import monotonic

import pytest

from tests.faults.registry import Struck, fault
from tests.faults.sickness import EFFECTS, sick
from tests.faults.stage import COMES_TO_REST, ENVIRONMENTS, REQUEST_TIMEOUT, WATCHER, Replica, Stage, pause
from tests.integration.controller.waiting import until
from tests.standin.faults import Fault

pytestmark = pytest.mark.promise("kill", "leader-only", "takeover")

HALF_A_LEASE = WATCHER.lease_ttl / 2
LONGER_THAN_A_LEASE = WATCHER.lease_ttl + 1.5
A_QUEUE = 4
"""Intents at the same time in environments that take one request each."""
A_QUEUE_WITHIN = 5.0
"""Seconds after its sources have ended within which a wave that is large enough has come to a queue."""
WAVES = 6
"""The first may be too small for a queue. Of the others, in which everything runs, a busy machine may spoil a few."""
UNDER_WAY_WITHIN = 3.0
"""Seconds for which a kill waits for an intent. In a small wave the last one may have had its answer by then."""
ANSWERED_LATE = 0.3
"""Seconds: with an answer at once, a request would be over before anybody could see its intent and strike."""


@fault(
    "leader: kill -9",
    group="watchers",
    asserts="another one leads, and takes over what was under way",
    in_every_test_run=True,
    in_soak=True,
)
def kill_leader(struck: Struck) -> None:
    stage, leader = struck.stage, struck.stage.leader()
    with sick(stage.airflows.values(), EFFECTS, Fault.late(ANSWERED_LATE)):
        struck.workload.end_sources()
        _await_an_intent(stage)
        pause(struck.workload.dice.uniform(0.0, ANSWERED_LATE))
        leader.service.kill()
    left_behind = stage.intents()
    struck.notes.append(f"{len(left_behind)} requests were under way")
    assert stage.leader_besides(leader) is not leader
    until(lambda: not left_behind & stage.intents(), "what was under way is taken over", limit=COMES_TO_REST)
    stage.restart(leader)


def _await_an_intent(stage: Stage) -> None:
    """For a while: in a small wave there may be none left."""
    end = monotonic() + UNDER_WAY_WITHIN
    while not stage.intents() and monotonic() < end:
        pause(0.02)


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
    asserts="another one leads; the woken one writes no intent and sends nothing",
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
    stage = struck.stage
    with sick(stage.airflows.values(), EFFECTS, Fault.late(0.75 * REQUEST_TIMEOUT)):
        leader, waiting = _freeze_with_a_queue(struck)
    assert stage.leader_besides(leader) is not leader
    until(lambda: not waiting & stage.intents(), "what was written down has been sent", limit=30)
    leader.service.thaw()


def _freeze_with_a_queue(struck: Struck) -> tuple[Replica, set[str]]:
    """The leader, and the tokens of what it had written down. :raises AssertionError: no wave came to a queue."""
    stage, workload = struck.stage, struck.workload
    workload.end_sources()
    for _ in range(WAVES):
        leader = stage.leader()
        if _comes_to_a_queue(stage):
            leader.service.freeze()
            waiting = stage.intents()  # nothing is added to it, and nothing goes, until another one leads
            if len(waiting) > len(ENVIRONMENTS):  # one of each may have been sent
                return leader, waiting
            leader.service.thaw()
        workload.count()
        workload.begin_wave(everything=True)
        workload.end_sources()
    raise AssertionError(f"in {WAVES} waves no {A_QUEUE} requests were written down at the same time")


def _comes_to_a_queue(stage: Stage) -> bool:
    end = monotonic() + A_QUEUE_WITHIN
    while (found := len(stage.intents())) < A_QUEUE and monotonic() < end:
        pause(0.02)
    return found >= A_QUEUE
