"""Whatever way we end, what we started ends with us, down to what it forked."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from coordinator.demo.tether import Tether, end_group

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
import subprocess, sys, time
from coordinator.demo.tether import Tether
tether = Tether()
process = subprocess.Popen([sys.executable, "-c", sys.argv[1], "stubborn"], start_new_session=True)
tether.tie(process.pid)
time.sleep(600)
"""


def ends(descriptor: int) -> bool:
    """Whether a process has ended, or does so soon."""
    return bool(select.select([descriptor], [], [], 30)[0])


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    descriptors: list[int] = []
    yield descriptors
    for descriptor in descriptors:
        if not select.select([descriptor], [], [], 0)[0]:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)


def start(command: list[str], descriptors: list[int]) -> subprocess.Popen[bytes]:
    """Start a program that prints two process ids; keep descriptors of both."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as output:
        descriptors += [os.pidfd_open(int(word)) for word in output.readline().split()]
    assert len(descriptors) == 2
    return process


def test_forked_workers_end_when_we_are_killed(descriptors: list[int]) -> None:
    demo = start([sys.executable, "-c", _DEMO, _SCHEDULER], descriptors)
    demo.kill()
    demo.wait()
    assert all(map(ends, descriptors))


def test_closing_a_tether_ends_what_is_tied_and_not_what_was_untied(descriptors: list[int]) -> None:
    other: list[int] = []
    with Tether() as tether:
        tied = start([sys.executable, "-c", _SCHEDULER, "stubborn"], descriptors)
        untied = start([sys.executable, "-c", _SCHEDULER, "stubborn"], other)
        tether.tie(tied.pid)
        tether.tie(untied.pid)
        tether.untie(untied.pid)
    assert all(map(ends, descriptors))
    tied.wait()
    assert untied.poll() is None
    end_group(untied, patience=0)
    assert all(map(ends, other))
    for descriptor in other:
        os.close(descriptor)


@pytest.mark.parametrize(("temper", "patience"), [("gentle", 30.0), ("stubborn", 0.2)])
def test_ending_a_group_ends_all_of_it(descriptors: list[int], temper: str, patience: float) -> None:
    process = start([sys.executable, "-c", _SCHEDULER, temper], descriptors)
    end_group(process, patience=patience)
    assert process.returncode in (-signal.SIGTERM, -signal.SIGKILL)
    assert all(map(ends, descriptors))
