"""The sender of one environment's outbox, as the scheduler of that Airflow starts it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from coordinator.airflow_plugin.spawning import SenderProcess

VARIABLE = "COORDINATOR_REPORTER__ENVIRONMENT"
_one_at_a_time = threading.Lock()
"""A sender inherits the variables of this process, in which several environments are played."""


class Sender(SenderProcess):
    """:param environment: the one that it reports for; it parks the events of any other."""

    def __init__(self, directory: Path, environment: str) -> None:
        super().__init__(directory)
        self._environment = environment
        self._has_ended = False

    def end(self) -> None:
        """Kill it for good: what is reported from now on starts no other one."""
        with self._starting:
            self._has_ended = True
            if self._child is not None:
                self._child.kill()
                self._child.wait(10)

    def _spawn(self) -> None:
        if self._has_ended:
            return
        with _one_at_a_time:
            before = os.environ.get(VARIABLE)
            os.environ[VARIABLE] = self._environment
            try:
                super()._spawn()
            finally:
                if before is None:
                    del os.environ[VARIABLE]
                else:
                    os.environ[VARIABLE] = before
