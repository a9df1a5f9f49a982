"""One pipeline above thousands of others reports hundreds of times, and what has nothing to do with it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.commands.report import write_report
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from tests.faults.finished_runs import document, ended_since, has_run, has_run_since
from tests.faults.registry import Struck, fault
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("slow")

ROOT, NEVER = PipelineRef("default", "wide_root"), PipelineRef("default", "wide_never")
"""The second has never completed, so a pipeline that needs both is decided about with each report, and never starts."""

PARTITION = "2026-11-01T00:00:00Z"
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
IN_BETWEEN = 100
"""Descendants that need the root themselves; the others need one of these."""

LIMIT = 120.0


def _burst(descendants: int, reports: int) -> Callable[[Struck], None]:
    def strike(struck: Struck) -> None:
        stage, workload, airflow = struck.stage, struck.workload, struck.stage.airflows["default"]
        below = {f"wide_{number}": [str(ROOT), str(NEVER)] for number in range(IN_BETWEEN)}
        below |= {f"wide_{number}": [f"wide_{number % IN_BETWEEN}"] for number in range(IN_BETWEEN, descendants)}
        for dag_id in (ROOT.dag_id, NEVER.dag_id, *below):
            airflow.dag(dag_id)
        stage.publish({**workload.graph.document, **below})
        attempts = [FIRST + timedelta(minutes=number) for number in range(reports // 2)]
        has_run(stage, Target(ROOT, PARTITION), attempts[-1])
        usual, _ = _wave(struck)
        workload.count()
        workload.begin_wave(everything=True)
        term = stage.store.get(stage.keys.leader)
        with ThreadPoolExecutor(1) as reporter:
            began = time.monotonic()
            reporting = reporter.submit(_report, struck, attempts)
            took, runs = _wave(struck)
            reporting.result()
        reported = time.monotonic() - began
        after = stage.store.get(stage.keys.leader)
        assert term is not None
        assert after is not None
        assert after.create_revision == term.create_revision, "another term has begun"
        struck.notes.append(
            f"{reports} reports within {reported:.1f} s above {descendants:,} descendants; a wave of {runs} runs "
            f"elsewhere took {took:.1f} s beside them, and {usual:.1f} s before"
        )

    return strike


def _report(struck: Struck, attempts: list[datetime]) -> None:
    where = Target(ROOT, PARTITION)
    for queued_at in attempts:
        for state in (State.RUNNING, State.SUCCESS):
            write_report(struck.stage.store, struck.stage.keys, where, document(PARTITION, queued_at, state))


def _wave(struck: Struck) -> tuple[float, int]:
    """Let the sources of the other graph end. Returns the seconds until all below has run, and how many that are."""
    stage, fresh, ended_at = struck.stage, struck.workload.foreseen(), datetime.now(UTC)
    struck.workload.end_sources()
    until(lambda: all(has_run_since(stage, one, ended_at) for one in fresh), "the other graph's wave", limit=LIMIT)
    ends = [ended_since(stage, one, ended_at) or ended_at for one in fresh]
    return (max(ends) - ended_at).total_seconds(), len(fresh)


for _descendants, _reports in ((1_000, 100), (10_000, 400)):
    fault(
        f"a root with {_descendants:,} descendants reports {_reports} times",
        group="masses",
        asserts="the leader keeps its term, and the wave of another graph goes on",
        behind=60.0,
        patience=LIMIT,
        at_most=1,
    )(_burst(_descendants, _reports))
