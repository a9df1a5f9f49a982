"""An observed environment whose scheduler has another clock than its API server: its runs are seen all the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.controller.reconcile.environment_poller import OVERLAP
from tests.worlds.simulated import SimulatedWorld

LATE = timedelta(seconds=20)


def _watched(behind: timedelta) -> SimulatedWorld:
    world = SimulatedWorld(observed=True)
    world.airflows["default"].behind = behind
    world.dependencies({"D": "U"})
    world.by_hand("U")
    for _ in range(6):
        world.settle()
    return world


def _problem(world: SimulatedWorld) -> str:
    assert world.watcher is not None
    return world.watcher.reconciler.environment_poller.problems().get("default", "")


@pytest.mark.promise("following")
@pytest.mark.parametrize("behind", [timedelta(0), LATE, OVERLAP + LATE, timedelta(hours=3)], ids=str)
def test_runs_are_seen_whatever_the_clock_of_the_scheduler(behind: timedelta) -> None:
    world = _watched(behind)
    world.trigger("U")
    world.run("U")
    world.settle()
    assert world.runs("D") == 1
    world.rerun("U")
    world.settle()
    assert world.runs("D") == 2
    assert bool(_problem(world)) is (behind > LATE)


def test_a_clock_that_is_behind_is_told_until_it_is_set() -> None:
    world = _watched(OVERLAP)
    assert "the last heartbeat of its scheduler is 60 s old" in _problem(world)
    world.airflows["default"].behind = timedelta(0)
    world.settle()
    world.settle()
    assert not _problem(world)
