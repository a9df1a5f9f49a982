"""etcd's users: tokens that end, roles that change, passwords that are rotated."""

from __future__ import annotations

import pytest

from tests.faults.guarded import GuardedStage
from tests.faults.registry import Struck, fault
from tests.faults.stage import REPORTERS, WATCHERS, Stage, pause
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("rotation")

TOKEN_LIFE = 2


def _guarded(stage: Stage) -> GuardedStage:
    assert isinstance(stage, GuardedStage)
    return stage


@fault(
    "etcd's tokens expire every two seconds",
    group="users of etcd",
    asserts="somebody logs in again; the leader stays the same",
    kind=GuardedStage,
    token_life=TOKEN_LIFE,
)
def expire(struck: Struck) -> None:
    stage, leader = _guarded(struck.stage), struck.stage.leader()
    before = stage.logins()
    pause(struck.workload.dice.uniform(0.0, TOKEN_LIFE))
    struck.workload.end_sources()
    until(lambda: stage.logins() >= before + len(stage.replicas), "as many logins as there are watchers")
    assert stage.leader() is leader


@fault(
    "etcd's roles change, and every token with them",
    group="users of etcd",
    asserts="somebody logs in again; the leader stays the same",
    kind=GuardedStage,
    token_life=600,
)
def change_roles(struck: Struck) -> None:
    stage, leader, dice = _guarded(struck.stage), struck.stage.leader(), struck.workload.dice
    before = stage.logins()
    struck.workload.end_sources()
    with stage.users() as users:
        for _ in range(5):
            pause(dice.uniform(0.0, 0.4))
            users.add_role(f"somebody-else-{dice.getrandbits(64):x}")
    until(lambda: stage.logins() >= before + len(stage.replicas), "as many logins as there are watchers")
    assert stage.leader() is leader


@fault(
    "etcd's passwords change, the files later",
    group="users of etcd",
    asserts="nobody gets in meanwhile; with the new files everybody, without a restart",
    kind=GuardedStage,
    behind=8.0,
)
def change_passwords(struck: Struck) -> None:
    stage, dice = _guarded(struck.stage), struck.workload.dice
    new = f"password {dice.getrandbits(64):x}"
    before = _refusals(stage)
    struck.workload.end_sources()
    pause(dice.uniform(0.0, 0.6))
    with stage.users() as users:
        for who in (WATCHERS, REPORTERS):
            users.set_password(who, new)
            assert not users.can_log_in(who, stage.password_file(who).read_text())
    until(lambda: all(map(int.__lt__, before, _refusals(stage))), "the watchers are refused")
    pause(dice.uniform(0.0, 5.0))
    for who in (WATCHERS, REPORTERS):
        stage.password_file(who).write_text(new)
    stage.await_health()


def _refusals(stage: Stage) -> list[int]:
    """How often each watcher has been refused so far."""
    return [replica.service.log().count("authentication failed") for replica in stage.replicas]
