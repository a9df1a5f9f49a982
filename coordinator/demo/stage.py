"""The stage: an etcd, a real Airflow with the plugin, and a watcher, in one directory and on 127.0.0.1.

All are started from the thread that calls :meth:`Stage.start`, and each ends with this process whatever way that
ends: etcd by Linux's parent death signal, the others by a :class:`Tether`.
"""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordinator.config.settings import EtcdSettings
from coordinator.demo.airflow import COMPONENTS, STEPS, AirflowProcess
from coordinator.demo.interruption import pause
from coordinator.demo.tether import Tether
from coordinator.demo.watcher import WatcherHealth, WatcherProcess
from coordinator.errors import ConfigurationError, CoordinatorError
from coordinator.model.references import DEFAULT_ENVIRONMENT
from coordinator.store.embedded import EmbeddedEtcd, EmbeddedEtcdError, find_binary, free_port

ETCD, WATCHER, AIRFLOW = "etcd", "watcher", "Airflow"
PARTS = {ETCD: 1, WATCHER: 1, AIRFLOW: len(STEPS)}
"""What is started, and in how many steps."""

NO_SCHEDULE = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"}
"""During the show nothing runs by the clock: 01_pipeline's minutes would run waves of their own beside it."""

_LEADS_WITHIN = 30.0
_LOOK_EVERY = 0.1
_REMEDY = "in a checkout: pip install '.[airflow,embedded]'"


class StageFailed(CoordinatorError):
    """A part of the demo did not start, or ended by itself."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a part has come.

    :ivar steps: how many of :data:`PARTS` are done.
    :ivar words: what is waited for; in the end, where it is.
    """

    part: str
    steps: int
    words: str


OnProgress = Callable[[Progress], None]


def check_extras() -> None:
    """:raises ConfigurationError: Airflow or an etcd is not installed."""
    try:
        # Its metadata, not an import: that takes seconds, and any folder named airflow could be imported.
        version = importlib.metadata.version("apache-airflow-core")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigurationError(f"the demo runs a real Airflow, and there is none here: {_REMEDY}") from None
    if not version.startswith("3."):
        raise ConfigurationError(f"the demo needs Airflow 3.3, found {version}: {_REMEDY}")
    try:
        find_binary()
    except EmbeddedEtcdError as error:
        raise ConfigurationError(f"the demo runs an etcd of its own: {error}; or all at once: {_REMEDY}") from error


class Stage:
    """Use :meth:`start`, and :meth:`close` whatever came of it.

    :param directory: for everything that is written.
    :param dags: Airflow's DAGs folder.
    :param dependencies: the file that the watcher publishes.
    """

    def __init__(self, directory: Path, *, dags: Path, dependencies: Path) -> None:
        self.directory = directory
        self.config = directory / "coordinator.toml"
        self._listen = f"127.0.0.1:{free_port()}"
        self._tether: Tether | None = None
        self._dependencies = dependencies
        self.etcd = EmbeddedEtcd(directory / "etcd")
        self.airflow = AirflowProcess(
            directory / "airflow",
            dags_folder=dags,
            env={
                **NO_SCHEDULE,
                "COORDINATOR_CONFIG": str(self.config),
                "COORDINATOR_DEPENDENCIES": str(dependencies),
            },
        )
        self._watcher: WatcherProcess | None = None

    @property
    def etcd_settings(self) -> EtcdSettings:
        return self.etcd.settings

    @property
    def health_url(self) -> str:
        """Where the watcher says how it is doing."""
        return f"http://{self._listen}/healthz"

    @property
    def watcher(self) -> WatcherProcess:
        assert self._watcher is not None
        return self._watcher

    def start(self, tell: OnProgress) -> None:
        """Start everything; returns when Airflow shows its DAGs and the watcher leads.

        :raises CoordinatorError: a part did not start; the message quotes its log.
        """
        tell(Progress(ETCD, 0, "starts"))
        self.etcd.start()
        tell(Progress(ETCD, 1, self.etcd.endpoint))
        self._configure()
        tell(Progress(WATCHER, 0, "starts"))
        self._tether = Tether()
        self._watcher = WatcherProcess(
            config=self.config,
            dependencies=self._dependencies,
            listen=self._listen,
            log=self.directory / "watcher.log",
            tether=self._tether,
        )
        self._watcher.start()
        leading = _Leading(self._watcher, tell)

        def on_wait(step: str) -> None:
            tell(Progress(AIRFLOW, STEPS.index(step), f"until {step}"))
            leading.look()

        self.airflow.start(on_wait=on_wait)
        tell(Progress(AIRFLOW, len(STEPS), self.airflow.url))
        until = time.monotonic() + _LEADS_WITHIN
        while not leading.look():
            if time.monotonic() > until:
                raise StageFailed(f"the watcher does not lead within {_LEADS_WITHIN:.0f} s; see {self._watcher.log}")
            pause(_LOOK_EVERY)

    def check(self) -> None:
        """:raises CoordinatorError: something that should go on has ended."""
        status = self.etcd.wait(0)
        if status is not None:
            raise StageFailed(f"etcd ended by itself with status {status}; see {self.etcd.log_file}")
        for component in COMPONENTS:
            if self.airflow.status_of(component) is not None:
                raise StageFailed(self.airflow.how_it_ended(component))
        self.watcher.check()

    def run_by_the_clock(self) -> None:
        """From now on Airflow starts runs by their schedules too."""
        self.airflow.restart_scheduler(dict.fromkeys(NO_SCHEDULE, "True"))

    def close(self) -> None:
        """End everything that was started."""
        if self._watcher is not None:
            self._watcher.ask_to_stop()
        # At once: nobody will use it again, and its ends in good order take seconds. etcd goes last, because
        # the plugin's deliverer waits for it with what is left to report.
        self.airflow.stop(patience=0)
        if self._watcher is not None:
            self._watcher.stop()
        if self._tether is not None:
            self._tether.close()
        self.etcd.stop()

    def _configure(self) -> None:
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(self.airflow.password, encoding="utf-8")
        self.config.write_text(
            f"""\
[etcd]
endpoints = [{_toml(self.etcd.endpoint)}]

[environments.{DEFAULT_ENVIRONMENT}]
kind = "airflow"
url = {_toml(self.airflow.url)}
username = {_toml(self.airflow.username)}
password_file = {_toml(str(password))}
max_in_flight = 1  # SQLite bears no more

[http]
listen = {_toml(self._listen)}
""",
            encoding="utf-8",
        )


def _toml(text: str) -> str:
    """A TOML string: JSON's are of the same form."""
    return json.dumps(text, ensure_ascii=False)


class _Leading:
    """Looks whether the watcher leads, and tells it once."""

    def __init__(self, watcher: WatcherProcess, tell: OnProgress) -> None:
        self._watcher = watcher
        self._tell = tell
        self._leads = False

    def look(self) -> bool:
        """:raises WatcherEnded: it will not."""
        if self._leads:
            self._watcher.check()
            return True
        health: WatcherHealth | None = self._watcher.health()
        if health is not None and health.problems:
            raise StageFailed(f"the watcher cannot use what it found; {self._watcher.log} says why")
        self._leads = health is not None and health.leads
        if self._leads:
            self._tell(Progress(WATCHER, 1, "leads"))
        return self._leads
