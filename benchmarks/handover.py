"""Handover: from the end of a leader to its successor's first write, with many live keys, compared with the floor.

Leader and standby are separate processes (``coordinator watch``) on a real etcd with many keys. The leader is
terminated (SIGTERM), killed (SIGKILL) or frozen (SIGSTOP) while nothing is under way. As soon as the leader key is
deleted, a completion is reported: the successor's first write is the intent that follows from it.

The floor of a planned stop: one client revokes its lease; another one sees the deletion of the leader key by its watch
and creates the key again in one transaction, without any state or decision. The floor of the others is the end of the
lease in etcd.

    python -m benchmarks.handover [--keys 100000] [--rounds 5] [--lease 10] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.scaling.ring import KEYS, Ring, partition
from coordinator.config.etcd import EtcdSettings
from coordinator.model.documents import parse_document
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.port import Changed, CreateRevisionIs, Put, Store, StoreUnavailable, Transaction
from coordinator.store.presence import read_presence

pytestmark = pytest.mark.promise("takeover")

PATIENCE = 40.0
PIPELINES = 1000
ENDS = {"terminated": signal.SIGTERM, "killed": signal.SIGKILL, "frozen": signal.SIGSTOP}


class Witness:
    """Notes all changes under the prefix, with their times."""

    def __init__(self, store: Store) -> None:
        self._seen: list[tuple[float, Changed]] = []
        self._new = threading.Condition()
        self._watch = store.watch(KEYS.root, from_revision=store.list(KEYS.leader).revision + 1)
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        self._watch.close()

    def _follow(self) -> None:
        with contextlib.suppress(StoreUnavailable):  # closed
            self._note_all()

    def _note_all(self) -> None:
        while (batch := self._watch.receive(PATIENCE)) is not None:
            at = time.monotonic()
            with self._new:
                self._seen += [(at, change) for change in batch.changes]
                self._new.notify_all()

    def forget(self) -> None:
        with self._new:
            self._seen.clear()

    def first(self, wanted: Callable[[Changed], bool]) -> float:
        """Wait for the first such change. Returns when it came."""
        until = time.monotonic() + PATIENCE
        with self._new:
            while True:
                for at, change in self._seen:
                    if wanted(change):
                        return at
                assert time.monotonic() < until, "it does not come"
                self._new.wait(1.0)


@dataclass(frozen=True)
class Measured:
    """Seconds since the signal."""

    gone: float
    leads: float
    wrote: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lease", type=int, default=10, help="seconds, of the watchers' leases")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        etcd = stack.enter_context(EmbeddedEtcd(directory / "etcd"))
        airflow = stack.enter_context(_process("tests.standin.airflow", "--any-dag", stdout=subprocess.PIPE))
        assert airflow.stdout is not None
        port = int(airflow.stdout.readline())
        store, other = (
            stack.enter_context(contextlib.closing(connect(EtcdSettings(endpoints=[etcd.endpoint])))) for _ in range(2)
        )
        _fill(store, options.keys)
        config = _configure(directory, etcd.endpoint, port, options.lease)
        witness = stack.enter_context(contextlib.closing(Witness(store)))
        floor = [_floor(store, other, witness) for _ in range(options.rounds * 4)]
        measured: dict[str, list[Measured]] = {end: [] for end in ENDS}
        partitions = map("handover-{}".format, count())
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("measuring", total=options.rounds * len(ENDS))
            leader = stack.enter_context(_watcher(config, directory, store))
            for _ in range(options.rounds):
                for end, number in ENDS.items():
                    standby = stack.enter_context(_watcher(config, directory, store))
                    _until_quiet(store)
                    measured[end].append(_end(leader, number, witness, store, next(partitions)))
                    leader.kill()
                    leader.wait()
                    leader = standby
                    progress.advance(task)
    _print(floor, measured, options)


def _end(
    leader: subprocess.Popen[str], number: signal.Signals, witness: Witness, store: Store, partition: str
) -> Measured:
    witness.forget()
    began = time.monotonic()
    leader.send_signal(number)
    gone = witness.first(lambda change: change.key == KEYS.leader and change.kv is None)
    value = json.dumps({"state": "success", "run_id": "r", "queued_at": "2026-11-20T00:00:00+00:00"}).encode()
    store.commit(Transaction((), (Put(KEYS.state(Target(PipelineRef("default", "A"), partition)), value),)))
    leads = witness.first(lambda change: change.key == KEYS.leader and change.kv is not None)
    wrote = witness.first(lambda change: change.key == KEYS.trigger(Target(PipelineRef("default", "D"), partition)))
    return Measured(gone - began, leads - began, wrote - began)


def _floor(store: Store, other: Store, witness: Witness) -> float:
    """Seconds from a revocation to another client's new key, seen by a third."""
    held, next_one = store.grant_lease(60), other.grant_lease(60)
    created = store.commit(Transaction((CreateRevisionIs(KEYS.leader, 0),), (Put(KEYS.leader, b"{}", held),)))
    ready = threading.Event()

    def succeed() -> None:
        with other.watch(KEYS.leader, from_revision=created.revision + 1) as watch:
            ready.set()
            while (batch := watch.receive(PATIENCE)) is not None:
                if any(change.kv is None for change in batch.changes):
                    other.commit(Transaction((CreateRevisionIs(KEYS.leader, 0),), (Put(KEYS.leader, b"{}", next_one),)))
                    return

    successor = threading.Thread(target=succeed)
    successor.start()
    assert ready.wait(PATIENCE)
    began_after = created.revision
    began = time.monotonic()
    store.revoke_lease(held)
    came = witness.first(
        lambda change: change.key == KEYS.leader and change.kv is not None and change.revision > began_after
    )
    successor.join()
    other.revoke_lease(next_one)
    return came - began


def _fill(store: Store, keys: int) -> None:
    """Put the ring's documents, and finished partitions until there are so many keys."""
    ring = Ring(PIPELINES)
    for owner, document in ring.documents().items():
        store.commit(Transaction((), (Put(KEYS.dependencies(owner), dump_publication(Publication(document, {}))),)))
    central = Publication(parse_document('{"D": "A"}', source="benchmark"), {})
    store.commit(Transaction((), (Put(KEYS.dependencies("default"), dump_publication(central)),)))
    partitions = range(max(1, keys // ring.keys_in_a_partition()))
    past = chain.from_iterable(ring.past_keys(partition(number)) for number in partitions)
    # Their states and records name invalid revisions; it only matters that nothing is due.
    while group := tuple(Put(kv.key, kv.value) for kv in islice(past, 120)):
        store.commit(Transaction((), group))


def _configure(directory: Path, etcd: str, airflow_port: int, lease: int) -> Path:
    config = directory / "coordinator.toml"
    config.write_text(
        f"""
        [etcd]
        endpoints = ["{etcd}"]
        [environments.default]
        url = "http://127.0.0.1:{airflow_port}"
        username = "admin"
        password_env = "BENCHMARK_PASSWORD"
        request_timeout = {lease / 2}
        [watcher]
        lease_ttl = {lease}
        follow_after = 600  # the runs of this stand-in never end, and none of them reports
        """
    )
    (directory / "dependencies.json").write_text('{"D": "A"}')
    return config


@contextlib.contextmanager
def _watcher(config: Path, directory: Path, store: Store) -> Iterator[subprocess.Popen[str]]:
    """A watcher that is warm: it has read and decided everything."""
    dependencies = str(directory / "dependencies.json")
    name = f"watcher-{time.monotonic_ns()}"
    with (directory / f"{name}.log").open("w") as log:
        arguments = ("watch", "--config", str(config), "--dependencies", dependencies, "--watcher-id", name)
        with _process("coordinator.cli", *arguments, stderr=log, env={"BENCHMARK_PASSWORD": "admin"}) as process:
            try:
                _await(
                    lambda: (kv := store.get(KEYS.watcher(name))) is not None and read_presence(kv.value).warm is True
                )
                yield process
            finally:
                if "BENCHMARK_LOGS" in os.environ:
                    process.kill()
                    process.wait()
                    sys.stderr.write((directory / f"{name}.log").read_text())


def _is_warm(store: Store, name: str) -> bool:
    presence = store.get(KEYS.watcher(name))
    return presence is not None and read_presence(presence.value).warm is True


@contextlib.contextmanager
def _process(
    *arguments: str, env: dict[str, str] | None = None, stdout: int | None = None, stderr: object = None
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=stdout,
        stderr=stderr,  # type: ignore[call-overload]
        text=True,
        env={**os.environ, **(env or {})},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _until_quiet(store: Store) -> None:
    """Wait until nothing has been written for a second: no presence, no heartbeat."""
    before = store.list(KEYS.leader).revision
    until = time.monotonic() + PATIENCE
    while True:
        time.sleep(1.0)
        now = store.list(KEYS.leader).revision
        if now == before:
            return
        assert time.monotonic() < until, "it never comes to rest"
        before = now


def _await(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "the watcher does not start"
        time.sleep(0.05)


def _print(floor: list[float], measured: dict[str, list[Measured]], options: argparse.Namespace) -> None:
    rows = []
    for end, results in measured.items():
        for name in ("gone", "leads", "wrote"):
            values = [getattr(result, name) for result in results]
            rows.append((end, name, statistics.median(values), max(values)))
    bare = statistics.median(floor)
    if options.json:
        print(json.dumps({"keys": options.keys, "lease": options.lease, "floor": bare, "rows": rows}))
        return
    table = Table("the leader is", "until", "median, s", "max, s", "times the floor", title=f"{options.keys} keys")
    table.add_row("(floor)", "another client has the key", f"{bare:.4f}", f"{max(floor):.4f}", "1")
    said = {"gone": "its key has gone", "leads": "the successor has the key", "wrote": "the successor's first write"}
    for end, name, median, longest in rows:
        ratio = f"{median / bare:.1f}" if end == "terminated" else ""
        table.add_row(end, said[name], f"{median:.3f}", f"{longest:.3f}", ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
