"""A hundred thousand reports come while no watcher runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.commands.report import write_report
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State, Verdict
from coordinator.store.port import Put, Transaction
from tests.faults.finished_runs import document, has_run, has_run_since
from tests.faults.processes import peak_memory_of
from tests.faults.registry import Struck, fault
from tests.faults.stage import Stage
from tests.integration.controller.waiting import until

pytestmark = pytest.mark.promise("downtime", "slow")

PARTITIONS = 5_000
SOURCES = tuple(PipelineRef("default", f"mass_{number}") for number in range(4))
BELOW = PipelineRef("team_b", "mass")
FIRST, SECOND = (datetime(2026, 10, day, tzinfo=UTC) for day in (1, 2))
"""When the two attempts of each run were queued."""

ROUNDS = (
    (FIRST, State.RUNNING),
    (FIRST, State.SUCCESS),
    (FIRST, State.SUCCESS),  # which is a repeat, and no completion
    (SECOND, State.RUNNING),
    (SECOND, State.SUCCESS),
)
REPORTS = PARTITIONS * len(SOURCES) * len(ROUNDS)
BY_THE_RULE = 2_000
"""The last ones, through ``write_report``; the others are put as it would have, but in large transactions."""

IN_A_TRANSACTION = 100
LIMIT = 240.0
MEMORY = 256 * 1024 * 1024

Report = tuple[Target, RunStateDocument]


@fault(
    f"{REPORTS:,} reports while every watcher is down",
    group="masses",
    asserts=f"each of {PARTITIONS:,} partitions is started once; no watcher ever holds more than {MEMORY >> 20} MB",
    behind=60.0,
    patience=LIMIT,
    at_most=1,
)
def report_masses(struck: Struck) -> None:
    stage, workload, notes = struck.stage, struck.workload, struck.notes
    for source in SOURCES:
        stage.airflows[source.environment].dag(source.dag_id)
    stage.airflows[BELOW.environment].dag(BELOW.dag_id, auto=0.01)
    stage.publish({**workload.graph.document, str(BELOW): [str(source) for source in SOURCES]})
    for replica in stage.replicas:
        replica.service.kill()
    reports = list(_reports(stage))
    assert len(reports) == REPORTS
    _put(stage, reports[:-BY_THE_RULE])
    with ThreadPoolExecutor(8) as pool:
        verdicts = pool.map(lambda one: write_report(stage.store, stage.keys, *one), reports[-BY_THE_RULE:])
        assert set(verdicts) == {Verdict.NEW}
    began = time.monotonic()
    for replica in stage.replicas:
        stage.restart(replica)
    leader = stage.leader()
    fresh, ended_at = workload.foreseen(), datetime.now(UTC)
    workload.end_sources()
    until(lambda: all(has_run_since(stage, one, ended_at) for one in fresh), "what is fresh runs", limit=LIMIT)
    fresh_took = (datetime.now(UTC) - ended_at).total_seconds()
    waited = PARTITIONS - stage.airflows[BELOW.environment].starts(BELOW.dag_id)
    airflow = stage.airflows[BELOW.environment]
    until(lambda: airflow.starts(BELOW.dag_id) >= PARTITIONS, "every partition has been started", limit=LIMIT, every=1)
    took = time.monotonic() - began
    peaks = {replica.name: peak_memory_of(replica.service.process.pid) for replica in stage.replicas}
    assert max(peaks.values()) < MEMORY, peaks
    notes.append(
        f"{PARTITIONS:,} runs started within {took:.0f} s of the start of the watchers ({PARTITIONS / took:.0f}/s); "
        f"the leader held {peaks[leader.name] >> 20} MB at most; a wave of {len(fresh)} runs, begun with it, took "
        f"{fresh_took:.1f} s, when {waited:,} partitions still waited"
    )


def _reports(stage: Stage) -> Iterator[Report]:
    """In the order in which they come: all runs begin, end, are cleared, begin again and end again."""
    targets = [Target(source, _partition(number)) for number in range(PARTITIONS) for source in SOURCES]
    for queued_at, state in ROUNDS:
        for target in targets:
            yield target, document(target.partition, queued_at, state)
    for target in targets:
        has_run(stage, target, SECOND)


def _partition(number: int) -> str:
    return (datetime(2026, 6, 1, tzinfo=UTC) + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _put(stage: Stage, reports: list[Report]) -> None:
    keys = stage.keys
    for start in range(0, len(reports), IN_A_TRANSACTION):
        puts = (Put(keys.state(target), told.to_value()) for target, told in reports[start : start + IN_A_TRANSACTION])
        stage.store.commit(Transaction((), tuple(puts)))
