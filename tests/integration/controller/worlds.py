"""Worlds for these tests: environments that do not report or report in their own way, and watchers as processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef
from coordinator.model.trigger import Status
from coordinator.model.view import Readiness
from coordinator.reading.reading import read
from coordinator.runners.port import ObservedRun
from coordinator.store.port import Put, Transaction
from tests.integration.controller.service import Service, write_config
from tests.integration.controller.waiting import until
from tests.standin.airflow import StandInAirflow
from tests.worlds.real import AT_ONCE, RealWorld, _names_in
from tests.worlds.world import PARTITION

Reporter = Callable[[ObservedRun], None]


class FaultyWorld(RealWorld):
    """The real world, with more that can go wrong in it.

    :ivar takes: seconds that runs take by themselves.
    """

    def __init__(self, etcd: EtcdSettings, directory: Path) -> None:
        self._silent: set[str] = set()
        self._reporters: dict[str, Reporter] = {}
        super().__init__(etcd, directory)
        self.directory = directory
        self.takes = AT_ONCE

    def __enter__(self) -> Self:
        return self

    def _declare(self, name: str) -> None:
        airflow, dag_id = self._of(name)
        airflow.dag(dag_id, auto=None if name in self._by_hand else self.takes)

    @property
    def file(self) -> Path:
        """dependencies.json."""
        return self._file

    def config(self) -> Path:
        """A coordinator.toml of this world, for the command line and for watchers as processes."""
        return write_config(self.directory / "coordinator.toml", self.settings)

    def silence(self, *environments: str) -> None:
        self._silent.update(environments)

    def report_by(self, name: str, reporter: Reporter) -> None:
        """The runs of this pipeline are reported in a way of its own. It hears of no ``queued``."""
        self._reporters[name] = reporter

    def put(self, key: str, value: bytes) -> int:
        """As ``etcdctl put``. Returns the revision."""
        revision = self.store.commit(Transaction((), (Put(key, value),))).revision
        self.watermark = max(self.watermark, revision)
        return revision

    def add_environment(self, name: str) -> StandInAirflow:
        """Watchers that start from now on know another environment."""
        airflow = self.airflows[name] = self._stack.enter_context(StandInAirflow())
        self._reported[name] = 0
        airflow.on_state(lambda run: self._report(name, run), queued=True)
        like = self.settings.environments["default"].model_copy(update={"url": airflow.base_url})
        environments = {**self.settings.environments, name: like}
        self.settings = self.settings.model_copy(update={"environments": environments})
        return airflow

    def complete(self, name: str, *, partition: str = PARTITION, wave: int = 1) -> None:
        """The source runs: in the first wave for the first time, then because a person has cleared it."""
        self.by_hand(name)
        if wave == 1:
            self.trigger(name, partition=partition)
        else:
            self.clear(name, partition=partition)
        self.run(name, partition=partition)

    def until_done(self, *names: str, partition: str = PARTITION, runs: int) -> None:
        """Wait until each has run so often, and its record says ``done``."""

        def done() -> bool:
            return all(self.runs(name, partition=partition) >= runs for name in names) and all(
                (record := self.record(name, partition=partition)) is not None and record.status is Status.DONE
                for name in names
            )

        until(done, f"{', '.join(names)} done, each for the {runs}th time")

    def counts(self, *names: str, partition: str = PARTITION) -> dict[str, int]:
        """How often each has run."""
        return {name: self.runs(name, partition=partition) for name in names}

    def identities(self, *names: str) -> dict[str, list[tuple[str, object]]]:
        """run_id and logical date of every run of each."""
        return {name: [(run.run_id, run.logical_date) for run in self._runs_of(name)] for name in names}

    def _runs_of(self, name: str) -> list[ObservedRun]:
        airflow, dag_id = self._of(name)
        return airflow.runs(dag_id)

    def _report(self, environment: str, run: ObservedRun) -> None:
        reporter = self._reporters.get(str(PipelineRef(environment, run.dag_id)))
        if reporter is None and environment not in self._silent:
            super()._report(environment, run)
            return
        if reporter is not None and run.state != "queued":
            reporter(run)
        self._reported[environment] += 1


class ServedWorld(FaultyWorld):
    """The watchers are processes: ``coordinator watch``. There may be several, or none."""

    def __init__(self, etcd: EtcdSettings, directory: Path) -> None:
        super().__init__(etcd, directory)
        self.services: list[Service] = []

    def __exit__(self, *details: object) -> None:
        for service in self.services:
            service.end()
        super().__exit__(*details)

    def dependencies(self, document: Mapping[str, Any]) -> None:
        """Write the file; watchers publish it."""
        for name in _names_in(document):
            self._declare(name)
        written = self.file.with_name(f"{self.file.name}.new")
        written.write_text(json.dumps(document))
        written.replace(self.file)  # a watcher reads all of it or nothing

    def launch(self, *arguments: str, module: Sequence[str] = ("coordinator.cli",)) -> Service:
        """Start a watcher.

        :param arguments: more for ``coordinator watch``.
        :param module: what is run in place of the command line, with its first arguments.
        """
        service = Service(
            self.config(),
            "--dependencies",
            str(self.file),
            *arguments,
            log=self.directory / f"watcher-{len(self.services) + 1}.log",
            module=module,
        )
        self.services.append(service)
        return service

    def serve(self, *arguments: str, leads: bool = True) -> Service:
        """Start a watcher, and wait.

        :param leads: until it leads and has published the file; else until it follows etcd.
        """
        service = self.launch(*arguments)
        if leads:
            until(lambda: service.is_ready() and service.leads(), "the watcher leads")
            until(lambda: self.store.get(self.keys.dependencies("default")) is not None, "the file is published")
        else:
            until(service.is_ready, "the watcher follows etcd")
        return service

    def until_ran(self, expected: Mapping[str, int], *, limit: float = 60.0) -> None:
        """Wait until each has run so often at least, and nothing is due any more."""

        def ran() -> bool:
            enough = all(self.runs(name) >= runs for name, runs in expected.items())
            return enough and self.airflows_rest() and self.nothing_is_due()

        until(ran, f"each has run: {expected}", limit=limit, every=0.1)

    def leader(self) -> Service | None:
        """The watcher that leads and has read all."""
        for service in self.services:
            if service.is_running() and service.is_ready() and service.leads():
                return service
        return None

    def start_watcher(self) -> None:
        self.serve()

    def stop_watcher(self) -> None:
        for service in self.services:
            service.kill()

    def _rests(self) -> bool:
        if not self.airflows_rest():
            return False
        newest = max((item.mod_revision for item in self.store.list(self.keys.root).items), default=0)
        leader = self.leader()
        if leader is None:
            return False
        metrics = leader.metrics()
        is_idle, revision = metrics.value("idle") == 1, metrics.value("revision")
        return is_idle and revision >= max(newest, self.watermark) and self.nothing_is_due()

    def airflows_rest(self) -> bool:
        """No run waits or goes on by itself, and all that happened has been reported."""
        self.watcher = None
        return super()._rests()

    def nothing_is_due(self) -> bool:
        """What stands in etcd asks for nothing that could be done."""
        reading = read(self.store, self.keys)
        return all(reading.propagation.readiness(at) is not Readiness.BUSY for at in reading.propagation.unsettled())
