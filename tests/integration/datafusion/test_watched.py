"""Pipelines of Data Fusion from end to end: a watcher process, a real etcd, and a CDAP that lists runs late."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.commands.report import make_document, write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.standin.cdap import StandInCdap
from tests.standin.faults import Fault

PARTITION = "2026-11-20"
CHAIN = {"fusion/first": "fusion/source", "fusion/second": {"upstream": "fusion/first", "conf": {"table": "a"}}}

pytestmark = pytest.mark.promise("datafusion")


class Watched:
    """An environment ``fusion`` with the pipelines ``source``, ``first`` and ``second``, and its watchers.

    Nobody starts ``source``: tests report it.
    """

    def __init__(self, etcd: EtcdSettings, cdap: StandInCdap, directory: Path) -> None:
        self.cdap = cdap
        self.directory = directory
        self.keys = Keys(etcd.prefix)
        self.store = connect(etcd)
        self.services: list[Service] = []
        self.config = directory / "coordinator.toml"
        self.file = directory / "dependencies.json"
        self.file.write_text(json.dumps(CHAIN))
        lines = [
            "[etcd]",
            f"endpoints = {json.dumps(etcd.endpoints)}",
            f"prefix = {json.dumps(etcd.prefix)}",
            "[watcher]",
            "lease_ttl = 3",
            "follow_after = 0.1",
            "blocked_retry = 0.5",
            "backoff_max = 0.5",
            "[environments.fusion]",
            'kind = "datafusion"',
            f"url = {json.dumps(cdap.url)}",
            'login = "none"',
            'listed_within = "2 seconds"',
            "request_timeout = 1.9",
        ]
        for name in ("source", "first", "second"):
            lines += [f"[environments.fusion.pipelines.{name}]", f'app = "{name}"']
        self.config.write_text("\n".join(lines) + "\n")

    def close(self) -> None:
        for service in self.services:
            service.end()
        self.store.close()

    def serve(self) -> Service:
        """Start a watcher, and wait until it leads and has published the file."""
        log = self.directory / f"watcher-{len(self.services) + 1}.log"
        service = Service(self.config, "--dependencies", str(self.file), log=log, module=("coordinator.cli",))
        self.services.append(service)
        until(lambda: service.is_ready() and service.leads(), "the watcher leads")
        until(lambda: self.store.get(self.keys.dependencies("default")) is not None, "the file is published")
        return service

    def complete(self, *, attempt: int = 1) -> None:
        """Report a success of ``source``."""
        document = make_document("success", run_id="by hand", attempt=attempt)
        write_report(self.store, self.keys, _target("source"), document)

    def record(self, name: str) -> TriggerRecord | None:
        found = self.store.get(self.keys.trigger(_target(name)))
        record = read_record(found.value) if found is not None else None
        assert record is None or isinstance(record, TriggerRecord)
        return record

    def is_done(self, name: str) -> bool:
        record = self.record(name)
        return record is not None and record.status is Status.DONE

    def have_run(self) -> tuple[int, int]:
        """How often each of the two was started."""
        return len(self.cdap.runs_of("first")), len(self.cdap.runs_of("second"))


def _target(name: str) -> Target:
    return Target(PipelineRef("fusion", name), PARTITION)


@pytest.fixture
def watched(etcd_settings: EtcdSettings, cdap: StandInCdap, tmp_path: Path) -> Iterator[Watched]:
    for name in ("first", "second"):
        cdap.app(name, takes=0.5)
    cdap.listed_after = 0.5
    watched = Watched(etcd_settings, cdap, tmp_path)
    yield watched
    watched.close()


@pytest.mark.slow
def test_a_chain_of_pipelines_runs_once_per_wave(watched: Watched) -> None:
    watched.serve()
    for wave in (1, 2):
        watched.complete(attempt=wave)
        until(lambda: watched.have_run() == (wave, wave), "both have run")  # noqa: B023 - called in this turn
        until(lambda: watched.is_done("second"), "the wave is done")
    first, again = watched.cdap.runs_of("second")
    assert first.arguments["table"] == "a"
    assert first.arguments["coordinator.partition"] == PARTITION
    assert first.arguments["coordinator.run_id"] == again.arguments["coordinator.run_id"]
    assert first.arguments["coordinator.token"] != again.arguments["coordinator.token"]


@pytest.mark.slow
@pytest.mark.promise("kill")
@pytest.mark.parametrize("wave", [1, 2])
@pytest.mark.parametrize(("kind", "arrives"), [("runs", True), ("start", False), ("start", True)])
def test_a_watcher_that_is_killed_at_any_step_of_a_start_starts_it_once(
    watched: Watched, kind: str, arrives: bool, wave: int
) -> None:
    """The second wave is a clear: another attempt."""
    first = watched.serve()
    if wave == 2:
        watched.complete()
        until(lambda: watched.is_done("second"), "the first wave is done")
    released = threading.Event()
    fault = Fault.withhold(released) if arrives else Fault.lose(released)
    watched.cdap.faults[kind].append(fault)
    watched.complete(attempt=wave)
    until(fault.met.is_set, "the request is under way")
    first.kill()
    released.set()
    watched.serve()
    until(lambda: watched.have_run() == (wave, wave), "the chain has run")
    until(lambda: watched.is_done("second"), "the wave is done")
    assert watched.have_run() == (wave, wave)
