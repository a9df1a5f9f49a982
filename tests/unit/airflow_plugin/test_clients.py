"""A sender stays as long as one of its clients lives."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from coordinator.airflow_plugin.clients import Clients

Process = subprocess.Popen[bytes]


@pytest.fixture(params=["pidfd", "signal 0"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a kernel that has process descriptors, and with one that has not."""
    if request.param == "signal 0":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    elif not hasattr(os, "pidfd_open"):
        pytest.skip("no pidfd on this system")
    return str(request.param)


@pytest.fixture
def process() -> Iterator[Process]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("kernel")
def test_a_running_process_keeps(process: Process) -> None:
    assert Clients([process.pid]).any_alive()


@pytest.mark.usefixtures("kernel")
def test_an_ended_process_does_not(process: Process) -> None:
    clients = Clients([process.pid])
    process.kill()
    process.wait()
    assert not clients.any_alive()


@pytest.mark.usefixtures("kernel")
def test_a_process_that_ended_before_is_not_adopted(process: Process) -> None:
    process.kill()
    process.wait()
    clients = Clients()
    clients.adopt(process.pid)
    assert not clients.any_alive()


@pytest.mark.usefixtures("kernel")
def test_one_of_several_is_enough(process: Process) -> None:
    clients = Clients([process.pid])
    clients.adopt(os.getpid())
    process.kill()
    process.wait()
    assert clients.any_alive()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd")
def test_a_zombie_does_not_keep(process: Process) -> None:
    """A scheduler killed and not yet collected by whoever started it."""
    clients = Clients([process.pid])
    descriptor = os.pidfd_open(process.pid)
    process.kill()
    select.select([descriptor], [], [], 30)
    os.close(descriptor)
    assert not clients.any_alive()


@pytest.mark.usefixtures("kernel")
def test_somebody_elses_process_keeps() -> None:
    assert Clients([1]).any_alive()
