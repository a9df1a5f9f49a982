"""``coordinator demo`` as people run it: it shows what it says, says so when it cannot, and leaves nothing behind.

What belongs to a demo is told by what all its descendants inherit, whatever groups and sessions they are in: a
variable, or (Airflow's components write their titles over their variables) a working directory and log files.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from coordinator.cli.failures import ExitCode
from tests.e2e.conftest import eventually

MARK = "DEMO_TEST_MARK"
SHOW_LIMIT = 240.0
"""Seconds for a whole demo on a busy machine; on an idle one it takes twenty."""
END_LIMIT = 40.0
"""Seconds until everything has ended."""

PIPELINES = [f"0{number}_pipeline" for number in range(1, 8)]


class Demo:
    """A demo in a process of its own, and in a group of its own like a terminal's foreground."""

    def __init__(self, temporary: Path, *arguments: object) -> None:
        self.mark = uuid.uuid4().hex
        self.temporary = temporary
        temporary.mkdir(exist_ok=True)
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coordinator.cli", "demo", *map(str, arguments)],
            env={**os.environ, MARK: self.mark, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._printed: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self._printed), (self.process.stderr, self.said))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        with stream:
            lines.extend(iter(stream.readline, ""))

    def await_line(self, pattern: str) -> None:
        """Wait until it has said something on stderr."""

        def look() -> bool:
            assert self.process.poll() is None, "".join(self.said)
            return any(re.search(pattern, line) for line in list(self.said))

        eventually(look, f"the demo says {pattern!r}", within=SHOW_LIMIT)

    def result(self, within: float) -> tuple[int, str]:
        """Its exit code, and what it printed."""
        code = self.process.wait(within)
        for reader in self._readers:
            reader.join(END_LIMIT)
        return code, "".join(self._printed)

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
        eventually(
            lambda: not self.alive(), f"nothing of the demo lives; its processes: {self.alive()}", within=END_LIMIT
        )

    def end(self) -> None:
        """After a test that failed too."""
        for pid in self.alive():
            descriptor = os.pidfd_open(pid)
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], END_LIMIT)
            os.close(descriptor)
        self.process.wait(END_LIMIT)


@pytest.fixture
def demos(tmp_path: Path) -> Iterator[Any]:
    started: list[Demo] = []

    def start(*arguments: object) -> Demo:
        started.append(Demo(tmp_path / "tmp", *arguments))
        return started[-1]

    yield start
    for demo in started:
        demo.end()


def test_it_shows_the_wave_and_the_cascade_and_is_gone(demos: Any) -> None:
    demo = demos("--json")
    code, printed = demo.result(SHOW_LIMIT)
    assert code == ExitCode.OK, "".join(demo.said)
    said = json.loads(printed)
    assert (said["ok"], said["error"]) == (True, None)
    assert [verdict for act in said["acts"] for verdict in act["verdicts"] if not verdict["kept"]] == []
    wave, cascade = said["acts"]

    first = {run["pipeline"]: run for run in wave["runs"]}
    assert sorted(run["pipeline"] for run in wave["runs"]) == PIPELINES
    assert {run["state"] for run in wave["runs"]} == {"success"}
    assert first["01_pipeline"]["started_by"] == "hand"
    assert {first[name]["action"] for name in PIPELINES[1:]} == {"create"}
    assert {run["wave"] for run in wave["runs"]} == {first["01_pipeline"]["revision"]}
    assert _inputs(first["06_pipeline"]) == {name: first[name]["revision"] for name in PIPELINES[1:5]}
    for name, upstreams in {"02_pipeline": ["01_pipeline"], "06_pipeline": PIPELINES[1:5]}.items():
        assert all(first[name]["start_date"] >= first[upstream]["end_date"] for upstream in upstreams)

    again = {run["pipeline"]: run for run in cascade["runs"]}
    assert sorted(run["pipeline"] for run in cascade["runs"]) == ["03_pipeline", "06_pipeline", "07_pipeline"]
    assert {run["attempt"] for run in cascade["runs"]} == {2}
    assert {name: run["run_id"] for name, run in again.items()} == {name: first[name]["run_id"] for name in again}
    assert {again[name]["action"] for name in ("06_pipeline", "07_pipeline")} == {"clear"}
    assert {run["wave"] for run in cascade["runs"]} == {again["03_pipeline"]["revision"]}
    (new,) = [used["pipeline"] for used in again["06_pipeline"]["inputs"] if used["new"]]
    assert new == "03_pipeline"

    demo.await_nothing_left()
    places = [
        urlsplit(said["airflow"]["url"]).netloc,
        said["etcd"]["endpoint"],
        urlsplit(said["watcher"]["url"]).netloc,
    ]
    assert [place for place in places if _answers(place)] == []
    assert list(demo.temporary.glob("coordinator-demo-*")) == []


def test_ctrl_c_in_mid_show_ends_everything_and_all_of_it_was_on_this_machine_only(demos: Any) -> None:
    demo = demos("--json")
    demo.await_line("02_pipeline: created")
    listening = demo.listening()
    assert len(listening) >= 4  # Airflow's API server, etcd for clients and for peers, the watcher
    assert {address for address, _ in listening} == {"0100007F"}
    os.killpg(demo.process.pid, signal.SIGINT)  # to the whole group, as a terminal does it
    code, _ = demo.result(END_LIMIT)
    assert code == ExitCode.INTERRUPTED, "".join(demo.said)
    assert "everything that the demo had started has ended" in demo.said[-1]
    assert demo.alive() == {}
    assert [port for _, port in listening if _answers(f"127.0.0.1:{port}")] == []
    assert list(demo.temporary.glob("coordinator-demo-*")) == []


def test_a_demo_that_is_killed_takes_everything_with_it(demos: Any) -> None:
    demo = demos("--json")
    demo.await_line("until the API server answers")
    eventually(lambda: any("scheduler" in command for command in demo.alive().values()), "the scheduler starts")
    os.kill(demo.process.pid, signal.SIGKILL)
    assert demo.process.wait(END_LIMIT) == -signal.SIGKILL
    demo.await_nothing_left()


def test_a_part_that_ends_by_itself_is_named_and_the_logs_stay(demos: Any) -> None:
    demo = demos("--json")
    demo.await_line("watcher: leads")
    (watcher,) = [pid for pid, command in demo.alive().items() if "coordinator.cli watch" in command]
    os.kill(watcher, signal.SIGKILL)
    code, printed = demo.result(END_LIMIT)
    assert code == ExitCode.PROBLEM
    said = json.loads(printed)
    assert said["ok"] is False
    assert "the watcher" in said["error"]
    assert "ended with -9" in said["error"]
    (kept,) = demo.temporary.glob("coordinator-demo-*")
    assert (kept / "watcher.log").exists()
    assert f"The logs are kept: {kept}" in "".join(demo.said)
    demo.await_nothing_left()


def test_dependencies_that_cannot_be_read_are_said_at_once_and_nothing_is_started(demos: Any, tmp_path: Path) -> None:
    broken = tmp_path / "dependencies.json"
    broken.write_text('{"02_pipeline": "01_pipeline",}')
    demo = demos("--dependencies", broken)
    code, _ = demo.result(END_LIMIT)
    assert code == ExitCode.USAGE
    assert f"{broken}:1:30: trailing comma" in "".join(demo.said)
    assert list(demo.temporary.iterdir()) == []


def _inputs(run: dict[str, Any]) -> dict[str, int]:
    return {used["pipeline"]: used["revision"] for used in run["inputs"]}


def _answers(place: str) -> bool:
    host, _, port = place.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
