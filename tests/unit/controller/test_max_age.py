"""``max_age``: a completion that is too old does not count, and time alone closes the gate."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.model.view import Readiness
from coordinator.store.port import Put
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import target

DAY = "2026-11-20T00:00:00Z"
HOUR = timedelta(hours=1).total_seconds()


@pytest.fixture
def world() -> SimulatedWorld:
    """D needs A, and a load of G that is not older than 36 hours."""
    world = SimulatedWorld()
    gate = {"pipeline": "G", "partition": "latest", "trigger": False, "max_age": "36 hours"}
    world.dependencies({"D": ["A", gate], "E": ["D", "X"]})
    world.comes("G", DAY)
    return world


def test_what_is_fresh_counts(world: SimulatedWorld) -> None:
    world.clock.seconds += 35 * HOUR
    world.comes("A", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 1


def test_what_is_too_old_does_not_count_until_it_has_been_renewed(world: SimulatedWorld) -> None:
    world.clock.seconds += 37 * HOUR
    world.comes("A", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.rerun("G", partition=DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 1


def test_time_alone_makes_a_gate_too_old_for_what_waits_behind_it(world: SimulatedWorld) -> None:
    """R -> A: D waits for A, and E for D. When the gate closes D is not coming any more, and E is told."""
    world.dependencies(
        {
            "A": "R",
            "D": ["A", {"pipeline": "G", "trigger": False, "max_age": "36 hours"}],
            "E": {"upstream": {"any": ["D", "X"]}},
        }
    )
    world.by_hand("A")
    world.comes("R", DAY)
    world.comes("X", DAY)
    world.settle()
    assert world.watcher is not None
    propagation = world.watcher.reconciler.propagation
    assert propagation.readiness(target("D", DAY)) is Readiness.BUSY
    assert world.runs("E", partition=DAY) == 0  # it waits for D, which is coming
    world.clock.seconds += 37 * HOUR
    world.settle()
    assert propagation.readiness(target("D", DAY)) is Readiness.SETTLED
    assert world.runs("E", partition=DAY) == 1


def test_a_report_that_does_not_say_when_is_not_fresh(world: SimulatedWorld) -> None:
    world.write(Put(world.keys.state(target("G", DAY)), b"success"))
    world.comes("A", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 0


@pytest.mark.promise("not-early")
@pytest.mark.parametrize("is_asked_late", [False, True])
def test_a_task_is_as_old_as_its_end_however_late_it_is_looked_at(*, is_asked_late: bool) -> None:
    """``load`` ended ten days ago. It is asked about for the first time, or again after a clear of another task."""
    world = SimulatedWorld()
    gate = {"pipeline": "U", "task": "load", "trigger": False, "max_age": "1 hour"}
    waits = {"X": "U", "D": {"upstream": ["R", gate]}}
    world.dependencies({"X": "U"} if is_asked_late else waits)
    world.has_tasks("U", load="", check="")
    world.by_hand("U")
    world.trigger("U", partition=DAY)
    world.start("U", partition=DAY)
    world.task("U", "load", "success", partition=DAY)
    world.settle()
    world.finish("U", partition=DAY)
    world.settle()
    world.clock.seconds += 240 * HOUR
    world.dependencies(waits)
    if not is_asked_late:
        world.clear_tasks("U", "check", partition=DAY)
        world.run("U", partition=DAY)
        world.settle()
    world.comes("R", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.clear_tasks("U", "load", partition=DAY)
    world.start("U", partition=DAY)
    world.task("U", "load", "success", partition=DAY)
    world.finish("U", partition=DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 1


@pytest.mark.promise("not-early")
def test_a_run_is_as_old_as_its_end_however_late_it_is_seen() -> None:
    """Nothing reports in this environment, and no watcher ran for the ten days after the end of U."""
    world = SimulatedWorld(observed=True)
    gate = {"pipeline": "U", "trigger": False, "max_age": "1 hour"}
    world.dependencies({"D": {"upstream": ["R", gate]}})
    world.by_hand("U")
    world.trigger("U", partition=DAY)
    world.start("U", partition=DAY)
    world.settle()
    world.stop_watcher()
    world.finish("U", partition=DAY)
    world.clock.seconds += 240 * HOUR
    world.start_watcher()
    world.settle()
    world.comes("R", DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 0
    world.rerun("U", partition=DAY)
    world.settle()
    assert world.runs("D", partition=DAY) == 1
