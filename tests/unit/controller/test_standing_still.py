"""A watcher that stood still takes nothing that it finds for live, although its watch was never cut."""

from __future__ import annotations

import pytest

from coordinator.controller.reconcile.event_handling import STOOD_STILL
from tests.worlds.simulated import SimulatedWorld


def test_what_piled_up_meanwhile_is_looked_at() -> None:
    """A -> D. While the watcher stands still A ends, and is cleared by hand, silently: D waits for its new attempt."""
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.clear("A")
    world.start("A")
    world.settle()
    assert world.watcher is not None
    world.watcher.frozen = True
    world.finish("A")
    world.clear("A")
    world.clock.seconds += 5.0  # shorter than its lease: it leads all the time
    world.watcher.frozen = False
    world.settle()
    assert world.runs("D") == 1
    world.run("A")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("not-early")
def test_what_has_waited_to_be_taken_in_is_looked_at() -> None:
    """The same, but the watcher takes steps all the time, and has more to take in than it can."""
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.clear("A")
    world.start("A")
    world.settle()
    watcher = world.watcher
    assert watcher is not None
    watcher.frozen = True
    world.finish("A")
    world.clear("A")
    watcher.frozen = False
    watcher.lag = STOOD_STILL + 0.5
    world.settle()
    assert world.runs("D") == 1
    world.run("A")
    world.settle()
    assert world.runs("D") == 2
