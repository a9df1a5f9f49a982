"""Reading: the time and memory of commands that read etcd, with many live keys in a real etcd.

Each command runs in a separate process. Goal: with 1,000,000 keys ``explain`` answers in under a second and 100 MiB.

    python -m benchmarks.reading [--keys 1000000] [--pipelines 1000] [--only explain,rerun,release,status] [--json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.scaling.footprint import base_keys
from benchmarks.scaling.ring import LAYERS, Ring, partition
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.port import KeyValue, Put, Transaction

TOGETHER = 100
"""Puts in a transaction."""

QUOTA = 8 * 1024**3
REPETITIONS = 3
MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Taken:
    """The cost of a command, the best of :data:`REPETITIONS`.

    :ivar peak: MiB of memory at its peak.
    """

    command: str
    seconds: float
    peak: float
    exit_code: int


def fill(store: EtcdStore, items: Iterable[KeyValue]) -> int:
    """Put keys. Returns how many."""
    count = 0
    rest = iter(items)
    while batch := tuple(Put(item.key, item.value) for item in itertools.islice(rest, TOGETHER)):
        store.commit(Transaction((), batch))
        count += len(batch)
    return count


def take(*arguments: str, config: Path) -> Taken:
    """Run a command of the coordinator."""
    command = [sys.executable, "-m", "coordinator.cli", *arguments, "--config", str(config)]
    found = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        found.append((time.perf_counter() - began, usage.ru_maxrss / 1024, process.returncode))
        if found[0][0] > 10:
            break
    seconds, peak, exit_code = min(found)
    return Taken(" ".join(arguments), round(seconds, 2), round(peak), exit_code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--pipelines", type=int, default=1_000)
    parser.add_argument("--only", default="explain,rerun,release,status", help="commands, with commas between them")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ring = Ring(options.pipelines)
    partitions = -(-options.keys // ring.keys_in_a_partition())
    with tempfile.TemporaryDirectory(prefix="coordinator-benchmark-") as directory:
        arguments = (f"--quota-backend-bytes={QUOTA}", "--unsafe-no-fsync")
        with EmbeddedEtcd(Path(directory) / "etcd", arguments=arguments) as etcd:
            config = Path(directory) / "coordinator.toml"
            config.write_text(f'[etcd]\nendpoints = ["{etcd.endpoint}"]\n')
            store = connect(etcd.settings)
            keys = fill(store, base_keys(ring))
            for number in range(partitions):
                keys += fill(store, ring.past_keys(partition(number)))
            store.close()
            last, first = str(ring.pipeline(LAYERS, 0)), str(ring.source(0))
            when = partition(partitions - 1)
            commands: dict[str, list[tuple[str, ...]]] = {
                "explain": [("explain", last, when), ("explain", last), ("explain", last, "2019-01-01T00:00:00Z")],
                "rerun": [
                    ("rerun", first, when, "--downstream", "--dry-run"),
                    ("mark", last, when, "failed", "--dry-run"),
                ],
                "release": [("release", last, "--all-partitions")],
                "status": [("status",), ("status", "--pipeline", last)],
            }
            taken = [take(*one, config=config) for name in options.only.split(",") for one in commands[name]]
    if options.json:
        print(json.dumps({"keys": keys, "pipelines": options.pipelines, "taken": [asdict(one) for one in taken]}))
        return
    print(f"{keys:,} keys, {options.pipelines:,} pipelines that wait for 5 others each")
    for one in taken:
        print(f"{one.seconds:7.2f} s  {one.peak:6,.0f} MiB  exit {one.exit_code}  coordinator {one.command}")


if __name__ == "__main__":
    main()
