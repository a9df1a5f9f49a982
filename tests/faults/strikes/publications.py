"""A publication while partitions wait for a place among those in flight."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.commands.report import write_report
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from tests.faults.finished_runs import document, has_run
from tests.faults.registry import Struck, fault
from tests.faults.stage import Stage, pause
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("downtime")

WAITING = 50
MOST = 3
"""In flight at the same time."""

SOURCE, LIMITED = PipelineRef("default", "limited_source"), PipelineRef("default", "limited")
OTHER_SOURCE, OTHER = PipelineRef("default", "other_source"), PipelineRef("default", "other")
DAY = datetime(2026, 11, 1, tzinfo=UTC)
LIMIT = 60.0


@fault(
    f"something else is published while {WAITING} partitions wait at max_in_flight",
    group="publications",
    asserts=f"all of them are started as soon as there is a place, never more than {MOST} at a time",
    patience=LIMIT,
    at_most=1,
    in_every_test_run=True,
)
def publish_while_many_wait(struck: Struck) -> None:
    stage, workload, airflow = struck.stage, struck.workload, struck.stage.airflows["default"]
    for pipeline in (SOURCE, LIMITED, OTHER_SOURCE, OTHER):
        airflow.dag(pipeline.dag_id)
    limited = {str(LIMITED): {"upstream": str(SOURCE), "max_in_flight": MOST}}
    stage.publish({**workload.graph.document, **limited})
    for number in range(WAITING):
        _complete(stage, Target(SOURCE, format_instant(DAY + timedelta(hours=number))))
    until(lambda: _asked_for(stage) == MOST, f"{MOST} are in flight", limit=LIMIT)
    stage.publish({**workload.graph.document, **limited, str(OTHER): str(OTHER_SOURCE)})
    workload.end_sources()
    pause(0.5)  # in which too many would be started, if they were
    began, slowest = time.monotonic(), 0.0
    for places in range(MOST, WAITING + MOST):
        assert _asked_for(stage) == min(places, WAITING), "as many as there are places"
        _end_one(stage)
        slowest = max(slowest, _taken_after(stage, min(places + 1, WAITING)))
    struck.notes.append(
        f"{WAITING} went {MOST} at a time in {time.monotonic() - began:.1f} s; a free place was taken within "
        f"{slowest:.2f} s"
    )


def _complete(stage: Stage, target: Target) -> None:
    queued_at = datetime.now(UTC) - timedelta(minutes=1)
    has_run(stage, target, queued_at)
    write_report(stage.store, stage.keys, target, document(target.partition, queued_at, State.SUCCESS))


def _asked_for(stage: Stage) -> int:
    """Runs that the coordinator has made so far."""
    return len(stage.airflows[LIMITED.environment].runs(LIMITED.dag_id))


def _taken_after(stage: Stage, expected: int) -> float:
    """Seconds until so many have been made. :raises AssertionError: they are not, in time."""
    freed = time.monotonic()
    until(lambda: _asked_for(stage) >= expected, "a free place is taken", limit=stage.patience, every=0.005)
    return time.monotonic() - freed


def _end_one(stage: Stage) -> None:
    airflow = stage.airflows[LIMITED.environment]
    run = next(run for run in airflow.runs(LIMITED.dag_id) if not run.state.is_terminal)
    airflow.start(LIMITED.dag_id, run.run_id)
    airflow.finish(LIMITED.dag_id, run.run_id)
