"""What people are told of sensors that are cleared when their upstream completes again."""

from __future__ import annotations

import pytest

from coordinator.model.cascade import Change, How, Step, cascade
from coordinator.model.explanation import explain, sensor_in_words, task_in_words
from coordinator.model.order import Order
from coordinator.model.references import PipelineRef, Target
from tests.worlds import sensor_cases
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target


@pytest.fixture
def world() -> SimulatedWorld:
    """U and D have run, and a sensor of D waited for U."""
    world = SimulatedWorld()
    sensor_cases.with_sensor(world)
    return world


def told(world: SimulatedWorld, name: str) -> tuple[str, list[str]]:
    assert world.watcher is not None
    explanation = explain(world.watcher.reconciler.propagation, target(name))
    return explanation.headline, [*explanation.because()]


def test_a_sensor_whose_upstream_runs(world: SimulatedWorld) -> None:
    world.clear("U")
    world.start("U")
    world.settle()
    headline, because = told(world, "D")
    assert headline.endswith("clears its sensor sensor, with everything below, once U has ended")
    assert [one.partition(" since")[0] for one in because] == [f"U is running in run scheduled__{PARTITION}"]


def test_a_sensor_whose_upstream_has_failed_anew(world: SimulatedWorld) -> None:
    world.rerun("U", "failed")
    world.settle()
    headline, because = told(world, "D")
    assert headline.endswith("is out of date and cannot run by itself: its sensor sensor waits for U")
    assert len(because) == 1
    assert because[0].startswith("U failed")


def test_a_sensor_of_a_held_pipeline(world: SimulatedWorld) -> None:
    world.hold("D")
    world.rerun("U")
    world.settle()
    headline, because = told(world, "D")
    assert headline.endswith("would clear its sensor sensor, with everything below, but it is held")
    assert [one.partition(":")[0] for one in because] == ["it is held"]


def test_a_loop() -> None:
    world = SimulatedWorld()
    sensor_cases.a_loop(world)
    headline, because = told(world, "A")
    assert "only if a person releases it: what it waits for waits for it in turn" in headline
    assert 'let one of the two sensors have rerun="ignore"' in because[0]


def test_what_is_told_of_a_sensor_at_rest(world: SimulatedWorld) -> None:
    assert world.watcher is not None
    (sensor,) = world.watcher.reconciler.propagation.decide(target("D")).sensors
    assert sensor_in_words(sensor) == "sensor: U has not completed again since it passed"


def test_the_preview_of_a_rerun_names_the_clear_of_tasks(world: SimulatedWorld) -> None:
    steps = [(step.target, step.how) for step in _preview(world, {target("U"): Order.RERUN})]
    assert steps == [(target("U"), How.CLEAR), (target("D"), How.CLEAR_TASKS), (target("X"), How.CLEAR)]


def _preview(world: SimulatedWorld, change: Change) -> tuple[Step, ...]:
    assert world.watcher is not None
    reconciler = world.watcher.reconciler
    return cascade(
        reconciler.propagation.graph,
        reconciler.cache,
        change,
        known=reconciler.cache.targets(),
        revision=reconciler.cache.revision,
        now=world.clock.now(),
    )


def test_a_task_that_others_wait_for() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": {"pipeline": "U", "task": "load"}}})
    world.has_tasks("U", load="check", check="")
    world.by_hand("U")
    assert told_of_task(world, "load") == ("U:load has no run in this partition yet", [])
    world.trigger("U")
    world.start("U")
    world.settle()
    headline, because = told_of_task(world, "load")
    assert headline == "U:load is waited for: it has not ended"
    assert because[0].startswith(f"it has not ended in run scheduled__{PARTITION}")
    world.task("U", "load", "success")
    world.settle()
    headline, because = told_of_task(world, "load")
    assert (headline.partition(" at ")[0], because) == (f"U:load succeeded in run scheduled__{PARTITION}", [])
    assert told_of_task(world, "check")[0] == (
        "U:check: no dependency and no sensor waits for this task, so nobody asks about it; others wait for load"
    )


def told_of_task(world: SimulatedWorld, task: str) -> tuple[str, list[str]]:
    assert world.watcher is not None
    named = Target(PipelineRef("default", "U", task), PARTITION)
    headline, because = task_in_words(world.watcher.reconciler.propagation, named)
    return headline.replace(f"@{PARTITION}", ""), because
