"""The wall clock of a leader goes back between two looks at a sensor."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.worlds import simulated
from tests.worlds.sensor_cases import with_sensor
from tests.worlds.simulated import SimulatedWorld, VirtualClock


class SteppedClock(VirtualClock):
    """:ivar step: by which its time of day has been changed."""

    step = timedelta()

    def now(self) -> datetime:
        return super().now() + self.step


@pytest.mark.promise("clock-steps")
@pytest.mark.parametrize("hours", [0, -1])
def test_a_sensor_that_was_cleared_is_found_out_by_a_second_look(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """It was skipped, so nothing keeps up E, which waits for D. A first look may be older than the wait of the sensor;
    the second one is not, whatever the clock says."""
    monkeypatch.setattr(simulated, "VirtualClock", SteppedClock)
    world = SimulatedWorld()
    with_sensor(world, E=["D", "U"])
    world.clear("D")
    world.start("D")
    world.task("D", "sensor", "skipped")
    world.finish("D")
    world.settle()
    runs = world.runs("E")
    world.clear("U")
    world.start("U")
    world.settle()
    world.finish("U")
    assert world.watcher is not None
    dispatcher = world.watcher.dispatchers.get("default")
    assert dispatcher is not None
    first = dispatcher.looks_sent
    world.settle_until(lambda: dispatcher.looks_sent > first, "a look has gone out")
    assert world.answer("D", "sensor") is not None
    assert isinstance(world.clock, SteppedClock)
    world.clock.step = timedelta(hours=hours)
    world.settle()
    assert world.answer("D", "sensor") is None
    assert world.runs("E") == runs + 1
    assert dispatcher.looks_sent < first + 10
