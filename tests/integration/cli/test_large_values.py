"""Hundreds of large values of another writer fill the memory of no command, and not that of a task."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.commands.inputs import FEW
from coordinator.config.etcd import EtcdSettings
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction

VALUES = 250
LARGE = b"x" * 1_500_000
MOST_MIB = 200
KEYS = Keys("/filled")
WAITS = '{"down": {"upstream": {"pipeline": "team_b/large", "partition": {"mapper": "rollup", "window": "day"}}}}'

SCRIPT = """
import pathlib, re, runpy, sys
try:
    if sys.argv[1] == "inputs":
        import coordinator
        print(len(coordinator.inputs("down", partition="p", settings=sys.argv[2])))
    else:
        runpy.run_module("coordinator.cli", run_name="__main__", alter_sys=True)
finally:
    print("VmHWM", re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration whose etcd is full of them. Returns its directory."""
    directory = tmp_path_factory.mktemp("filled")
    large = PipelineRef("team_b", "large")
    used = {Target(large, str(number)): Consumed(7, Attempt("r"), State.SUCCESS) for number in range(3 * FEW)}
    record = TriggerRecord(Status.SENT, 1, Action.CREATE, "r", "t", 1, consumed=Consumption.of(used))
    with EmbeddedEtcd(directory / "etcd") as server:
        store = connect(EtcdSettings(endpoints=[server.endpoint], prefix=KEYS.prefix))
        for number in range(VALUES):
            key = KEYS.state(Target(large, str(number))) if number % 5 else KEYS.reporter("team_b", str(number))
            store.commit(Transaction((), (Put(key, LARGE),)))
        down = Target(PipelineRef("default", "down"), "p")
        store.commit(Transaction((), (Put(KEYS.trigger(down), dump_record(record)),)))
        store.close()
        (directory / "dependencies.json").write_text(WAITS)
        (directory / "coordinator.toml").write_text(
            f'[etcd]\nendpoints = ["{server.endpoint}"]\nprefix = "{KEYS.prefix}"\n'
        )
        yield directory


@pytest.mark.parametrize(
    "command",
    [
        ("inputs", "coordinator.toml"),
        ("hold", "team_b/large", "--reason", "r", "-c", "coordinator.toml"),
        ("doctor", "-c", "coordinator.toml", "--dependencies", "dependencies.json"),
        ("explain", "team_b/large", "-c", "coordinator.toml"),
        ("status", "-c", "coordinator.toml"),
    ],
    ids=lambda command: command[0],
)
def test_values_of_another_writer_fill_no_memory(filled: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], cwd=filled, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    peak = re.search(r"VmHWM (\d+)", done.stderr)
    assert peak is not None, done.stderr
    print(f"{command[0]}: {int(peak[1]) // 1024} MiB; {done.stdout.strip()[:300]}")
    assert int(peak[1]) // 1024 < MOST_MIB
