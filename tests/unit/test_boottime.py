"""What a lease in etcd is measured against goes on while the machine is suspended, as the lease does."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.config.settings import Settings
from coordinator.controller.clock import SystemClock
from coordinator.controller.service import Watcher
from coordinator.runners.airflow.deadline import Deadline
from coordinator.store.election import Candidate
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore

LONG = 1000.0

pytestmark = pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the system has no such clock")


@pytest.fixture
def suspend(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The machine is suspended for long: the clock that counts since boot goes on, the monotonic one does not."""
    original, slept = time.clock_gettime, [0.0]

    def clock_gettime(clock: int) -> float:
        return original(clock) + (slept[0] if clock == time.CLOCK_BOOTTIME else 0.0)

    def suspended() -> None:
        slept[0] += LONG

    monkeypatch.setattr(time, "clock_gettime", clock_gettime)
    return suspended


@pytest.mark.promise("not-early")
def test_a_watchers_intervals_hold_the_time_for_which_the_machine_was_suspended(suspend: Callable[[], None]) -> None:
    clock = SystemClock()
    began = clock.monotonic()
    suspend()
    assert clock.monotonic() - began == pytest.approx(LONG, abs=60)


@pytest.mark.promise("leader-only")
def test_a_watcher_reads_that_clock_unless_it_is_given_another_one(suspend: Callable[[], None]) -> None:
    settings = Settings(environments={"default": AirflowSettings(url="http://127.0.0.1:1")})
    watcher = Watcher(settings, store=MemoryStore(MemoryEtcd()), runners={})
    began = watcher.liveness().stepped_at
    suspend()
    assert watcher._clock.monotonic() - began == pytest.approx(LONG, abs=60)


@pytest.mark.promise("leader-only")
def test_a_leader_knows_that_its_lease_has_run_out_while_the_machine_was_suspended(
    suspend: Callable[[], None],
) -> None:
    candidate = Candidate(MemoryStore(MemoryEtcd()), Keys(), watcher_id="w", ttl=10)
    candidate.step()
    assert candidate.leadership() is not None
    suspend()
    assert candidate.leadership() is None


@pytest.mark.promise("leader-only")
def test_the_time_for_a_request_has_run_out_while_the_machine_was_suspended(suspend: Callable[[], None]) -> None:
    deadline = Deadline(10.0)
    assert deadline.remaining() > 0
    suspend()
    assert deadline.remaining() < 0
