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

    def _spawn(self) -> None:
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
