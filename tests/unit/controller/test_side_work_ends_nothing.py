"""What a watcher does beside starting runs may fail, and ends neither the watcher nor a trigger."""

from __future__ import annotations

import threading

import pytest
import structlog

from coordinator.config.airflow import AirflowSettings
from coordinator.controller.clock import SystemClock
from coordinator.controller.leading.dag_checks import DagChecks
from coordinator.controller.leading.misnamed_reporters import MisnamedReporters
from coordinator.controller.reconcile.trigger_log import TriggerLog
from coordinator.controller.state.reporters import Reporters
from coordinator.model.references import PipelineRef
from coordinator.model.reporters import ReporterStatus
from coordinator.runners.port import Runner
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.simulated_airflow import DirectLine, DirectRunner


def test_a_trigger_that_cannot_be_logged_is_started_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a mistake in the log")

    world = SimulatedWorld()
    world.dependencies({"B": "A", "C": "B"})
    monkeypatch.setattr(TriggerLog, "_say_written", broken)
    with structlog.testing.capture_logs() as logs:
        world.first_run("A")
    assert (world.runs("B"), world.runs("C")) == (1, 1)
    assert "trigger.not_logged" in {line["event"] for line in logs}


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.fixture
def runners() -> dict[str, Runner]:
    return {"default": DirectRunner(DirectLine(SimulatedWorld().airflows["default"]))}


@pytest.mark.usefixtures("no_threads")
def test_a_machine_without_threads_asks_about_dags_later(runners: dict[str, Runner]) -> None:
    checks = DagChecks(runners, clock=lambda: 0.0, answered=lambda: None)
    for _ in range(2):
        with structlog.testing.capture_logs() as logs:
            checks.known([PipelineRef("default", "A")])
        assert [line["event"] for line in logs] == ["dags.not_asked"]


@pytest.mark.usefixtures("no_threads")
def test_a_machine_without_threads_asks_about_reporters_later(runners: dict[str, Runner]) -> None:
    clock, reporters = SystemClock(), Reporters()
    status = ReporterStatus(host="h", pid=1, since=clock.now(), written_at=clock.now())
    reporters.put("default", "reporter-1", status.to_value())
    settings = AirflowSettings.model_validate({"url": "http://127.0.0.1:1"})
    misnamed_reporters = MisnamedReporters(reporters, runners, {"default": settings}, clock=clock)
    for _ in range(2):
        with structlog.testing.capture_logs() as logs:
            misnamed_reporters.look()
        assert [line["event"] for line in logs] == ["reporters.not_asked_about"]
        misnamed_reporters.rest()  # another term asks at once
