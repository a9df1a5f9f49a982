"""Reaction: from the put of a run state to the trigger request arriving at Airflow, against the floor.

Both sides run as separate processes, with the same etcd and the same stand-in Airflow, in alternating rounds. "One at a
time" handles each completion before the next one comes; "full load" puts all of a round at once. The goal
(docs/architecture.md#speed): 1.3 times the floor at p50, 2 times at p99, 80 % of its rate under load.

    python -m benchmarks.reaction [--completions 1000] [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Store, Transaction

PACE = 0.015
"""Seconds between two completions that come one at a time: much longer than the slowest reaction."""

WORKERS = 8
PATIENCE = 60.0


@dataclass(frozen=True)
class Side:
    """One of the two sides: its name, the keys that it watches, and the partitions of its runs."""

    name: str
    keys: Keys

    def partition(self, round_: int, number: int) -> str:
        return f"{self.name}-{round_}-{number}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--completions", type=int, default=1000, help="one at a time: over all rounds; full load: in each"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    each = max(1, options.completions // options.rounds)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        etcd = stack.enter_context(EmbeddedEtcd(directory / "etcd"))
        airflow = stack.enter_context(stand_in())
        store = stack.enter_context(contextlib.closing(connect(EtcdSettings(endpoints=[etcd.endpoint]))))
        floor, ours = Side("floor", Keys("/floor")), Side("ours", Keys("/ours"))
        stack.enter_context(floor_of(etcd.endpoint, floor, airflow))
        stack.enter_context(_watcher(etcd.endpoint, ours, airflow, directory, store))
        measured: dict[tuple[str, str], list[float]] = {}
        rates: dict[str, list[float]] = {"floor": [], "ours": []}
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("measuring", total=4 * options.rounds + 2)
            for side in (floor, ours):
                _one_at_a_time(store, side, airflow, -1, 20)
                progress.advance(task)
            for round_ in range(options.rounds):
                for side in (floor, ours) if round_ % 2 == 0 else (ours, floor):
                    single = _one_at_a_time(store, side, airflow, 2 * round_, each)
                    progress.advance(task)
                    loaded, rate = full_load(store, side, airflow, 2 * round_ + 1, options.completions)
                    progress.advance(task)
                    measured.setdefault((side.name, "one at a time"), []).extend(single)
                    measured.setdefault((side.name, "full load"), []).extend(loaded)
                    rates[side.name].append(rate)
    _print(measured, rates, as_json=options.json)


def _one_at_a_time(store: Store, side: Side, airflow: str, round_: int, count: int) -> list[float]:
    put_at: dict[str, float] = {}
    for number in range(count):
        partition = side.partition(round_, number)
        put_at[partition] = time.monotonic()
        _put(store, side, [partition])
        time.sleep(max(0.0, put_at[partition] + PACE - time.monotonic()))
    arrived = _arrivals(airflow, put_at)
    return [arrived[partition] - at for partition, at in put_at.items()]


def full_load(store: Store, side: Side, airflow: str, round_: int, count: int) -> tuple[list[float], float]:
    partitions = [side.partition(round_, number) for number in range(count)]
    put_at: dict[str, float] = {}
    for first in range(0, count, 100):
        batch = partitions[first : first + 100]
        put_at |= dict.fromkeys(batch, time.monotonic())
        _put(store, side, batch)
    arrived = _arrivals(airflow, put_at)
    rate = count / (max(arrived.values()) - min(put_at.values()))
    return [arrived[partition] - at for partition, at in put_at.items()], rate


def _put(store: Store, side: Side, partitions: list[str]) -> None:
    observed_at = datetime.now(UTC).isoformat()  # as reporters write it: a fresh state needs no look
    value = json.dumps(
        {"state": "success", "run_id": "r", "queued_at": "2026-11-20T00:00:00+00:00", "observed_at": observed_at}
    ).encode()
    upstream = PipelineRef("default", "A")
    puts = tuple(Put(side.keys.state(Target(upstream, partition)), value) for partition in partitions)
    store.commit(Transaction((), puts))


def _arrivals(airflow: str, wanted: dict[str, float]) -> dict[str, float]:
    """When the trigger request for each partition arrived. Fails if one arrives twice, or not in time."""
    until = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(f"{airflow}/_standin/requests", timeout=PATIENCE) as answer:
            arrived: dict[str, float] = {}
            for at, kind, _dag, run_id, _status in json.load(answer):
                if kind == "trigger":
                    partition = run_id.split("__")[1]
                    assert partition not in arrived, f"{partition} was triggered twice"
                    arrived[partition] = at
        if wanted.keys() <= arrived.keys():
            urllib.request.urlopen(
                urllib.request.Request(f"{airflow}/_standin/reset", method="POST"), timeout=PATIENCE
            ).close()
            return arrived
        assert time.monotonic() < until, f"{len(wanted.keys() - arrived.keys())} triggers are missing"
        time.sleep(0.2)


@contextlib.contextmanager
def process(*arguments: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextlib.contextmanager
def stand_in() -> Iterator[str]:
    with process("tests.standin.airflow", "--any-dag") as running:
        assert running.stdout is not None
        yield f"http://127.0.0.1:{running.stdout.readline().strip()}"


@contextlib.contextmanager
def floor_of(etcd: str, side: Side, airflow: str, *, workers: int = WORKERS) -> Iterator[None]:
    arguments = ("--etcd", etcd, "--prefix", side.keys.prefix, "--airflow", airflow, "--workers", str(workers))
    with process("benchmarks.floor", *arguments) as running:
        assert running.stdout is not None
        assert running.stdout.readline().strip() == "ready"
        yield


@contextlib.contextmanager
def _watcher(etcd: str, side: Side, airflow: str, directory: Path, store: Store) -> Iterator[None]:
    config = directory / "coordinator.toml"
    config.write_text(
        f"""
        [etcd]
        endpoints = ["{etcd}"]
        prefix = "{side.keys.prefix}"
        [environments.default]
        url = "{airflow}"
        username = "admin"
        password_env = "BENCHMARK_PASSWORD"
        max_in_flight = {WORKERS}
        [watcher]
        follow_after = 600  # the runs of this stand-in never end, and none of them reports
        decision_log = "{directory / "decisions.jsonl"}"
        """
    )
    dependencies = directory / "dependencies.json"
    dependencies.write_text('{"D": "A"}')
    arguments = ("watch", "--config", str(config), "--dependencies", str(dependencies))
    env = {"BENCHMARK_PASSWORD": "admin", "COORDINATOR_LOG_LEVEL": "warning"}
    with process("coordinator.cli", *arguments, env=env):
        await_(lambda: store.get(side.keys.dependencies("default")) is not None)
        yield


def await_(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "the watcher does not start"
        time.sleep(0.05)


def _quantile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def _print(measured: dict[tuple[str, str], list[float]], rates: dict[str, list[float]], *, as_json: bool) -> None:
    rows = []
    for load in ("one at a time", "full load"):
        for share in (0.5, 0.99):
            floor, ours = (_quantile(measured[side, load], share) * 1000 for side in ("floor", "ours"))
            rows.append((f"{load}, p{share * 100:g}", "ms", floor, ours, ours / floor))
    floor, ours = (statistics.median(rates[side]) for side in ("floor", "ours"))
    rows.append(("full load, rate", "triggers/s", floor, ours, ours / floor))
    counts = {load: len(measured["ours", load]) for load in ("one at a time", "full load")}
    if as_json:
        print(json.dumps({"completions": counts, "rows": rows}))
        return
    table = Table(
        "",
        "unit",
        "floor",
        "coordinator",
        "ratio",
        title="completions: " + ", ".join(f"{count} {load}" for load, count in counts.items()),
    )
    for name, unit, of_floor, of_ours, ratio in rows:
        table.add_row(name, unit, f"{of_floor:.2f}", f"{of_ours:.2f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
