"""Starts the sender of an outbox when there is none.

As a new program and never by fork alone: Airflow's scheduler has threads and connections that a forked child
would inherit broken, and the sender uses gRPC.
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
"""Seconds without another try after a sender that could not even start."""
_QUICK = 5.0
"""A sender that fails within so many seconds is taken for one that cannot start."""


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
        """Make sure that somebody delivers, now. Never waits for it.

        An error on the way is logged and not raised: the event is in the outbox, and the next one tries again.
        """
        self._ensure(renew=False)

    def renew(self) -> None:
        """Start a sender even if there is one: it may be a leftover of an earlier life of this Airflow, with
        that one's configuration. The newer one takes over. Otherwise as :meth:`wake`."""
        self._ensure(renew=True)

    def _ensure(self, *, renew: bool) -> None:
        if not self._starting.acquire(blocking=False):
            return  # another thread of the API server does the same at this moment
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
        """Whether the one that we started is alive; it may just not have come to listen yet."""
        if self._child is None:
            return False
        code = self._child.poll()  # also reaps it: the scheduler must not collect zombies
        if code is None:
            return True
        self._child = None
        # A negative code is a signal: somebody killed it, and the next one may well start.
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
                # -P: the working directory is Airflow's, and a file of a user there may be called grpc.py
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
                # Not our own output: it may be a pipe that breaks, or that somebody reads to its end, when we stop.
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
        except OSError as error:  # a full disk: delivering is what makes room on it
            log.warning("sender.without_log", place=str(path), error=str(error))
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
