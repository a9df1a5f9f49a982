"""A stage whose listeners are processes of their own, with outboxes on disks that can be filled up."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from coordinator.airflow_plugin.outbox import LOCK_NAME, Outbox
from coordinator.runners.port import ObservedRun
from tests.faults.listener import KEPT, LOST, line_about
from tests.faults.stage import Stage

SIZE = 256 * 1024
"""Bytes of a disk: some dozens of events."""

_WITH_OWN_DISK = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
_MOUNT = f'mount -t tmpfs -o size={SIZE},mode=0700 outbox "$0" && exec "$@"'


class Listener:
    """One :mod:`tests.faults.listener`, from outside. Starts with its construction; :meth:`close` it in the end.

    Its outbox is a small file system of its own where user namespaces are allowed; elsewhere it is an ordinary
    directory, and a full disk is a limit of 0 bytes to what it and its sender write to any file.

    :ivar lost: why, for each state of a run that could not be kept.
    """

    def __init__(self, directory: Path, environment: str) -> None:
        directory.mkdir()
        self._directory = directory
        self._has_own_disk = _may_mount(directory)
        self._log = directory.with_name(f"{directory.name}.log")
        command = [sys.executable, "-m", "tests.faults.listener"]
        if self._has_own_disk:
            command = [*_WITH_OWN_DISK, _MOUNT, str(directory), *command]
        variables = {
            "AIRFLOW_HOME": str(directory),
            "COORDINATOR_REPORTER__ENVIRONMENT": environment,
            "COORDINATOR_REPORTER__OUTBOX": str(directory),
        }
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                env={**os.environ, **variables},
            )
        self.lost: list[str] = []

    @property
    def outbox(self) -> Outbox:
        """To look into, from outside."""
        return Outbox(self._place)

    def tell(self, run: ObservedRun) -> None:
        """A run has changed. Returns when the listener has done what it does."""
        self._stdin.write(line_about(run))
        self._stdin.flush()
        answer = self._stdout.readline().strip()
        assert answer.startswith((KEPT, LOST)), f"the listener answered {answer!r}: {self._log.read_text()[-3000:]}"
        if answer.startswith(LOST):
            self.lost.append(answer.removeprefix(LOST))

    def fill(self) -> None:
        """Nothing more fits on its disk."""
        if not self._has_own_disk:
            self._limit(0)
            return
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))

    def free(self) -> None:
        """There is room again."""
        if self._has_own_disk:
            self._ballast.unlink(missing_ok=True)
        else:
            self._limit(resource.RLIM_INFINITY)

    def close(self) -> None:
        sender = self._sender()
        if sender is not None:
            os.kill(sender, signal.SIGKILL)
        self._process.kill()
        self._process.wait(10)
        self._stdin.close()
        self._stdout.close()

    @property
    def _place(self) -> Path:
        """The outbox, as it is seen from outside."""
        return Path(f"/proc/{self._process.pid}/root{self._directory}") if self._has_own_disk else self._directory

    @property
    def _ballast(self) -> Path:
        return self._place / "ballast"

    @property
    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _stdout(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _limit(self, size: int) -> None:
        for pid in filter(None, (self._process.pid, self._sender())):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def _sender(self) -> int | None:
        """The sender of this very outbox, if it runs."""
        try:
            pid = int((self._place / LOCK_NAME).read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self._directory).encode() in command.split(b"\0") else None


class ListeningStage(Stage):
    """:ivar listeners: by environment."""

    def _build_reporters(self, stack: contextlib.ExitStack) -> None:
        super()._build_reporters(stack)
        self.listeners: dict[str, Listener] = {}
        for name in self.airflows:
            self.listeners[name] = Listener(self.directory / f"disk-{name}", name)
            stack.callback(self.listeners[name].close)
            self.outboxes[name] = self.listeners[name].outbox

    def _report(self, environment: str, run: ObservedRun) -> None:
        self.listeners[environment].tell(run)
        self._reported[environment] += 1


def _may_mount(directory: Path) -> bool:
    """Whether we may have a file system of our own. :param directory: where it is tried, out of everybody's sight."""
    try:
        tried = subprocess.run(
            [*_WITH_OWN_DISK, _MOUNT, str(directory), "true"], capture_output=True, timeout=10, check=False
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0
