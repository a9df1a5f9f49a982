"""The machine on which somebody reads a page: an etcd, Airflows with the plugin, and a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from coordinator.commands.report import write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.reporters import ReporterStatus
from coordinator.model.runstate import RunState, RunStateDocument, State, read_run_state
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.runners.port import ObservedRun
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd, find_binary, free_port
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from tests.integration.documents.terminal import PATIENCE, Terminal
from tests.standin.airflow import USERNAME, StandInAirflow
from tests.worlds.simulated_airflow import logical_date_of, partition_of

PASSWORD = "..."
"""Of Airflow's user, as the pages write it."""


class Machine:
    """Use as a context manager.

    :param has_etcd: an etcd runs already; else the page starts one.
    :ivar airflows: a stand-in for each environment. What its runs do is reported as the plugin does.
    """

    def __init__(self, directory: Path, *, has_etcd: bool) -> None:
        self.directory, self._secrets = directory / "here", directory / "secrets"
        for one in (self.directory, self._secrets):
            one.mkdir()
        (self.directory / ".venv").symlink_to(sys.prefix)
        self._etcd = EtcdSettings(endpoints=[f"127.0.0.1:{free_port()}"])
        self.keys = Keys(self._etcd.prefix)
        self._store: EtcdStore | None = None
        with contextlib.ExitStack() as stack:
            if has_etcd:
                stack.enter_context(EmbeddedEtcd(directory / "etcd", port=self._port))
            self.airflows = {name: stack.enter_context(StandInAirflow()) for name in ("default", "team_b")}
            for environment, airflow in self.airflows.items():
                airflow.logins.users = {USERNAME: (PASSWORD, "admin")}
                airflow.on_state(lambda run, environment=environment: self._report(environment, run))
            self._stack = stack.pop_all()
        self.terminal = Terminal(self.directory, self._places(), [Path(sys.executable).parent, find_binary().parent])
        self.terminal.export(ETCDCTL_ENDPOINTS=self._etcd.endpoints[0], AIRFLOW_HOME=str(self.directory))

    @property
    def _port(self) -> int:
        return int(self._etcd.endpoints[0].rpartition(":")[2])

    def _places(self) -> dict[str, str]:
        """What the pages name, and where that is here: others may use the machine's own ports and directories."""
        return {
            "10.0.0.1:2379": "127.0.0.1:2379",
            "127.0.0.1:2379": self._etcd.endpoints[0],
            "coordinator etcd ": f"coordinator etcd --port {self._port} ",
            "coordinator ui ": "coordinator ui --listen 127.0.0.1:0 ",
            "http://127.0.0.1:8080": self.airflows["default"].base_url,
            "127.0.0.1:8600": "127.0.0.1:0",
            "/run/secrets/": f"{self._secrets}/",
            "/path/to/": f"{self.directory}/",
        }

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self.terminal.close()

    @property
    def store(self) -> EtcdStore:
        """A client of the etcd, which must run by now."""
        if self._store is None:
            self._store = connect(self._etcd)
            self._stack.callback(self._store.close)
        return self._store

    def plugin_reports(self, *environments: str) -> None:
        """The plugin is at work there, as far as etcd shows."""
        now = datetime.now(UTC)
        for environment in environments:
            said = ReporterStatus.model_validate(
                {"host": "airflow", "pid": 1, "since": now, "written_at": now, "version": "1"}
            )
            self.put(self.keys.reporter(environment, "plugin"), said.to_value())

    def runs(self, name: str, partition: str) -> None:
        """A DAG runs there as by its schedule, to its end."""
        pipeline = PipelineRef.parse(name)
        self.airflows[pipeline.environment].trigger_by_hand(
            pipeline.dag_id, f"scheduled__{partition}", logical_date=logical_date_of(partition)
        )
        self.await_that(lambda: self.has_ended(name, partition), f"{name} has run in {partition}")

    def has_ended(self, name: str, partition: str) -> bool:
        """And said so."""
        state = self.state(name, partition)
        return state is not None and state.is_terminal

    def state(self, name: str, partition: str) -> State | None:
        """As etcd knows it."""
        found = self.store.get(self.keys.state(Target(PipelineRef.parse(name), partition)))
        state = read_run_state(found.value) if found is not None else None
        return state.state if isinstance(state, RunState) else None

    def await_trigger(self, name: str, partition: str, status: Status, sequence: int) -> None:
        """Wait for the record of the trigger that has this number."""
        key = self.keys.trigger(Target(PipelineRef.parse(name), partition))

        def stands() -> bool:
            found = self.store.get(key)
            record = read_record(found.value) if found is not None else None
            return isinstance(record, TriggerRecord) and (record.status, record.sequence) == (status, sequence)

        self.await_that(stands, f"trigger {sequence} of {name} is {status}")

    def put(self, key: str, value: bytes) -> int:
        return self.store.commit(Transaction((), (Put(key, value),))).revision

    def configure(self, environment: str) -> None:
        """Append an environment to coordinator.toml."""
        with (self.directory / "coordinator.toml").open("a", encoding="utf-8") as file:
            file.write(
                f'\n[environments.{environment}]\nurl = "{self.airflows[environment].base_url}"\n'
                f'username = "{USERNAME}"\npassword_env = "AIRFLOW_DEFAULT_PASSWORD"\n'
            )

    def secret(self, name: str, value: str) -> None:
        """A file of /run/secrets."""
        (self._secrets / name).write_text(value, encoding="utf-8")
        (self._secrets / name).chmod(0o600)

    def await_that(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < until, f"not within {PATIENCE} s: {what}\n{self.terminal.serving()}"
            time.sleep(0.02)

    def _report(self, environment: str, run: ObservedRun) -> None:
        where = Target(PipelineRef(environment, run.dag_id), partition_of(run))
        document = RunStateDocument(
            state=run.state,
            run_id=run.run_id,
            queued_at=run.queued_at,
            end_date=run.end_date,
            observed_at=datetime.now(UTC),
        )
        write_report(self.store, self.keys, where, document)
