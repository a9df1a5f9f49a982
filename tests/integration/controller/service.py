"""The watcher as it runs in service: a process, started, watched through its log and its health, and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from pydantic import BaseModel

from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from coordinator.model.durations import format_duration
from coordinator.reading.reading import read
from coordinator.store.connection import connect
from coordinator.store.embedded import free_port
from coordinator.store.keys import Keys
from coordinator.store.presence import read_presence
from tests.metrics import Scrape, scrape

LONGEST = "150"
"""Seconds after which a watcher ends by itself, whatever has become of the test that started it."""


def write_config(path: Path, settings: Settings) -> Path:
    """Write the settings as a coordinator.toml."""
    sections: dict[str, BaseModel] = {
        "etcd": settings.etcd,
        "watcher": settings.watcher,
        "retention": settings.retention,
        "publication": settings.publication,
    }
    sections |= {f"environments.{name}": environment for name, environment in settings.environments.items()}
    lines = []
    for name, section in sections.items():
        values = section.model_dump(exclude_none=True)
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value, default=_text)}" for key, value in values.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _text(value: Path | timedelta) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)


class Service:
    """One ``coordinator watch``. Starts with its construction; :meth:`end` it whatever happens.

    :param log: the file that its log lines go to.
    :param address: ``host:port`` to listen on; a free one without.
    :param module: what is run in place of the command line, with its first arguments.
    """

    def __init__(
        self,
        config: Path,
        *arguments: str,
        log: Path,
        address: str | None = None,
        watcher_id: str | None = None,
        module: Sequence[str] = ("coordinator.cli",),
    ) -> None:
        self.watcher_id = watcher_id or f"watcher-{uuid.uuid4().hex[:8]}"
        self.address = address or f"127.0.0.1:{free_port()}"
        self._config = config
        self._log = log
        if "--max-runtime" not in arguments:
            arguments = (*arguments, "--max-runtime", LONGEST)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATOR_")}
        command = [sys.executable, "-m", *module, "watch"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--config", str(config), "--watcher-id", self.watcher_id, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**environment, "COORDINATOR_HTTP__LISTEN": self.address},
            )

    def is_running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        if self.is_running():
            self.process.kill()
        self.process.wait(10)

    def terminate(self) -> None:
        """SIGTERM. Wait for the end with :meth:`wait`."""
        self.process.terminate()

    def wait(self, limit: float = 20.0) -> int:
        """Its exit status. :raises subprocess.TimeoutExpired: it goes on."""
        return self.process.wait(limit)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End it, whatever it does."""
        self.kill()

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server. :raises requests.ConnectionError: it does not listen (yet)."""
        with requests.Session() as session:
            session.trust_env = False  # pytest changes the environment while other threads would read it
            answer = session.get(f"http://{self.address}{path}", timeout=5)
        return answer.status_code, answer.text.removesuffix("\n")

    def metrics(self) -> Scrape:
        """:raises requests.ConnectionError: it does not listen (yet)."""
        return scrape(f"http://{self.address}")

    def is_ready(self) -> bool:
        assert self.is_running(), f"{self.watcher_id} ended with {self.process.returncode}:\n{self.log()[-3000:]}"
        try:
            return self.get("/readyz")[0] == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def leads(self) -> bool:
        return self.metrics().value("leader") == 1

    def revision(self) -> int:
        """Up to which it has read."""
        return int(self.metrics().value("revision"))

    def problems(self) -> dict[str, str]:
        """What ``coordinator status`` shows of it, and of what all watchers read."""
        settings = load_settings(self._config)
        keys = Keys(settings.etcd.prefix)
        with closing(connect(settings.etcd)) as store:
            reading = read(store, keys)
            own = store.get(f"{keys.watchers}{self.watcher_id}")
        found = reading.problems | dict(reading.cache.problems)
        if own is not None:
            presence = read_presence(own.value)
            found |= presence.problems or {}
            if presence.file is not None and presence.file.problem is not None:
                found["dependencies file"] = presence.file.problem
        return found

    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines of an event."""
        entries = (json.loads(line) for line in self.log().splitlines() if line.startswith("{") and line.endswith("}"))
        return [entry for entry in entries if entry["event"] == event]
