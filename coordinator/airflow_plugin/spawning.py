"""Starts the sender of an outbox when there is none.

It starts a new program, and never only forks: Airflow's scheduler has threads and connections that would be broken in a
forked child, and the sender uses gRPC.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import structlog

from coordinator.airflow_plugin.identity import NO_AIRFLOW, AirflowIdentity
from coordinator.airflow_plugin.private import FILE, make_private_directory
from coordinator.airflow_plugin.wakeup_pipe import wake_up

log = structlog.get_logger(__name__)

LOG_NAME = "sender.log"
_LOG_LIMIT = 4 * 1024 * 1024
_PAUSE_AFTER_FAILURE = 10.0
"""Seconds until the next attempt after a sender that could not start."""
_QUICK = 5.0
"""A sender that fails within so many seconds counts as one that could not start."""


class SenderProcess:
    """The sender of one outbox, as seen by a process that writes to it.

    :param airflow: the Airflow that this process belongs to.
    """

    def __init__(self, directory: Path, airflow: AirflowIdentity = NO_AIRFLOW) -> None:
        self.directory = directory
        self._airflow = airflow
        self._starting = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._not_before = 0.0

    def wake(self) -> None:
        """Make sure that a sender delivers, now. Does not wait for it.

        Errors are logged and not raised: the event is in the outbox, and the next one tries again.
        """
        self._ensure(renew=False)

    def renew(self) -> None:
        """Start a sender even if there is one: it may be left over from an earlier start of this Airflow, with an old
        configuration. The newer one takes over. Otherwise as :meth:`wake`."""
        self._ensure(renew=True)

    def _ensure(self, *, renew: bool) -> None:
        if not self._starting.acquire(blocking=False):
            return  # another thread of the API server is doing the same
        try:
            if self._child_runs():
                wake_up(self.directory, client=os.getpid())
            elif renew or not wake_up(self.directory, client=os.getpid()):
                self._spawn()
        except OSError as error:
            log.exception(
                "sender.not_started",
                outbox=str(self.directory),
                error=str(error),
                remedy="events stay in the outbox; the next one tries again",
            )
        finally:
            self._starting.release()

    def _child_runs(self) -> bool:
        """Whether the sender that we started is alive; it may not listen yet."""
        if self._child is None:
            return False
        code = self._child.poll()  # also reaps it: no zombies in the scheduler
        if code is None:
            return True
        self._child = None
        # A negative code is a signal: it was killed, and the next one may start.
        if code > 0 and time.monotonic() - self._started_at < _QUICK:
            self._not_before = time.monotonic() + _PAUSE_AFTER_FAILURE
            log.error("sender.failed", code=code, see=str(self.directory / LOG_NAME))
        return False

    def _spawn(self) -> None:
        if time.monotonic() < self._not_before:
            return
        make_private_directory(self.directory)
        output = self._open_log()
        try:
            self._child = subprocess.Popen(
                # -P: the working directory is Airflow's, and may contain a user's file called grpc.py
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "coordinator.airflow_plugin.sender",
                    "--outbox",
                    str(self.directory),
                    "--client",
                    str(os.getpid()),
                    *self._airflow.as_arguments(),
                ],
                stdin=subprocess.DEVNULL,
                # Not our own output: it may be a pipe that breaks when we stop, or whose reader waits for its end.
                stdout=output,
                stderr=output,
                close_fds=True,
                start_new_session=True,
            )
        finally:
            os.close(output)
        self._started_at = time.monotonic()
        log.info("sender.started", outbox=str(self.directory), pid=self._child.pid)

    def _open_log(self) -> int:
        path = self.directory / LOG_NAME
        with suppress(FileNotFoundError):
            if path.stat().st_size > _LOG_LIMIT:
                os.replace(path, path.with_suffix(".log.1"))
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, FILE)
        except OSError as error:  # a full disk; delivering frees space
            log.warning("sender.without_log", place=str(path), error=str(error))
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
