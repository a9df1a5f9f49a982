"""What a dry run tells of a world that is not at rest, and of what waits for a person."""

from __future__ import annotations

import pytest

from coordinator.controller.state.cache import Cache
from coordinator.model.cascade import Change, cascade
from coordinator.model.order import Order
from coordinator.model.runstate import State
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import target


@pytest.fixture
def world() -> SimulatedWorld:
    return SimulatedWorld()


def told(world: SimulatedWorld, **changes: Order | State) -> list[str]:
    """Each step in words, with its present state."""
    assert world.watcher is not None
    cache = Cache(world.keys)
    cache.replace(world.store.list(world.keys.root))
    change: Change = {target(name): what for name, what in changes.items()}
    steps = cascade(
        world.watcher.reconciler.propagation.graph,
        cache,
        change,
        known=tuple(cache.targets()),
        revision=cache.revision,
        now=world.clock.now(),
    )
    return [f"{step.target.pipeline} {step.how} ({step.state})" for step in steps]


def test_what_runs_anyway_is_not_told_and_what_runs_after_it_is(world: SimulatedWorld) -> None:
    world.dependencies({"A": "R", "D": "A", "X": "Y", "Z": "X"})
    world.first_run("R", "Y")
    world.by_hand("X", "A")
    world.rerun("Y")
    world.rerun("R")
    world.settle()
    world.start("A")
    assert told(world, R=Order.RERUN) == ["R clear (success)", "A clear (running)", "D clear (success)"]
    assert told(world, D=Order.RERUN) == ["D clear (success)"]
    assert told(world, A=Order.RERUN) == ["A clear (running)", "D clear (success)"]


def test_what_waits_for_a_person_is_told_with_what_waits_behind_it(world: SimulatedWorld) -> None:
    world.dependencies({"A": "R", "B": {"upstream": "A", "rerun": "hold"}, "C": "B", "D": "C"})
    world.first_run("R")
    world.hold("D")
    assert told(world, R=Order.RERUN) == [
        "R clear (success)",
        "A clear (success)",
        "B waits for release (success)",
        "C waits (success)",
        "D held (success)",
    ]
    assert told(world, B=Order.RERUN) == ["B clear (success)", "C clear (success)", "D held (success)"]


def test_what_waited_before_and_goes_on_waiting_is_not_told(world: SimulatedWorld) -> None:
    world.dependencies({"A": "R", "B": ["A", "S"]})
    world.first_run("R", "S")
    world.hold("B")
    world.rerun("S")
    world.settle()
    assert told(world, R=Order.RERUN) == ["R clear (success)", "A clear (success)"]
    assert told(world, B=Order.RERUN) == ["B held (success)"]


def test_what_has_never_run_and_would_not_is_not_told(world: SimulatedWorld) -> None:
    world.dependencies({"A": "R", "B": ["A", "S"], "C": {"upstream": {"pipeline": "R", "on": "failure"}}})
    world.first_run("R")
    assert told(world, R=Order.RERUN) == ["R clear (success)", "A clear (success)"]
    assert told(world, R=State.FAILED) == ["A waits (success)", "C create (None)"]
    assert told(world, S=Order.RERUN) == ["S create (None)", "B create (None)"]


def test_nothing_that_is_asked_is_touched(world: SimulatedWorld) -> None:
    world.dependencies({"A": "R"})
    world.first_run("R")
    before = world.store.list(world.keys.root).items
    told(world, R=Order.RERUN)
    assert world.store.list(world.keys.root).items == before
