"""A partition is forgotten only where nothing stands on it, and where it does not start again at once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.commands.acts import Signature
from coordinator.commands.forget import forget
from coordinator.controller.state.cache import Cache
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.retention.forgetting import all_below, why_not
from tests.worlds.sensor_cases import with_deferred_sensor
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

PHANTOM = "2026-11-20"


@pytest.fixture
def world() -> SimulatedWorld:
    world = SimulatedWorld()
    world.dependencies({"B": "A", "C": "B", "D": ["A", "Z"]})
    world.settle()
    return world


def reading(world: SimulatedWorld) -> tuple[Cache, Propagation]:
    assert world.watcher is not None
    cache = Cache(world.keys)
    cache.replace(world.store.list(world.keys.root))
    propagation = Propagation(world.watcher.reconciler.propagation.graph, cache, now=world.clock.now())
    propagation.refresh(cache.targets())
    return cache, propagation


def reasons(world: SimulatedWorld, *names: str, partition: str = PHANTOM) -> list[str]:
    cache, propagation = reading(world)
    gone = frozenset(target(name, partition) for name in names)
    known, waits = tuple(cache.targets()), tuple(cache.waits)
    return why_not(propagation.graph, cache, propagation, gone, known=known, waits=waits, now=world.clock.now())


def below(world: SimulatedWorld, name: str, partition: str = PHANTOM) -> set[str]:
    cache, propagation = reading(world)
    return {str(one.pipeline) for one in all_below(propagation, tuple(cache.waits), target(name, partition))}


def test_what_nobody_stands_on_is_forgotten(world: SimulatedWorld) -> None:
    world.mark("Z", "success", partition=PHANTOM)
    world.settle()
    assert reasons(world, "Z") == []


@pytest.mark.promise("orders")
def test_what_another_has_run_on_is_kept(world: SimulatedWorld) -> None:
    world.mark("A", "success", partition=PHANTOM)
    world.settle()
    assert world.runs("C", partition=PHANTOM) == 1
    assert reasons(world, "A") == [f"B@{PHANTOM} has run on A@{PHANTOM}"]
    assert reasons(world, "B") == [f"C@{PHANTOM} has run on B@{PHANTOM}"]


@pytest.mark.promise("orders")
def test_what_would_be_started_again_is_kept(world: SimulatedWorld) -> None:
    world.mark("A", "success", partition=PHANTOM)
    world.settle()
    assert reasons(world, "C") == [f"C@{PHANTOM} would be started again, as its upstreams hold"]


def test_what_stands_on_it_is_forgotten_with_it(world: SimulatedWorld) -> None:
    world.mark("A", "success", partition=PHANTOM)
    world.settle()
    assert below(world, "A") == {"A", "B", "C"}
    assert reasons(world, "A", "B", "C") == []


def test_nothing_happens_once_it_is_forgotten(world: SimulatedWorld) -> None:
    world.mark("A", "success", partition=PHANTOM)
    world.settle()
    cache, propagation = reading(world)
    gone = all_below(propagation, (), target("A", PHANTOM))
    dependents = {one for each in gone for one in propagation.dependents(each)}
    signature = Signature("ann", datetime(2026, 11, 22, tzinfo=UTC))
    forget(world.store, world.keys, cache, gone, dependents, signature, further={})
    world.settle()
    world.stop_watcher()
    world.start_watcher()
    world.settle()
    assert [world.runs(name, partition=PHANTOM) for name in "BCD"] == [1, 1, 0]
    assert [item.key for item in world.store.list(world.keys.root).items if item.key.endswith(f"/{PHANTOM}")] == []


def test_what_is_due_because_of_it_keeps_it(world: SimulatedWorld) -> None:
    world.hold("B")
    world.mark("A", "success", partition=PHANTOM)
    world.settle()
    assert reasons(world, "A") == [f"B@{PHANTOM} is due because of A@{PHANTOM}"]
    assert below(world, "A") == {"A", "B"}
    assert reasons(world, "A", "B") == []


def test_what_runs_is_kept(world: SimulatedWorld) -> None:
    world.by_hand("B")
    world.mark("A", "success", partition=PHANTOM)
    world.settle()
    world.start("B", partition=PHANTOM)
    assert reasons(world, "B")[0] == f"B@{PHANTOM} is in flight and queued or running"
    assert reasons(world, "A", "B", "C")[0] == f"B@{PHANTOM} is in flight and queued or running"


def test_a_real_partition_that_used_it_keeps_it(world: SimulatedWorld) -> None:
    """An hour that should not be, in a day that has run: the day stands on its other hours, too."""
    rollup = {"mapper": "rollup", "window": "day", "wait": 2}
    world.dependencies({"DAY": {"upstream": {"pipeline": "H", "partition": rollup}}})
    for hour in (5, 6):
        world.mark("H", "success", partition=f"2026-11-20T0{hour}:00:00Z")
    world.settle()
    assert world.runs("DAY", partition="2026-11-20T00:00:00Z") == 1
    cache, propagation = reading(world)
    phantom = target("H", "2026-11-20T05:00:00Z")
    gone = frozenset({phantom})
    known = tuple(cache.targets())
    assert why_not(propagation.graph, cache, propagation, gone, known=known, waits=(), now=world.clock.now()) == [
        "DAY@2026-11-20T00:00:00Z has run on H@2026-11-20T05:00:00Z"
    ]


def test_what_another_has_run_on_by_a_task_is_kept(world: SimulatedWorld) -> None:
    world.dependencies({"B": {"upstream": {"pipeline": "A", "task": "load"}}})
    world.has_tasks("A", load="")
    world.by_hand("A")
    world.trigger("A")
    world.run("A")
    world.settle()
    assert world.runs("B") == 1
    assert reasons(world, "A", partition=PARTITION) == [f"B@{PARTITION} has run on A:load@{PARTITION}"]
    assert below(world, "A", partition=PARTITION) == {"A", "B"}
    assert reasons(world, "A", "B", partition=PARTITION) == []


@pytest.mark.parametrize("rerun", ["ignore", "clear"])
def test_what_a_sensor_has_passed_on_is_kept(world: SimulatedWorld, rerun: str) -> None:
    with_deferred_sensor(world)
    world.dependencies({"X": "R"})
    world.trigger("U")
    world.run("U")
    world.passes("D", "sensor", "U", rerun=rerun)
    world.finish("D")
    world.settle()
    assert reasons(world, "U", partition=PARTITION) == [
        f"D@{PARTITION} has a sensor sensor, which has passed on U@{PARTITION}"
    ]
    assert below(world, "U", partition=PARTITION) == {"U", "D"}
