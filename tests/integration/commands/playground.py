"""Commands to start: short programs on this host, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.runners.command.atomic import read_whole
from coordinator.runners.command.processes import is_alive
from coordinator.runners.command.settings import CommandSettings

NOTE = 'echo "$COORDINATOR_RUN_ID $COORDINATOR_ATTEMPT" >> "$NOTES"'
"""What each command does first: so its executions can be counted."""


@dataclass(frozen=True)
class Commands:
    """An environment of the kind ``command`` in a directory of its own.

    :ivar directory: exists, and is empty at first.
    :ivar notes: a line for each execution.
    """

    directory: Path
    notes: Path

    def settings(self, **changes: Any) -> CommandSettings:
        """Its settings, with four commands. ``gated`` goes on until the file ``gate`` beside the notes exists."""
        gate = self.notes.with_name("gate")
        scripts = {
            "quick": NOTE,
            "slow": f"{NOTE}; exec sleep 60",
            "failing": f"{NOTE}; echo it fails; exit 3",
            "gated": f'{NOTE}; while ! [ -e "{gate}" ]; do sleep 0.05; done',
        }
        given = {
            "kind": "command",
            "host": socket.gethostname(),
            "directory": self.directory,
            "commands": {
                name: {"argv": ["/bin/sh", "-c", script], "env": {"NOTES": str(self.notes)}}
                for name, script in scripts.items()
            },
            **changes,
        }
        return CommandSettings.model_validate(given)

    def executions(self) -> list[str]:
        """The run_id and attempt of each execution."""
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def open_gate(self) -> None:
        self.notes.with_name("gate").touch()

    def attempts(self) -> list[Path]:
        """The directories of all attempts."""
        return sorted(one.parent for one in self.directory.glob("runs/*/*/*/*/request.json"))

    def processes(self, name: str) -> Iterator[int]:
        """The numbers of the supervisors (``supervisor.json``) or commands (``process.json``) that are alive."""
        for attempt in self.attempts():
            noted = read_whole(attempt / name)
            if noted is not None and is_alive(process := json.loads(noted)["process"]):
                yield int(process["pid"])

    def end(self) -> None:
        """End everything that was started here."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            alive = [*self.processes("supervisor.json"), *self.processes("process.json")]
            if not alive:
                return
            for pid in alive:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.02)
        raise AssertionError(f"still alive: {alive}")
