"""``make demo`` as people run it: it plays to the end, says what did not hold, and leaves nothing behind.

What belongs to a demo is told by what all its descendants inherit, whatever groups and sessions they are in: a
variable, or (Airflow's components write their titles over their variables) a working directory and log files.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, eventually

MARK = "DEMO_TEST_MARK"
DEMO_LIMIT = 240.0
"""Seconds for a whole demo on a busy machine; on an idle one it takes 35."""
END_LIMIT = 60.0
"""Seconds until everything has ended."""


class Demo:
    """A demo in a process of its own, and in a group of its own like a terminal's foreground."""

    def __init__(self, folder: Path, *arguments: str, module: str = "examples.demo") -> None:
        self.mark = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._output = folder / "output"  # not below temporary: that is removed when the demo ends
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=REPOSITORY,
                env={**os.environ, MARK: self.mark, "TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._output.read_text()

    def await_saying(self, pattern: str) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.said
            return re.search(pattern, self.said) is not None

        eventually(look, f"the demo says {pattern!r}", within=DEMO_LIMIT)

    def interrupt(self) -> None:
        """Ctrl-C: a terminal sends it to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kept(self) -> list[Path]:
        """The directories that it has left."""
        return list(self.temporary.glob("coordinator-demo-*"))

    def alive(self) -> dict[int, str]:
        """Every process that descends from it, by its command."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and self._owns(folder):
                    found[int(folder.name)] = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has just ended, or is somebody else's
        return found

    def _owns(self, process: Path) -> bool:
        if self.mark in (process / "environ").read_text(errors="replace"):
            return True
        places = [os.readlink(process / "cwd"), *(os.readlink(each) for each in (process / "fd").iterdir())]
        return any(place.startswith(f"{self.temporary}/") for place in places)

    def listening(self) -> set[tuple[str, int]]:
        """Where its processes listen: address in /proc/net's spelling, and port."""
        inodes = set()
        for pid in self.alive():
            try:
                inodes |= {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
            except (FileNotFoundError, ProcessLookupError):
                continue
        found = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == "0A" and f"socket:[{rest[5]}]" in inodes:
                    address, port = local.split(":")
                    found.add((address, int(port, 16)))
        return found

    def await_nothing_left(self) -> None:
        before = self.alive()
        eventually(lambda: not self.alive(), f"nothing of these lives: {before}", within=END_LIMIT)

    def end(self) -> None:
        """After a test that failed too."""
        for pid in self.alive():
            descriptor = os.pidfd_open(pid)
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], END_LIMIT)
            os.close(descriptor)
        self.process.wait(END_LIMIT)


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        started.append(Demo(tmp_path, *arguments))
        return started[-1]

    yield start
    for demo in started:
        demo.end()


def test_the_demo_plays_the_wave_and_the_cascade_and_is_gone(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    assert demo.process.wait(DEMO_LIMIT) == 0, demo.said
    assert "✓ 7 pipelines ran exactly once, each after all that it waits for" in demo.said
    assert "✓ 03_pipeline, 06_pipeline, 07_pipeline ran once more, as the same runs; nothing else ran" in demo.said
    assert re.search(r"\$ coordinator status --all\n.*; leader: .*\n", demo.said), demo.said
    assert re.search(r"\$ coordinator explain 06_pipeline .*\n06_pipeline@.* is settled", demo.said), demo.said
    demo.await_nothing_left()
    assert demo.kept() == []


@pytest.mark.timeout(600)
def test_across_two_airflows_the_demo_stays_up_until_ctrl_c_on_this_machine_only(
    start_demo: Callable[..., Demo],
) -> None:
    demo = start_demo("--environments", "2", "--keep")
    demo.await_saying("now runs every minute")
    assert "✓ 03_pipeline, 07_pipeline, team_b/06_pipeline ran once more" in demo.said
    listening = demo.listening()
    assert len(listening) >= 4  # two Airflows, etcd for clients and for peers
    assert {address for address, _ in listening} == {"0100007F"}
    demo.interrupt()
    assert demo.process.wait(END_LIMIT) == 0, demo.said
    demo.await_nothing_left()
    assert demo.kept() == []


def test_ctrl_c_before_the_end_ends_everything(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    demo.await_saying("Airflow default starts")
    eventually(lambda: any("scheduler" in command for command in demo.alive().values()), "the scheduler starts")
    demo.interrupt()
    assert demo.process.wait(END_LIMIT) == 130, demo.said
    assert demo.alive() == {}
    assert demo.kept() == []


def test_a_demo_that_is_killed_takes_everything_with_it(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    demo.await_saying("Airflow default starts")
    eventually(lambda: any("scheduler" in command for command in demo.alive().values()), "the scheduler starts")
    os.kill(demo.process.pid, signal.SIGKILL)
    assert demo.process.wait(END_LIMIT) == -signal.SIGKILL
    demo.await_nothing_left()


def test_a_demo_that_fails_says_what_did_not_hold_and_keeps_the_logs(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    demo.await_saying("The wave: ")
    (watcher,) = [pid for pid, command in demo.alive().items() if "coordinator.cli watch" in command]
    os.kill(watcher, signal.SIGKILL)
    assert demo.process.wait(END_LIMIT) == 1, demo.said
    (kept,) = demo.kept()
    assert f"✗ coordinator watch ended with -9; see {kept}/watcher.log" in demo.said
    assert f"The logs are kept: {kept}" in demo.said
    assert "leader.elected" in (kept / "watcher.log").read_text()
    demo.await_nothing_left()
