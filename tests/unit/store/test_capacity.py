"""A watcher says that etcd fills up, well before it is full."""

from __future__ import annotations

import threading

from coordinator.model.bounds import MIB
from coordinator.store.capacity import SizeAlarm
from coordinator.store.connection import MemberStatus
from coordinator.store.port import StoreUnavailable

QUOTA = 100 * MIB


def member(size: int, *, endpoint: str = "a:1", quota: int = 0, version: str = "3.6.14") -> MemberStatus:
    return MemberStatus(endpoint, version=version, db_size=size * MIB, db_quota=quota * MIB)


def test_the_fullest_member_counts_and_its_own_quota_before_the_one_that_is_configured() -> None:
    members = [member(60, endpoint="large:1", quota=1000), member(55, endpoint="small:1")]
    alarm = SizeAlarm(lambda: members, quota=QUOTA)
    alarm.look()
    assert alarm.problem is not None
    assert "small:1" in alarm.problem
    assert "55 MiB, 55% of its quota of 100 MiB" in alarm.problem


def test_it_is_no_problem_any_more_when_there_is_room_again() -> None:
    members = [member(80)]
    alarm = SizeAlarm(lambda: members, quota=QUOTA)
    alarm.look()
    assert alarm.problem is not None
    members[:] = [member(10)]
    alarm.look()
    assert alarm.problem is None


def test_a_member_that_does_not_answer_changes_nothing() -> None:
    members = [member(80)]
    alarm = SizeAlarm(lambda: members, quota=QUOTA)
    alarm.look()
    members[:] = [member(0, version="")]
    alarm.look()
    assert alarm.problem is not None


def test_it_looks_again_and_again_whatever_goes_wrong() -> None:
    looked: list[int] = []
    enough = threading.Event()

    def status() -> list[MemberStatus]:
        looked.append(1)
        if len(looked) == 1:
            raise StoreUnavailable("away")
        if len(looked) == 2:
            raise ValueError("a mistake of ours")
        enough.set()
        return [member(90)]

    alarm = SizeAlarm(status, quota=QUOTA, every=0.01)
    alarm.start()
    assert enough.wait(10)
    alarm.stop()
    assert alarm.problem is not None
