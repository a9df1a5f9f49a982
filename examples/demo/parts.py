"""What the demo runs on: an etcd, one or two real Airflows with the plugin, and ``coordinator watch``.

All of it listens on 127.0.0.1 and keeps its files in one directory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.cli.failures import ExitCode
from coordinator.errors import CoordinatorError
from coordinator.model.references import PipelineRef
from coordinator.store.embedded import EmbeddedEtcd
from examples.demo.airflow import COMPONENTS, AirflowProcess
from examples.demo.interruption import heed
from examples.demo.orphan_guard import OrphanGuard

_BY_HAND_ONLY = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"}
"""The schedule of 01_pipeline would start waves beside the one that is shown."""

_WATCHER_PATIENCE = 10.0


class PartFailed(CoordinatorError):
    """A part of the demo did not start, or ended."""


@dataclass(slots=True)
class Parts:
    """What runs, and where.

    :ivar airflows: by the name of the environment.
    """

    directory: Path
    config: Path
    etcd: EmbeddedEtcd
    airflows: Mapping[str, AirflowProcess]
    watcher: subprocess.Popen[bytes] | None = None

    def check(self) -> None:
        """:raises PartFailed: a part has ended. :raises Interrupted: somebody wants the demo to stop."""
        heed()
        if (status := self.etcd.wait(0)) is not None:
            raise PartFailed(f"etcd ended with {status}; see {self.etcd.log_file}")
        if self.watcher is not None and (status := self.watcher.poll()) is not None:
            raise PartFailed(f"coordinator watch ended with {status}; see {self.directory}/watcher.log")
        for airflow in self.airflows.values():
            for component in COMPONENTS:
                if airflow.status_of(component) is not None:
                    raise PartFailed(f"{airflow.environment_name}: {airflow.how_it_ended(component)}")

    def each_airflow(self, act: Callable[[AirflowProcess], object]) -> None:
        """Do something with every Airflow at once."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(act, self.airflows.values()))

    def start_one(self, airflow: AirflowProcess) -> None:
        name, login = airflow.environment_name, f"user {airflow.username}  password {airflow.password}"
        print(f"Airflow {name} starts", flush=True)
        airflow.start(on_wait=self.check)
        print(f"Airflow {name} is up: {airflow.url}  {login}", flush=True)

    def run_by_the_clock(self) -> None:
        """From now on Airflow also starts runs by their schedules."""
        self.each_airflow(lambda airflow: airflow.restart_scheduler(dict.fromkeys(_BY_HAND_ONLY, "True")))

    def coordinator(self, *arguments: str, capture: bool = False) -> str:
        """Run a command of the coordinator; what it prints goes to the terminal, or is returned.

        :raises PartFailed: it could not do what it should.
        """
        done = subprocess.run(
            [*_COORDINATOR, *arguments, "--config", str(self.config)],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else None,
            text=True,
            check=False,
        )
        heed()  # a terminal sends Ctrl-C to the command too
        if done.returncode not in (ExitCode.OK, ExitCode.PROBLEM):  # the latter: it answers, and has found something
            raise PartFailed(f"coordinator {' '.join(arguments)}: expected exit code 0, found {done.returncode}")
        return done.stdout or ""

    def busy(self) -> list[str]:
        """What the coordinator still waits for or does, by its own account."""
        rows = json.loads(self.coordinator("status", "--json", capture=True))["pipelines"]
        return [f"{row['pipeline']} in {row['partition']} is {row['readiness']}: {row['says']}" for row in rows]


@contextmanager
def started(
    directory: Path,
    *,
    dags: Path,
    dependencies: str,
    pipelines: Sequence[PipelineRef],
    configuration: str = "",
    env: Mapping[str, str] | None = None,
) -> Iterator[Parts]:
    """Start everything; returns when Airflow shows its DAGs. Everything has ended afterwards.

    :param dags: the folder with a file for each of the pipelines.
    :param dependencies: the text of dependencies.json.
    :param pipelines: the DAGs, each in an Airflow of its environment.
    :param configuration: the text of more sections for coordinator.toml.
    :param env: more environment variables for the Airflows.
    """
    config, file = directory / "coordinator.toml", directory / "dependencies.json"
    file.write_text(dependencies, encoding="utf-8")
    airflows = {}
    for name in sorted({pipeline.environment for pipeline in pipelines}):
        home = directory / name
        (home / "dags").mkdir(parents=True)
        own = [pipeline.dag_id for pipeline in pipelines if pipeline.environment == name]
        for dag_id in own:
            shutil.copy(dags / f"{dag_id}.py", home / "dags")
        airflows[name] = AirflowProcess(
            home,
            dags_folder=home / "dags",
            environment_name=name,
            env={**_BY_HAND_ONLY, "COORDINATOR_CONFIG": str(config), **(env or {})},
            expected_dags=own,
        )
    # The last one started is the first one to end. etcd ends last: the plugin reports to it until its own end.
    with EmbeddedEtcd(directory / "etcd") as etcd, OrphanGuard() as guard:
        print(f"etcd is up: {etcd.endpoint}", flush=True)
        config.write_text(_configuration(directory, etcd, airflows) + configuration, encoding="utf-8")
        parts = Parts(directory, config, etcd, airflows)
        try:
            parts.each_airflow(parts.start_one)
            parts.watcher = guard.start(
                [*_COORDINATOR, "watch", "--config", str(config), "--dependencies", str(file)],
                log=directory / "watcher.log",
                env=_environment(),
            )
            yield parts
        finally:
            parts.each_airflow(lambda airflow: airflow.stop(patience=0))
            if parts.watcher is not None:
                guard.end(parts.watcher, patience=_WATCHER_PATIENCE)


_COORDINATOR = (sys.executable, "-P", "-m", "coordinator.cli")


def _environment() -> dict[str, str]:
    """A variable wins over the configuration: somebody's real etcd must not get a demo's triggers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COORDINATOR_")}


def _configuration(directory: Path, etcd: EmbeddedEtcd, airflows: Mapping[str, AirflowProcess]) -> str:
    lines = ["[etcd]", f'endpoints = ["{etcd.endpoint}"]']
    for name, airflow in airflows.items():
        password = directory / f"{name}.password"
        password.touch(mode=0o600)
        password.write_text(airflow.password, encoding="utf-8")
        lines += [
            f"[environments.{name}]",
            f'url = "{airflow.url}"',
            f'username = "{airflow.username}"',
            f"password_file = '{password}'",
            "max_in_flight = 1  # Airflow on SQLite bears no more",
        ]
    return "\n".join(lines) + "\n"
