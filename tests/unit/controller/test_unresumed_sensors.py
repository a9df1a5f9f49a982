"""A sensor that has passed, and whose task stays deferred, is a problem: its triggerer has not read the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from coordinator.cli.wait_list import wait_as_json, waits_of
from coordinator.controller.reconcile.unresumed_sensors import NAMED
from coordinator.reading.explaining import explained
from coordinator.reading.reading import read
from coordinator.reading.unresumed_sensors import unresumed_in
from coordinator.store.port import Put
from coordinator.store.presence import Presence, Progress
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

PLACE = "sensor D:sensor in run scheduled__2026-11-20T00:00:00Z"


@pytest.fixture
def world() -> SimulatedWorld:
    """U has completed, and D runs, with a sensor that waits for it."""
    world = SimulatedWorld()
    world.dependencies({"X": "U"})
    world.has_tasks("D", sensor="below", below="")
    world.by_hand("D", "U", "X")
    world.trigger("U")
    world.run("U")
    world.trigger("D")
    world.start("D")
    world.task("D", "sensor", "deferred")
    return world


def problems(world: SimulatedWorld) -> dict[str, str]:
    assert world.watcher is not None
    return world.watcher.reconciler.problems()


def later(world: SimulatedWorld, seconds: float = 61) -> None:
    """So much time passes, in which the watcher looks now and then."""
    until = world.clock.seconds + seconds
    while world.clock.seconds < until:
        world.clock.seconds += 5
        world.settle()


@pytest.mark.parametrize("rerun", ["ignore", "clear"])
def test_a_sensor_that_has_passed_and_stays_deferred_is_a_problem(world: SimulatedWorld, rerun: str) -> None:
    world.wait("D", "sensor", "U", rerun=rerun)
    world.settle()
    assert world.answer("D", "sensor") == "passed"
    assert problems(world) == {}
    with structlog.testing.capture_logs() as logs:
        later(world, 180)
    assert PLACE in problems(world)
    assert "passed at 20" in problems(world)[PLACE]
    assert "look at the triggerer of default" in problems(world)[PLACE]
    assert len([one for one in logs if one["event"] == "wait.not_resumed"]) == 1
    assert world.answer("D", "sensor") == "passed"
    world.task("D", "sensor", "running")
    later(world)
    assert problems(world) == {}
    world.task("D", "sensor", "success")
    later(world)
    assert (problems(world), world.answer("D", "sensor")) == ({}, "passed")


@pytest.mark.parametrize("state", ["success", "running", "scheduled", "up_for_reschedule", "failed"])
def test_one_whose_task_has_gone_on_is_none(world: SimulatedWorld, state: str) -> None:
    world.wait("D", "sensor", "U")
    world.settle()
    world.task("D", "sensor", state)
    later(world, 180)
    assert problems(world) == {}


def test_one_that_is_cleared_and_waits_again_is_none(world: SimulatedWorld) -> None:
    world.wait("D", "sensor", "U")
    world.settle()
    later(world, 130)
    assert PLACE in problems(world)
    world.clear_tasks("D", "sensor")
    world.task("D", "sensor", "deferred")
    world.wait("D", "sensor", "R")
    later(world)
    assert problems(world) == {}


def test_another_leader_finds_out_too(world: SimulatedWorld) -> None:
    world.wait("D", "sensor", "U")
    world.settle()
    world.stop_watcher()
    world.start_watcher()
    later(world, 180)
    assert PLACE in problems(world)


def test_of_many_some_are_named_and_the_others_counted() -> None:
    world = SimulatedWorld()
    sensors = [f"sensor_{number:02}" for number in range(NAMED + 3)]
    world.dependencies({"X": "U"})
    world.has_tasks("D", **dict.fromkeys(sensors, ""))
    world.by_hand("D", "U", "X")
    world.trigger("U")
    world.run("U")
    world.trigger("D")
    world.start("D")
    for sensor in sensors:
        world.task("D", sensor, "deferred")
        world.wait("D", sensor, "U")
    later(world, 180)
    found = problems(world)
    assert len(found) == NAMED + 1
    assert found["sensors of default"].startswith("3 more have passed, but their tasks have not resumed: look at")


def test_waits_goes_on_showing_it(world: SimulatedWorld) -> None:
    """What the leader's presence says is found in what ``waits`` lists."""
    world.wait("D", "sensor", "U")
    later(world, 180)
    progress = Progress(revision=1, news=1, warm=True, problems=problems(world))
    now = datetime.now(UTC)
    presence = Presence("w", "host", 1, "2026-11-20T00:00:00Z").progressed(progress, written_at=now, again_within=1.0)
    assert waits_of(read(world.store, world.keys), None, all_=False) == []
    world.write(Put(world.keys.watcher("w"), presence.to_value()))
    reading = read(world.store, world.keys)
    (seen,) = waits_of(reading, None, all_=False)
    assert seen.value.passed_at is not None  # type: ignore[union-attr]
    at = seen.value.passed_at + timedelta(minutes=12)  # type: ignore[union-attr]
    told = wait_as_json(reading, seen, at, waiting=None, unresumed=unresumed_in(reading))
    assert (told["status"], told["unresumed"]) == ("passed", True)
    assert told["says"] == "passed 12 min 0 s ago, its task has not resumed"
    found = explained(world.store, world.keys, target("D").pipeline, PARTITION, limits={})
    assert any(note.startswith("its sensor sensor passed at 20") for note in found.notes)
    (remedy,) = told["remedies"]
    assert remedy.startswith("look at the triggerer of default")
