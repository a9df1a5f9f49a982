"""Which DAGs are partitioned: their runs take a ``partition_key`` (Airflow 3.3, ``airflow/timetables``).

A run must get its key with the request that creates it, and of a DAG that is not partitioned Airflow refuses one. So it
has to be known beforehand. The leader asks about all DAGs of the dependencies anyway, in the background, and asks again
every few minutes (``controller/leading/dag_checks``): what it hears is remembered here, so that no create waits for a
question. A DAG of which nothing has been heard lately is asked about before its run is created.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from coordinator.runners.airflow.answers import DagAnswer

BELIEVED_FOR = 900.0
"""Seconds for which an answer is believed. The leader asks three times as often."""


class PartitionedDags:
    """What an environment has said about its DAGs. Used from several threads.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[bool, float]] = {}

    def note(self, dags: Iterable[DagAnswer]) -> None:
        """Remember what the environment has just said about some DAGs."""
        with self._lock:
            now = self._clock()
            self._known.update((dag.dag_id, (dag.is_partitioned, now)) for dag in dags)

    def note_ordinary(self, dag_id: str) -> None:
        """A DAG is not partitioned: the environment has refused a key, or does not say what the DAG is."""
        with self._lock:
            self._known[dag_id] = False, self._clock()

    def is_partitioned(self, dag_id: str) -> bool | None:
        """Whether a DAG is partitioned; ``None``: nothing has been heard of it lately."""
        with self._lock:
            found = self._known.get(dag_id)
            return found[0] if found is not None and self._clock() - found[1] < BELIEVED_FOR else None
