"""The histogram of trigger times: what one report claims about time cannot make it useless."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.model.runstate import RunStateDocument, State
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target


def measured_after(observed_at: datetime | None) -> tuple[float, float]:
    """How many trigger times were measured, and their sum, when a completion says that it was observed then."""
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.by_hand("A")
    world.silence("default")
    world.trigger("A")
    world.start("A")
    world.finish("A")
    airflow, dag_id = world._of("A")
    run = airflow.newest(dag_id, PARTITION)
    for state in (State.RUNNING, State.SUCCESS):
        seen = world._tick() if observed_at is None else observed_at
        document = RunStateDocument(state=state, run_id=run.run_id, queued_at=run.queued_at, observed_at=seen)
        world.report(target("A"), document)
    world._silent.clear()
    world.settle()
    assert world.runs("D") == 1
    assert world.watcher is not None
    (metric,) = world.watcher.reconciler.counters.trigger_seconds.collect()
    values = {sample.name.rpartition("_")[2]: sample.value for sample in metric.samples}
    return values.get("count", 0), values.get("sum", 0)


def test_the_time_since_a_completion_was_observed_is_measured() -> None:
    count, total = measured_after(None)
    assert count == 1
    assert 0 < total < 60


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize("observed_at", [datetime(1, 1, 2, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)])
def test_a_completion_that_claims_to_be_of_long_ago_is_not_measured(observed_at: datetime) -> None:
    assert measured_after(observed_at) == (0, 0)
