"""A team that writes hundreds of large values fills neither a watcher's memory nor anybody else's time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.settings import EtcdSettings
from coordinator.store.embedded import EmbeddedEtcd
from tests.integration.watcher.waiting import until
from tests.integration.watcher.worlds import ServedWorld

VALUES = 400
LARGE = b"x" * 1_500_000
MOST_MIB = 300


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[ServedWorld]:
    with EmbeddedEtcd(tmp_path / "etcd") as server:
        settings = EtcdSettings(endpoints=[server.endpoint], prefix="/filled")
        with ServedWorld(settings, tmp_path) as world:
            for number in range(VALUES):
                world.put(f"{world.keys.root}state/team_b/large/{number:06}", LARGE)
            yield world


def peak_mib(pid: int) -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) // 1024


def test_hundreds_of_large_values_fill_no_watcher_s_memory(filled: ServedWorld) -> None:
    filled.dependencies({"A": "R"})
    watcher = filled.serve()
    problems = watcher.health()["problems"]
    assert "more than 65536 bytes" in str(problems)
    filled.complete("R")
    filled.until_done("A", runs=1)
    for number in range(VALUES // 10):
        filled.put(f"{filled.keys.root}state/team_b/large/{number:06}", LARGE)
    until(lambda: watcher.health()["revision"] >= filled.floor, "it has read all of it")
    peak = peak_mib(watcher.process.pid)
    print(f"peak of a watcher among {VALUES} values of 1.5 MB: {peak} MiB")
    assert peak < MOST_MIB
