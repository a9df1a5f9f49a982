"""A watcher that has something to tell of everything that is measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.model.cursor import dump_cursor
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.reporters import ReportedRun, ReporterStatus
from coordinator.model.runstate import RunStateDocument
from coordinator.model.waits import Wait, WaitStatus, dump_wait
from coordinator.runners.port import ObservedRun
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.standin.faults import Fault
from tests.worlds.simulated_airflow import partition_of
from tests.worlds.world import PARTITION

BACKLOG = 3
WAITED = 40


@pytest.fixture
def watcher(served: ServedWorld) -> Service:
    """It has something to tell of everything: a wave, a refused request, a hold, a late partition, a reporter."""
    now = datetime.now(UTC)
    environments = served.settings.environments
    with_plugin = environments["default"].model_copy(update={"plugin": True})
    served.settings = served.settings.model_copy(update={"environments": {**environments, "default": with_plugin}})
    late = {"upstream": ["R", "never"], "deadline": "1 second"}
    served.dependencies({"A": "R", "team_b/B": "A", "H": "A", "L": late})
    served.airflows["team_b"].faults.always("trigger", Fault.answer(403, {"detail": "Forbidden"}))
    served.put(served.keys.hold(PipelineRef.parse("H")), b'{"why": "for a test"}')
    reporter = ReporterStatus(
        host="airflow-1",
        pid=1,
        since=now,
        written_at=now - timedelta(seconds=7),
        backlog=BACKLOG,
        oldest=now - timedelta(seconds=WAITED),
        parked=1,
        recent=(ReportedRun(dag_id="R", run_id="r", state="success", at=now - timedelta(seconds=WAITED)),),
    )
    served.put(served.keys.reporter("default", "one"), reporter.to_value())
    served.put(served.keys.cursor("default"), dump_cursor(now - timedelta(seconds=WAITED)))
    ref = WaitRef(Target(PipelineRef.parse("team_b/H"), PARTITION), "by hand", "sensor", -1)
    wait = Wait(
        WaitStatus.WAITING, Target(PipelineRef.parse("never"), PARTITION), since=now - timedelta(seconds=WAITED)
    )
    served.put(served.keys.wait(ref), dump_wait(wait))

    def seen_now(run: ObservedRun) -> None:
        at = datetime.now(UTC)
        seen = RunStateDocument(state=run.state, run_id=run.run_id, queued_at=run.queued_at, observed_at=at)
        served.report(Target(PipelineRef.parse("R"), partition_of(run)), seen)

    served.report_by("R", seen_now)
    watcher = served.serve()
    served.complete("R")
    served.until_done("A", runs=1)
    until(lambda: watcher.metrics().value("late_partitions") == 1, "L is late")
    until(lambda: watcher.metrics().value("blocked_partitions") == 1, "B is blocked")
    return watcher
