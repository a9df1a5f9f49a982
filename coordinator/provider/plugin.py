"""The Airflow plugin: reports the start and the end of every DAG run, with no change to any DAG.

Airflow calls these hooks in the scheduler's main loop, before its commit, and in the API server when somebody
sets a run's state by hand. So a hook writes one small file and returns; everything slow is another process's.

This module is also imported in every task (Airflow loads all plugins there), so it imports next to nothing
until a hook is called that needs it.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

from airflow.sdk.plugins_manager import AirflowPlugin
from pluggy import HookimplMarker

if TYPE_CHECKING:
    from coordinator.provider.reporter import DagRunColumns, Reporter

log = logging.getLogger(__name__)

hookimpl = HookimplMarker("airflow")


@cache
def _reporter() -> Reporter:
    from coordinator.provider.reporter import Reporter

    return Reporter()


class RunStateListener:
    """Airflow's listener hooks.

    No exception leaves them: Airflow would swallow it, and skip the listeners of other plugins
    (airflow/models/dagrun.py, ``notify_dagrun_state_changed``).
    """

    @hookimpl
    def on_starting(self, component: object) -> None:
        """A scheduler, dag processor or triggerer starts: deliver what an earlier one left behind."""
        if type(component).__module__.startswith("airflow.sdk."):
            return  # a task: it reports nothing, and thousands of them start
        try:
            _reporter().resume()
        except Exception:  # it must not keep a component of Airflow from starting
            log.exception("coordinator: cannot resume the outbox; the next event of a DAG run tries again")

    @hookimpl
    def on_dag_run_running(self, dag_run: DagRunColumns) -> None:
        self._report(dag_run, "running")

    @hookimpl
    def on_dag_run_success(self, dag_run: DagRunColumns) -> None:
        self._report(dag_run, "success")

    @hookimpl
    def on_dag_run_failed(self, dag_run: DagRunColumns) -> None:
        self._report(dag_run, "failed")

    def _report(self, dag_run: DagRunColumns, state: str) -> None:
        try:
            _reporter().report(dag_run, state)
        except Exception:  # it must not break the scheduler, nor other plugins' listeners
            log.exception("coordinator: a DAG run's state %r was not reported", state)


class CoordinatorPlugin(AirflowPlugin):  # type: ignore[misc]  # Airflow is an optional dependency
    """Found through the entry point ``airflow.plugins``."""

    name = "coordinator"
    listeners = [RunStateListener()]  # noqa: RUF012 - the attribute's shape is Airflow's
