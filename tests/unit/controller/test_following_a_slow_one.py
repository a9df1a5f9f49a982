"""Runs that report nothing come to their end also where their environment is slow to tell of so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.runners.port import Looked, RunRef
from coordinator.store.port import Put, Transaction
from tests.worlds.simulated import EPOCH, SimulatedWorld
from tests.worlds.simulated_airflow import DirectRunner, logical_date_of

pytestmark = pytest.mark.promise("following")

RUNS = 300
ANSWERED_IN_TIME = 20
SECONDS_OF_A_LOOK = 2.0


@pytest.mark.slow
def test_every_end_is_seen_though_no_look_has_time_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SimulatedWorld()
    world.dependencies({"team_b/D": "A", "E": "team_b/D"})
    world.silence("team_b")
    slow = world.airflows["team_b"]
    real, looks = DirectRunner.look, 0

    def look(runner: DirectRunner, runs: Sequence[RunRef], *, timeout: float) -> Looked:
        nonlocal looks
        if runner.airflow is not slow:
            return real(runner, runs, timeout=timeout)
        looks += 1
        world.clock.seconds += SECONDS_OF_A_LOOK
        answered = runs[:ANSWERED_IN_TIME]
        looked = real(runner, answered, timeout=timeout)
        return replace(looked, unanswered=frozenset(runs) - frozenset(answered))

    monkeypatch.setattr(DirectRunner, "look", look)
    partitions = [format_instant(EPOCH - timedelta(hours=hour)) for hour in range(1, RUNS + 1)]
    for first in range(0, RUNS, 100):
        puts = tuple(_completion(world, partition) for partition in partitions[first : first + 100])
        world.store.commit(Transaction((), puts))
    begun = world.clock.seconds
    world.settle_until(lambda: len(world.airflows["default"].effects) == RUNS, "every E has been started")
    assert sorted(world.airflows["default"].effects) == sorted(("E", partition) for partition in partitions)
    assert looks <= 4 * RUNS / ANSWERED_IN_TIME, "and those that have been seen are not looked at again before others"
    assert world.clock.seconds - begun < 600


def _completion(world: SimulatedWorld, partition: str) -> Put:
    run = world.airflows["default"].create("A", f"scheduled__{partition}", logical_date=logical_date_of(partition))
    world.airflows["default"].runs["A", run.run_id] = replace(run, state=State.SUCCESS)
    document = RunStateDocument(
        state=State.SUCCESS, run_id=run.run_id, queued_at=run.queued_at, observed_at=run.queued_at
    )
    return Put(world.keys.state(Target(PipelineRef.parse("A"), partition)), document.to_value())
