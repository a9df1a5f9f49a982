"""What an explanation and a dry run say where pipelines wait for tasks."""

from __future__ import annotations

import pytest

from coordinator.controller.state.cache import Cache
from coordinator.model.cascade import cascade
from coordinator.model.explanation import Explanation, explain
from coordinator.model.order import Order
from coordinator.reading.reading import read
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

LOAD = {"pipeline": "U", "task": "load"}
RUN = f"coordinator__{PARTITION}__1"


@pytest.fixture
def world() -> SimulatedWorld:
    """R -> U, and D waits for the task ``load`` of U."""
    world = SimulatedWorld()
    world.dependencies({"U": "R", "D": {"upstream": LOAD}})
    world.has_tasks("U", load="check", check="")
    world.by_hand("U")
    world.trigger("R")
    world.run("R")
    world.settle()
    return world


def explained(world: SimulatedWorld, name: str = "D") -> Explanation:
    return explain(read(world.store, world.keys).propagation, target(name))


def test_a_run_that_has_not_begun_is_the_cause(world: SimulatedWorld) -> None:
    (sentence,) = explained(world).because()
    assert sentence.startswith(f"U is queued in run {RUN}")
    assert sentence.endswith("(behind U:load)")


def test_a_task_that_goes_on_is_the_cause(world: SimulatedWorld) -> None:
    world.start("U")
    world.settle()
    about = explained(world)
    (sentence,) = about.because()
    assert sentence.startswith(f"U:load has not ended in run {RUN} since ")
    assert about.outlook.startswith(f"It fires when U:load succeeds (it has not ended in run {RUN} since ")


def test_a_failed_task_is_the_cause(world: SimulatedWorld) -> None:
    world.start("U")
    world.task("U", "load", "failed")
    world.settle()
    about = explained(world)
    (sentence,) = about.because()
    assert sentence.startswith(f"U:load failed in run {RUN} at ")
    assert about.remedies() == ["U:load: clear it once what broke it is fixed"]


def test_a_skipped_task_is_the_cause(world: SimulatedWorld) -> None:
    world.start("U")
    world.task("U", "load", "skipped")
    world.settle()
    (sentence,) = explained(world).because()
    assert sentence.startswith(f"U:load is skipped in run {RUN} at ")
    assert sentence.endswith("; it is waited for until it succeeds")


def test_a_task_that_the_dag_does_not_have_is_the_cause(world: SimulatedWorld) -> None:
    world.delete_run("U")
    world.has_tasks("U", check="")
    world.trigger("U")
    world.start("U")
    world.settle()
    (sentence,) = explained(world).because()
    assert sentence.startswith("U:load is not there in run ")
    world.finish("U")
    world.settle()
    about = explained(world)
    (sentence,) = about.because()
    assert sentence.startswith("U:load is no task of run ")
    assert about.remedies() == ["U:load: correct its name (and clear a sensor that waits), or run the DAG that has it"]


def test_an_upstream_without_a_run_is_the_cause() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": ["S", LOAD]}})
    world.trigger("S")
    world.run("S")
    world.settle()
    about = explained(world)
    assert list(about.because()) == ["U:load has not ended: U has no run in this partition yet"]
    assert about.remedies() == ["U:load: run it in this partition"]


def test_a_dry_run_lets_tasks_succeed_with_their_runs(world: SimulatedWorld) -> None:
    world.start("U")
    world.task("U", "load", "success")
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1
    assert world.watcher is not None
    cache = Cache(world.keys)
    cache.replace(world.store.list(world.keys.root))
    steps = cascade(
        world.watcher.reconciler.propagation.graph,
        cache,
        {target("R"): Order.RERUN},
        known=tuple(cache.targets()),
        revision=cache.revision,
        now=world.clock.now(),
    )
    told = [f"{step.target.pipeline} {step.how}" for step in steps]
    assert told == ["R clear", "U clear", "D clear"]
