"""What the demo has started ends with it, down to what that has forked."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo.orphan_guard import OrphanGuard

REPOSITORY = Path(__file__).parent.parent.parent.parent

_SCHEDULER = """
import os, signal, sys, time
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
time.sleep(600)
"""
"""A process that forks a worker, as Airflow's scheduler does."""

_DEMO = """
import os, sys, time
from pathlib import Path
from examples.demo.orphan_guard import OrphanGuard
guard = OrphanGuard()
guard.start([sys.executable, "-c", sys.argv[1], "stubborn"], log=Path(sys.argv[2]), env=os.environ)
time.sleep(600)
"""

_KILLED_AS_IT_STARTS = """
import os, signal, subprocess, sys
from pathlib import Path
from examples.demo.orphan_guard import OrphanGuard

guard = OrphanGuard()
start = subprocess.Popen.__init__

def start_and_die(*arguments, **options):
    start(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

subprocess.Popen.__init__ = start_and_die
guard.start([sys.executable, "-c", sys.argv[1], "stubborn"], log=Path(sys.argv[2]), env=os.environ)
"""
"""A demo that is killed when it has started a process, and can do nothing more about it."""


def ready(descriptor: int) -> bool:
    """Whether there is something to read, or, of a process: whether it has ended; now or soon."""
    return bool(select.select([descriptor], [], [], 30)[0])


class Scheduler:
    """The two processes of a scheduler, by descriptors, which do not mistake another process for one of them."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "scheduler.log"
        os.mkfifo(self.log)
        self._reader = os.open(self.log, os.O_RDONLY | os.O_NONBLOCK)  # without a writer yet
        os.set_blocking(self._reader, True)
        self.descriptors: list[int] = []

    def await_pids(self) -> None:
        assert ready(self._reader), "it has printed something"
        with open(self._reader, closefd=False) as printed:
            self.descriptors += [os.pidfd_open(int(word)) for word in printed.readline().split()]
        assert len(self.descriptors) == 2

    def close(self) -> None:
        os.close(self._reader)
        for descriptor in self.descriptors:
            if not select.select([descriptor], [], [], 0)[0]:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    scheduler = Scheduler(tmp_path)
    yield scheduler
    scheduler.close()


def start(guard: OrphanGuard, scheduler: Scheduler, temper: str) -> subprocess.Popen[bytes]:
    process = guard.start([sys.executable, "-c", _SCHEDULER, temper], log=scheduler.log, env=os.environ)
    scheduler.await_pids()
    return process


def test_forked_workers_end_when_the_demo_is_killed(scheduler: Scheduler) -> None:
    demo = subprocess.Popen([sys.executable, "-c", _DEMO, _SCHEDULER, str(scheduler.log)], cwd=REPOSITORY)
    try:
        scheduler.await_pids()
    finally:
        demo.kill()
        demo.wait()
    assert all(map(ready, scheduler.descriptors))


def test_a_process_that_starts_while_the_demo_is_killed_ends_too(tmp_path: Path) -> None:
    log = tmp_path / "scheduler.log"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    demo = subprocess.Popen([sys.executable, "-c", _KILLED_AS_IT_STARTS, _SCHEDULER, str(log)], cwd=REPOSITORY)
    assert demo.wait(30) == -signal.SIGKILL
    printed = b""
    try:
        while True:  # until nobody holds the other end of what the scheduler prints to
            assert ready(reader), f"the scheduler lives: {printed!r}"
            if not (piece := os.read(reader, 4096)):
                break
            printed += piece
    except AssertionError:
        for pid in printed.split():
            os.kill(int(pid), signal.SIGKILL)
        raise
    finally:
        os.close(reader)


def test_what_was_not_ended_is_killed_when_the_guard_is_closed(scheduler: Scheduler) -> None:
    with OrphanGuard() as guard:
        process = start(guard, scheduler, "stubborn")
    process.wait(30)
    assert all(map(ready, scheduler.descriptors))


@pytest.mark.parametrize(("temper", "patience"), [("gentle", 30.0), ("stubborn", 0.2)])
def test_ending_a_process_ends_its_group(scheduler: Scheduler, temper: str, patience: float) -> None:
    with OrphanGuard() as guard:
        process = start(guard, scheduler, temper)
        guard.end(process, patience=patience)
        assert process.returncode == (-signal.SIGTERM if temper == "gentle" else -signal.SIGKILL)
        assert all(map(ready, scheduler.descriptors))
