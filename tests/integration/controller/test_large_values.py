"""A team that writes hundreds of large values fills neither a watcher's memory nor anybody else's time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.embedded import EmbeddedEtcd
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.integration.store.test_hostile_writers import putting_and_compacting
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

VALUES = 400
LARGE = b"x" * 1_500_000
MOST_MIB = 300
UNFOLDS = b'{"dag_runs": ["' + b"x" * 60 * 2**20 + b'"]}'
"""A few hundred KiB, packed."""
ANSWERS = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedEtcd]:
    with EmbeddedEtcd(tmp_path / "etcd") as server:
        yield server


@pytest.fixture
def filled(server: EmbeddedEtcd, tmp_path: Path) -> Iterator[ServedWorld]:
    settings = EtcdSettings(endpoints=[server.endpoint], prefix="/filled")
    with ServedWorld(settings, tmp_path) as world:
        for number in range(VALUES):
            world.put(f"{world.keys.root}state/team_b/large/{number:06}", LARGE)
        yield world


def peak_mib(pid: int) -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) // 1024


@pytest.mark.promise("slow")
def test_hundreds_of_large_values_fill_no_watcher_s_memory(filled: ServedWorld) -> None:
    filled.dependencies({"A": "R"})
    watcher = filled.serve()
    problems = watcher.problems()
    assert "more than 65536 bytes" in str(problems)
    filled.complete("R")
    filled.until_done("A", runs=1)
    for number in range(VALUES // 10):
        filled.put(f"{filled.keys.root}state/team_b/large/{number:06}", LARGE)
    until(lambda: watcher.revision() >= filled.watermark, "it has read all of it")
    peak = peak_mib(watcher.process.pid)
    print(f"peak of a watcher among {VALUES} values of 1.5 MB: {peak} MiB")
    assert peak < MOST_MIB


@pytest.mark.promise("slow")
def test_a_compaction_loop_and_huge_answers_neither_fill_the_memory_nor_stop_the_watcher(
    filled: ServedWorld, server: EmbeddedEtcd
) -> None:
    """All at once: the large values, an etcd that is compacted at each put, and an Airflow whose answers to everything
    but logins are a few hundred KiB that unpack to 60 MiB."""
    filled.dependencies({"A": "R", "team_b/B": "R"})
    sick = filled.airflows["team_b"]
    for kind in ("trigger", "clear", "get", "list", "dag", "dags"):
        sick.faults.always(kind, Fault.packed(UNFOLDS))
    with putting_and_compacting(server, f"{filled.keys.root}state/team_b/large/{0:06}"):
        watcher = filled.serve()
        began = monotonic()
        filled.complete("R")
        filled.until_done("A", runs=1)
        for wave in (2, 3):
            filled.complete("R", wave=wave)
            filled.until_done("A", runs=wave)
        until(lambda: _asked(sick) >= ANSWERS, "the sick environment has been asked again and again", limit=60)
        assert watcher.is_ready()
        peak = peak_mib(watcher.process.pid)
    print(f"peak beside a compaction loop and {_asked(sick)} such answers in {monotonic() - began:.0f} s: {peak} MiB")
    assert peak < MOST_MIB
    sick.faults.clear()
    until(lambda: filled.runs("team_b/B") >= 1, "what waited for the sick environment runs", limit=60)


def _asked(airflow: StandInAirflow) -> int:
    return sum(request.kind != "login" for request in airflow.requests)
