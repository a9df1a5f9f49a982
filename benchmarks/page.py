"""The page: how long until it has read everything, until its first picture, and until a change is visible.

A real etcd, ``coordinator ui`` as a process, and a real browser (Chromium, by Playwright). Goal: with 1,000 pipelines
and 100,000 partitions the first picture takes less than a second, and a state in etcd is visible within 0.5 s.

    python -m benchmarks.page [--pipelines 1000] [--partitions 100000] [--json]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from benchmarks.reading import MEBIBYTE, QUOTA, fill
from benchmarks.scaling.footprint import base_keys
from benchmarks.scaling.ring import KEYS, LAYERS, Ring, partition
from coordinator.commands.report import write_report
from coordinator.model.references import Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from tests.browser import chromium

TIMES = 10
"""Pictures, and changes, that are measured."""

FAILED = 10
"""Runs that have failed before, so that there is something to show."""


@dataclass(frozen=True)
class Measured:
    """Seconds; memory in MiB.

    :ivar ready: from the start of the process to its first answer.
    :ivar pictures: from the request of the page until what needs a person stands in it.
    :ivar changes: from the put of a failed run until it stands in the page.
    """

    pipelines: int
    partitions: int
    keys: int
    ready: float
    pictures: list[float]
    changes: list[float]
    memory: float


@contextmanager
def serving(config: Path) -> Iterator[tuple[str, int]]:
    """``coordinator ui``: its address, and its process id."""
    command = [sys.executable, "-u", "-m", "coordinator.cli", "ui", "--config", str(config), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    found = re.search(r"https?://\S+", process.stdout.readline())
    assert found is not None
    try:
        yield found[0].rstrip("/"), process.pid
    finally:
        process.terminate()
        process.wait(30)


def report(store: EtcdStore, target: Target, state: State, number: int) -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=number)
    document = RunStateDocument(state=state, run_id=f"manual__{number}", queued_at=at, observed_at=at)
    write_report(store, KEYS, target, document)


def measure(ring: Ring, partitions: int) -> Measured:
    """:param partitions: of all pipelines together."""
    each = -(-partitions // (ring.pipelines + ring.width))
    with tempfile.TemporaryDirectory(prefix="coordinator-benchmark-") as directory:
        arguments = (f"--quota-backend-bytes={QUOTA}", "--unsafe-no-fsync")
        with EmbeddedEtcd(Path(directory) / "etcd", arguments=arguments) as etcd:
            config = Path(directory) / "coordinator.toml"
            config.write_text(f'[etcd]\nendpoints = ["{etcd.endpoint}"]\n')
            store = connect(etcd.settings)
            keys = fill(store, base_keys(ring))
            for number in range(each):
                keys += fill(store, ring.past_keys(partition(number)))
            for number in range(FAILED):
                report(store, Target(ring.source(number), partition(each - 1)), State.FAILED, number)
            began = time.perf_counter()
            with serving(config) as (url, process):
                while requests.get(url + "/api/v1/now", timeout=60).status_code != 200:
                    time.sleep(0.05)
                ready = time.perf_counter() - began
                with chromium() as browser:
                    pictures = [_picture(browser, url) for _ in range(TIMES)]
                    changes = _changes(browser, url, store, ring, partition(each - 1))
                status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
                memory = int(status.split("VmHWM:")[1].split()[0]) * 1024 / MEBIBYTE
            store.close()
    return Measured(
        ring.pipelines + ring.width, each * (ring.pipelines + ring.width), keys, ready, pictures, changes, memory
    )


def _picture(browser: Any, url: str) -> float:
    page = browser.new_page()
    began = time.perf_counter()
    page.goto(url + "/")
    page.wait_for_selector(".now .card")
    taken = time.perf_counter() - began
    page.close()
    return taken


def _changes(browser: Any, url: str, store: EtcdStore, ring: Ring, when: str) -> list[float]:
    page, taken = browser.new_page(), []
    page.goto(url + "/")
    page.wait_for_selector(".now .card")
    for number in range(TIMES):
        pipeline = ring.pipeline(LAYERS, ring.width // 2 + number)  # below none that has failed before
        began = time.perf_counter()
        report(store, Target(pipeline, when), State.FAILED, 1000 + number)
        page.wait_for_selector(f'.card .t a:text-is("{pipeline}")')
        taken.append(time.perf_counter() - began)
        time.sleep(0.3)
    page.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipelines", type=int, default=1000)
    parser.add_argument("--partitions", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(Ring(options.pipelines), options.partitions)
    if options.json:
        print(json.dumps(asdict(found)))
        return
    print(f"{found.pipelines:,} pipelines, {found.partitions:,} partitions, {found.keys:,} keys")
    print(f"{found.ready:6.2f} s  until everything is read; {found.memory:,.0f} MiB at the most")
    for name, taken in (("first picture", found.pictures), ("a failed run is visible", found.changes)):
        print(f"{statistics.median(taken):6.2f} s  {name} (at the most {max(taken):.2f} s, of {len(taken)})")


if __name__ == "__main__":
    main()
