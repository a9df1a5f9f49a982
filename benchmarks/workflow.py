"""Workflow: one wave through thousands of pipelines of a real workflow's shape, against the floor.

It has many roots, which are started by hand, layers below them that wait for a few pipelines of the layer above, and
some pipelines that wait for hundreds. The service runs as a separate process, with a real etcd and a stand-in Airflow.
Every run ends as soon as it has been started: this process sees the trigger record and reports success, as the listener
in Airflow would. The floor (:mod:`benchmarks.floor`) starts as many runs, which wait for nothing: it shows the limits
of etcd and the stand-in.

    python -m benchmarks.workflow [--pipelines 4493] [--fan-in 630] [--waves 3] [--workers 8] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import requests

from benchmarks.reaction import PATIENCE, Side, await_, floor_of, full_load, process, stand_in
from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys, TriggerKey
from coordinator.store.port import Changes, Put, Store, Transaction
from coordinator.store.reflector import Reflector, Snapshot

ROOTS = 0.4
"""The share of pipelines that wait for nothing."""

LAYERS = 5
WIDE = 8
"""Pipelines with many upstreams: the first has the configured number, each further one half of the previous."""

TOGETHER = 100
"""Reports in a transaction."""

KEYS = Keys("/ours")


@dataclass(frozen=True)
class Workflow:
    """:ivar upstreams: of each pipeline that waits for some."""

    roots: list[str]
    upstreams: dict[str, list[str]]

    @classmethod
    def of(cls, pipelines: int, fan_in: int) -> Workflow:
        """The same for the same numbers."""
        draw = random.Random(pipelines)
        roots = [f"root_{number}" for number in range(int(pipelines * ROOTS))]
        upstreams: dict[str, list[str]] = {}
        above, rest = roots, pipelines - len(roots) - WIDE
        for layer in range(LAYERS):
            width = rest // LAYERS + (layer < rest % LAYERS)
            names = [f"layer_{layer}_{number}" for number in range(width)]
            for name in names:
                upstreams[name] = draw.sample(above, min(len(above), draw.choice((1, 1, 2, 3, 5, 8))))
            above = names
        everything = [*roots, *upstreams]
        for number in range(WIDE):
            many = max(2, min(fan_in >> number, len(everything)))
            upstreams[f"wide_{number}"] = draw.sample(everything, many)
        return cls(roots, upstreams)


@dataclass
class Reports:
    """Reports the success of every run that has been started, as soon as its record says so."""

    store: Store
    ended: set[Target] = field(default_factory=set)

    def follow(self, stop: threading.Event, reflector: Reflector) -> None:
        for update in reflector.updates(stop):
            match update:
                case Snapshot():
                    items = update.listing.items
                case Changes():
                    items = [change.kv for change in update.changes if change.kv is not None]
                case _:
                    continue
            sent = []
            for item in items:
                key, record = KEYS.parse(item.key), read_record(item.value)
                if isinstance(key, TriggerKey) and isinstance(record, TriggerRecord) and record.status is Status.SENT:
                    sent.append((key.target, record.run_id, record.attempt))
            report(self.store, [one for one in sent if one[0] not in self.ended])
            self.ended.update(target for target, _, _ in sent)


def report(store: Store, ended: list[tuple[Target, str | None, datetime | None]]) -> None:
    """Put the success of these runs."""
    now = datetime.now(UTC)
    puts = [
        Put(
            KEYS.state(target),
            RunStateDocument(state=State.SUCCESS, run_id=run_id, queued_at=attempt, observed_at=now).to_value(),
        )
        for target, run_id, attempt in ended
    ]
    for first in range(0, len(puts), TOGETHER):
        store.commit(Transaction((), tuple(puts[first : first + TOGETHER])))


def wave(store: Store, airflow: str, workflow: Workflow, number: int) -> float:
    """One wave in a partition of its own. Returns the triggers per second, from the first put to the last request.

    :raises AssertionError: a pipeline was started twice, or not at all.
    """
    partition = f"wave-{number}"
    runs = _start_by_hand(airflow, workflow.roots, f"by_hand__{partition}")
    began = time.monotonic()
    report(store, [(Target(PipelineRef("default", root), partition), *run) for root, run in runs.items()])
    at = _arrivals(airflow, partition, len(workflow.upstreams))
    return len(workflow.upstreams) / (max(at.values()) - began)


def _start_by_hand(airflow: str, roots: list[str], run_id: str) -> dict[str, tuple[str, datetime]]:
    """Start a run of each root, as people and schedules do. Returns its id and when it was queued, by root."""
    login = requests.post(f"{airflow}/auth/token", json={"username": "admin", "password": "admin"}, timeout=PATIENCE)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
    runs = {}
    for root in roots:
        body: dict[str, object] = {"dag_run_id": run_id, "logical_date": None, "conf": {}}
        answer = session.post(f"{airflow}/api/v2/dags/{root}/dagRuns", json=body, timeout=PATIENCE)
        answer.raise_for_status()
        runs[root] = (run_id, datetime.fromisoformat(answer.json()["queued_at"]))
    return runs


def _arrivals(airflow: str, partition: str, count: int) -> dict[str, float]:
    until = time.monotonic() + 5 * PATIENCE
    while True:
        with urllib.request.urlopen(f"{airflow}/_standin/requests", timeout=PATIENCE) as answer:
            arrived: dict[str, float] = {}
            for at, kind, dag_id, run_id, _status in json.load(answer):
                if kind == "trigger" and partition in run_id and not run_id.startswith("by_hand"):
                    assert dag_id not in arrived, f"{dag_id} was started twice"
                    arrived[dag_id] = at
        if len(arrived) == count:
            urllib.request.urlopen(
                urllib.request.Request(f"{airflow}/_standin/reset", method="POST"), timeout=PATIENCE
            ).close()
            return arrived
        assert time.monotonic() < until, f"{count - len(arrived)} pipelines were not started"
        time.sleep(0.5)


@contextlib.contextmanager
def _service(etcd: str, airflow: str, directory: Path, workflow: Workflow, workers: int) -> Iterator[None]:
    config, dependencies = directory / "coordinator.toml", directory / "dependencies.json"
    config.write_text(
        f"""
        [etcd]
        endpoints = ["{etcd}"]
        prefix = "{KEYS.prefix}"
        [environments.default]
        url = "{airflow}"
        username = "admin"
        password_env = "BENCHMARK_PASSWORD"
        max_in_flight = {workers}
        [watcher]
        follow_after = 600  # the runs of this stand-in never end by themselves
        decision_log = "{directory / "decisions.jsonl"}"
        """
    )
    dependencies.write_text(json.dumps(workflow.upstreams))
    env = {"BENCHMARK_PASSWORD": "admin", "COORDINATOR_LOG_LEVEL": "warning"}
    arguments = ("watch", "--config", str(config), "--dependencies", str(dependencies))
    with process("coordinator.cli", *arguments, env=env):
        yield


@contextlib.contextmanager
def _reporting(store: Store) -> Iterator[None]:
    stop, reflector = threading.Event(), Reflector(store, KEYS.every("trigger"))
    thread = threading.Thread(target=Reports(store).follow, args=(stop, reflector))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        reflector.close()
        thread.join()


def measure(pipelines: int, fan_in: int, *, waves: int, workers: int) -> dict[str, list[float]]:
    """Triggers per second of each wave, and of the floor."""
    workflow = Workflow.of(pipelines, fan_in)
    rates: dict[str, list[float]] = {"floor": [], "coordinator": []}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        etcd = stack.enter_context(EmbeddedEtcd(directory / "etcd"))
        airflow = stack.enter_context(stand_in())
        store = stack.enter_context(contextlib.closing(connect(EtcdSettings(endpoints=[etcd.endpoint]))))
        floor = Side("floor", Keys("/floor"))
        stack.enter_context(floor_of(etcd.endpoint, floor, airflow, workers=workers))
        stack.enter_context(_service(etcd.endpoint, airflow, directory, workflow, workers))
        stack.enter_context(_reporting(store))
        await_(lambda: store.get(KEYS.dependencies("default")) is not None)
        for number in range(waves):
            rates["floor"].append(full_load(store, floor, airflow, number, len(workflow.upstreams))[1])
            rates["coordinator"].append(wave(store, airflow, workflow, number))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipelines", type=int, default=4493)
    parser.add_argument("--fan-in", type=int, default=630, help="upstreams of the widest pipeline")
    parser.add_argument("--waves", type=int, default=3)
    parser.add_argument("--workers", type=int, default=8, help="requests at once")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rates = measure(options.pipelines, options.fan_in, waves=options.waves, workers=options.workers)
    if options.json:
        print(json.dumps(rates))
        return
    print(f"{options.pipelines:,} pipelines, widest fan-in {options.fan_in:,}: triggers per second, wave by wave")
    for name, of in rates.items():
        print(f"{name:>12}  " + "  ".join(f"{rate:7.0f}" for rate in of))
    ratios = [ours / floor for ours, floor in zip(rates["coordinator"], rates["floor"], strict=True)]
    print(f"{'ratio':>12}  " + "  ".join(f"{ratio:7.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
