"""Nothing is raised out of a listener's hook: Airflow calls it in its scheduler's loop."""

from __future__ import annotations

import errno
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from coordinator.airflow_plugin.reporter import Reporter
from tests.unit.airflow_plugin.test_reporter import DagRun

RUN_HOOKS = {"on_dag_run_running": "running", "on_dag_run_success": "success", "on_dag_run_failed": "failed"}
DEFECTS = [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("a defect"), KeyError("queued_at")]


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The plugin, imported anew. Airflow, which takes seconds to import and writes files when it is, lends a base class
    alone."""
    lender = ModuleType("airflow.sdk.plugins_manager")
    lender.AirflowPlugin = object  # type: ignore[attr-defined]
    for name, module in {
        "airflow": ModuleType("airflow"),
        "airflow.sdk": ModuleType("airflow.sdk"),
        lender.__name__: lender,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    name = "coordinator.airflow_plugin.plugin"
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


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


def _is_told(caplog: pytest.LogCaptureFixture, error: Exception, word: str) -> None:
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "coordinator.airflow_plugin.plugin"
    assert word in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error
