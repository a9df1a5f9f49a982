"""Nothing is raised out of a listener's hook: Airflow calls it in its scheduler's loop."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from coordinator.airflow_plugin.reporter import Reporter
from tests.unit.airflow_plugin.test_reporter import DagRun

RUN_HOOKS = {"on_dag_run_running": "running", "on_dag_run_success": "success", "on_dag_run_failed": "failed"}
DEFECTS = [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("a defect"), KeyError("queued_at")]


NAME = "coordinator.airflow_plugin.plugin"


def imported(monkeypatch: pytest.MonkeyPatch, place_of_base_class: str) -> Iterator[ModuleType]:
    """The plugin, imported again. Airflow, which takes seconds to import and writes files when it is, lends a base
    class alone."""
    lender = ModuleType(place_of_base_class)
    lender.AirflowPlugin = object  # type: ignore[attr-defined]
    for name in [name for name in sys.modules if name == "airflow" or name.startswith("airflow.")]:
        monkeypatch.delitem(sys.modules, name)
    parts = place_of_base_class.split(".")
    for number in range(1, len(parts)):
        package = ModuleType(".".join(parts[:number]))
        package.__path__ = []
        monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, lender.__name__, lender)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    yield importlib.import_module(NAME)
    sys.modules.pop(NAME, None)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from imported(monkeypatch, "airflow.sdk.plugins_manager")


@pytest.fixture
def plugin_of_airflow2(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from imported(monkeypatch, "airflow.plugins_manager")


def raising(error: Exception) -> Callable[..., None]:
    def method(*_: object, **__: object) -> None:
        raise error

    return method


@pytest.mark.promise("reporting")
@pytest.mark.parametrize("error", DEFECTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("hook", RUN_HOOKS)
def test_a_hook_that_cannot_report_raises_nothing_and_says_so(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hook: str, error: Exception
) -> None:
    monkeypatch.setattr(Reporter, "report", raising(error))
    (listener,) = plugin.CoordinatorPlugin.listeners
    getattr(listener, hook)(DagRun())
    _is_told(caplog, error, RUN_HOOKS[hook])


@pytest.mark.promise("reporting")
@pytest.mark.parametrize("error", DEFECTS, ids=lambda error: type(error).__name__)
def test_a_component_of_airflow_starts_though_the_outbox_cannot_be_resumed(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(Reporter, "resume", raising(error))
    (listener,) = plugin.CoordinatorPlugin.listeners
    listener.on_starting(object())
    _is_told(caplog, error, "coordinator.not_resumed")


@pytest.mark.promise("reporting")
@pytest.mark.parametrize("hook", ["on_starting", *RUN_HOOKS])
def test_a_reporter_that_cannot_even_be_made_raises_nothing_out_of_a_hook(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    error = RuntimeError("AIRFLOW_HOME is nowhere")
    monkeypatch.setattr(Reporter, "__init__", raising(error))
    (listener,) = plugin.CoordinatorPlugin.listeners
    getattr(listener, hook)(DagRun())
    _is_told(caplog, error, "coordinator")


@pytest.mark.parametrize("hook", RUN_HOOKS)
def test_a_hook_reports_the_state_that_it_is_named_for(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(Reporter, "report", lambda _, run, state: told.append((run, state)))
    (listener,) = plugin.CoordinatorPlugin.listeners
    run = DagRun()
    getattr(listener, hook)(run)
    assert told == [(run, RUN_HOOKS[hook])]


@pytest.mark.parametrize(
    ("arguments", "stays"),
    [
        (["airflow", "scheduler", "--skip-serve-logs"], True),
        *((["airflow", other], False) for other in ("triggerer", "dag-processor", "api-server")),
        (["airflow"], False),
        (["airflow", "dags", "test", "scheduler"], False),
    ],
)
def test_only_a_scheduler_is_seen_before_anything_happens(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: list[str], stays: bool
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(Reporter, "resume", lambda _, *, stays: told.append(stays))
    (listener,) = plugin.CoordinatorPlugin.listeners
    listener.on_starting(object())
    assert told == [stays]


class Job:
    """What Airflow 2 gives to on_starting, for a task as for a scheduler."""


class TaskCommandMarker:
    """What Airflow 2 gives to it in the process that runs the task's code."""

    __module__ = "airflow.cli.commands.task_command"


@pytest.mark.parametrize(
    ("arguments", "component", "forked", "told"),
    [
        (["airflow", "scheduler"], Job(), False, [True]),
        (["airflow", "triggerer"], Job(), False, [False]),
        (["airflow", "scheduler"], Job(), True, []),  # a LocalExecutor's child
        (["airflow", "tasks", "run", "dag", "task", "run"], Job(), False, []),
        (["airflow", "celery", "worker"], Job(), False, []),
        (["airflow", "scheduler"], TaskCommandMarker(), False, []),
    ],
)
def test_in_airflow_2_a_task_starts_no_sender(
    plugin_of_airflow2: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    component: object,
    forked: bool,
    told: list[bool],
) -> None:
    heard: list[bool] = []
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(Reporter, "resume", lambda _, *, stays: heard.append(stays))
    (listener,) = plugin_of_airflow2.CoordinatorPlugin.listeners
    if forked:
        listener.on_starting(Job())
        heard.clear()
        other = os.getpid() + 1
        monkeypatch.setattr(os, "getpid", lambda: other)
    listener.on_starting(component)
    assert heard == told


def _is_told(caplog: pytest.LogCaptureFixture, error: Exception, word: str) -> None:
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "coordinator.airflow_plugin.plugin"
    assert word in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.promise("assets")
@pytest.mark.parametrize("error", DEFECTS, ids=lambda error: type(error).__name__)
def test_an_asset_event_that_cannot_be_kept_raises_nothing_and_says_so(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(Reporter, "emitted", raising(error))
    (listener,) = plugin.CoordinatorPlugin.listeners
    listener.on_asset_event_emitted(object())
    _is_told(caplog, error, "coordinator.event_lost")
