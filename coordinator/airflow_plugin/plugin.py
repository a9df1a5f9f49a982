"""The Airflow plugin: reports the start and the end of every DAG run, and asset events, with no change to any DAG.

Airflow calls these hooks in the scheduler's main loop, before its commit, and in the API server when somebody sets a
run's state by hand. So a hook writes one small file and returns; another process does everything slow.

This module is also imported in every task (Airflow loads all plugins there), so it imports almost nothing until a hook
needs it.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from pluggy import HookimplMarker

try:
    from airflow.sdk.plugins_manager import AirflowPlugin
except ModuleNotFoundError:
    from airflow.plugins_manager import AirflowPlugin

    _AIRFLOW_2 = True
else:
    _AIRFLOW_2 = False

if TYPE_CHECKING:
    from coordinator.airflow_plugin.identity import AirflowIdentity
    from coordinator.airflow_plugin.reporter import DagRunColumns, EmittedAsset, Reporter
    from coordinator.model.assets.events import AssetEventDocument

log = logging.getLogger(__name__)

hookimpl = HookimplMarker("airflow")


@cache
def _reporter() -> Reporter:
    from coordinator.airflow_plugin.reporter import Reporter

    return Reporter(_airflow())


def _airflow() -> AirflowIdentity:
    """The version and address of this Airflow. Airflow has read its configuration before it loads plugins."""
    from coordinator.airflow_plugin.identity import AirflowIdentity

    try:
        from airflow import __version__
        from airflow.configuration import conf

        section = "webserver" if _AIRFLOW_2 else "api"
        url = conf.get(section, "base_url", fallback=None) or None
        # An address with a password in it must not get into etcd.
        return AirflowIdentity(version=__version__, url=None if url is None or "@" in url else url)
    except Exception:  # it is only shown to people
        log.warning("coordinator.airflow_unknown", exc_info=True)
        return AirflowIdentity()


def _is_scheduler() -> bool:
    """Whether this process is ``airflow scheduler``, the only component that reports runs as long as it lives. The Job
    that the hook gets has no type yet (airflow/jobs/job.py, ``Job.__init__``)."""
    return "scheduler" in sys.argv[1:2]


def _runs_a_task(component: object, started_in: int | None) -> bool:
    """Whether this process runs a task: it reports nothing, and there are thousands of them.

    Airflow 2 gives the hook the same Job for a task as for a scheduler, in a process of its own
    (``airflow tasks run``), in a worker's child, or in one that the scheduler has forked, with the same arguments.

    :param started_in: the process in which a component has started before; a fork inherits it.
    """
    module = type(component).__module__
    if not _AIRFLOW_2:
        return module.startswith("airflow.sdk.")
    is_command = module == "airflow.cli.commands.task_command" or sys.argv[1:2] in (["tasks"], ["celery"])
    return is_command or started_in not in (None, os.getpid())


def keep_event(event_id: str, document: AssetEventDocument) -> None:
    """Keep an asset event that a task emits in the outbox, and start the sender that delivers it.

    :raises OSError: it could not be written.
    """
    _reporter().keep(event_id, document)


class RunStateListener:
    """Airflow's listener hooks.

    No exception leaves them: Airflow would swallow it, and skip the listeners of other plugins
    (airflow/models/dagrun.py, ``notify_dagrun_state_changed``).
    """

    def __init__(self) -> None:
        self._started_in: int | None = None

    @hookimpl
    def on_starting(self, component: object) -> None:
        """A scheduler, dag processor or triggerer starts: deliver events that an earlier one left behind; a scheduler
        also announces that this Airflow reports."""
        if _runs_a_task(component, self._started_in):
            return
        self._started_in = os.getpid()
        try:
            _reporter().resume(stays=_is_scheduler())
        except Exception:  # it must not keep a component of Airflow from starting
            log.exception("coordinator.not_resumed")

    @hookimpl
    def on_dag_run_running(self, dag_run: DagRunColumns) -> None:
        self._report(dag_run, "running")

    @hookimpl
    def on_dag_run_success(self, dag_run: DagRunColumns) -> None:
        self._report(dag_run, "success")

    @hookimpl
    def on_dag_run_failed(self, dag_run: DagRunColumns) -> None:
        self._report(dag_run, "failed")

    @hookimpl(optionalhook=True)
    def on_asset_event_emitted(self, asset_event: EmittedAsset) -> None:
        """Called in the API server for what tasks and the REST API emit, and in the scheduler and the triggerer."""
        try:
            _reporter().emitted(asset_event)
        except Exception:  # it must not break Airflow, nor other plugins' listeners
            log.exception("coordinator.event_lost: an asset event was not reported")

    def _report(self, dag_run: DagRunColumns, state: str) -> None:
        try:
            _reporter().report(dag_run, state)
        except Exception:  # it must not break the scheduler, nor other plugins' listeners
            log.exception("coordinator.report_lost: the state %r of a DAG run was not reported", state)


class CoordinatorPlugin(AirflowPlugin):  # type: ignore[misc]  # Airflow is an optional dependency
    """Found through the entry point ``airflow.plugins``."""

    name = "coordinator"
    listeners = [RunStateListener()]  # noqa: RUF012 - the attribute's shape is Airflow's

    # Airflow asks for these where it shows pages, of an instance, and changes the lists that it gets.

    @cached_property
    def external_views(self) -> list[dict[str, str]]:
        """Tabs of DAGs and runs; Airflow 2 does not ask for them."""
        from coordinator.airflow_plugin.links import external_views

        return external_views()

    @cached_property
    def operator_extra_links(self) -> list[Any]:
        """A link of each sensor. In Airflow 2 it has the one of all tasks."""
        from coordinator.airflow_plugin.links import links_of_sensors

        return [] if _AIRFLOW_2 else links_of_sensors()

    @cached_property
    def global_operator_extra_links(self) -> list[Any]:
        """A link of each task, in Airflow 2, where a run has no tabs of ours."""
        from coordinator.airflow_plugin.links import links_of_all_tasks

        return links_of_all_tasks() if _AIRFLOW_2 else []
