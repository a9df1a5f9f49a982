"""The scheduler of the stand-in: runs that begin and end by themselves, in a thread of its own."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from dataclasses import dataclass

from coordinator.model.runstate import State
from tests.airflow_model.runs import Airflow, Run


@dataclass(frozen=True, slots=True)
class Plan:
    """:ivar takes: seconds that a run takes; ``None``: it waits for somebody.

    :ivar ends: the state that it ends in.
    """

    takes: float | None = None
    ends: State = State.SUCCESS


class Scheduler:
    """:param lock: of the runs; every method wants it held.

    :ivar plans: by DAG.
    """

    def __init__(self, airflow: Airflow, lock: threading.RLock) -> None:
        self._airflow = airflow
        self._planned = threading.Condition(lock)
        self.plans: dict[str, Plan] = {}
        self._due: list[tuple[float, int, Run]] = []
        self._order = itertools.count()
        self._closed = False
        self._thread = threading.Thread(target=self._schedule, name="standin-scheduler", daemon=True)
        self._thread.start()

    def plan(self, run: Run) -> None:
        """A run is there, or another than it was."""
        plan = self.plans.get(run.dag_id)
        if plan is None or plan.takes is None or run.state.is_terminal or self._airflow.dags[run.dag_id].paused:
            return
        wait = plan.takes if run.state is State.RUNNING else 0.0
        heapq.heappush(self._due, (time.monotonic() + wait, next(self._order), run))
        self._planned.notify()

    def look_at(self, dag_id: str) -> None:
        """A DAG may be paused no longer: what is queued goes on."""
        for run in self._airflow.runs_of(dag_id):
            if run.state is State.QUEUED:
                self.plan(run)

    def close(self) -> None:
        with self._planned:
            self._closed = True
            self._planned.notify()
        self._thread.join(10)

    def _schedule(self) -> None:
        with self._planned:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._planned.wait(wait)
                    continue
                _, _, run = heapq.heappop(self._due)
                if self._airflow.runs.get((run.dag_id, run.run_id)) is not run:
                    continue  # Changed or deleted since: that has made its own plan.
                if run.state is State.RUNNING:
                    self._airflow.end(run.dag_id, run.run_id, self.plans[run.dag_id].ends)
                elif not self._airflow.dags[run.dag_id].paused:
                    self._airflow.begin(run.dag_id, run.run_id)
