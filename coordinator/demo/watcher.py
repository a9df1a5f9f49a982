"""``coordinator watch`` as a process: the real service, started as an operator starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from coordinator.demo.tether import Tether, end_group
from coordinator.errors import CoordinatorError

_ANSWER_LIMIT = 5.0
_STOP_PATIENCE = 10.0


class WatcherEnded(CoordinatorError):
    """The watcher ended by itself; the message quotes its log."""


@dataclass(frozen=True, slots=True)
class WatcherHealth:
    """What ``/metrics`` says, as far as the demo asks.

    :ivar revision: etcd revision up to which it has read.
    :ivar idle: nothing is queued, asked, sent or being written.
    :ivar problems: how many there are.
    """

    leads: bool
    idle: bool
    revision: int
    problems: int


class WatcherProcess:
    """One watcher, tied to this process by ``tether``.

    :param config: its coordinator.toml.
    :param listen: ``host:port`` of its ``/metrics``, as the configuration says.
    :param log: where its log lines go.
    """

    def __init__(self, *, config: Path, dependencies: Path, listen: str, log: Path, tether: Tether) -> None:
        self.log = log
        self._command = ["watch", "--config", str(config), "--dependencies", str(dependencies)]
        self._url = f"http://{listen}/metrics"
        self._tether = tether
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy on the way to 127.0.0.1

    def start(self) -> None:
        """Start it; :meth:`health` says when it leads."""
        # A variable would win over the configuration: somebody's real etcd must not get a demo's triggers.
        env = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATOR_")}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "coordinator.cli", *self._command],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us, not for it
            )
            self._tether.tie(self._process.pid)

    def health(self) -> WatcherHealth | None:
        """How it is doing; ``None`` while it does not answer. :raises WatcherEnded: it does no more."""
        self.check()
        try:
            text = self._session.get(self._url, timeout=_ANSWER_LIMIT).text
        except (requests.ConnectionError, requests.Timeout):
            return None
        said = {
            family.name: int(sum(sample.value for sample in family.samples))
            for family in text_string_to_metric_families(text)
        }
        return WatcherHealth(
            leads=said["coordinator_leader"] == 1,
            idle=said["coordinator_idle"] == 1,
            revision=said["coordinator_revision"],
            problems=said["coordinator_problems"],
        )

    def check(self) -> None:
        """:raises WatcherEnded: it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise WatcherEnded(
                f"expected the watcher to go on, found that it ended with {self._process.returncode}; "
                f"{self.log} ends with:\n{_last_lines(self.log)}"
            )

    def ask_to_stop(self) -> None:
        """SIGTERM: it ends what is under way, and resigns."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it, by force if it takes too long. Nothing happens if it was not started."""
        if self._process is not None:
            end_group(self._process, patience=_STOP_PATIENCE)
            self._tether.untie(self._process.pid)
            self._process = None
        self._session.close()


def _last_lines(path: Path, count: int = 10) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
