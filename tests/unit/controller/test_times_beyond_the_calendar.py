"""A report from the end of time, or about it, stops nothing but what waits for it: the watcher goes on."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.store.port import Put
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

LAST_DAY = (
    b'{"state": "success", "run_id": "r", "queued_at": "2026-11-20T00:00:00Z", "observed_at": "9999-12-31T23:59:59Z"}'
)
IN_TOKYO = {"mapper": "start_of_year", "timezone": "Asia/Tokyo"}


@pytest.mark.parametrize(
    ("entry", "partition"),
    [
        pytest.param({"upstream": ["A", "B"], "deadline": "1 hour"}, PARTITION, id="a deadline after it"),
        pytest.param({"upstream": [{"pipeline": "A", "max_age": "1 hour"}, "B"]}, PARTITION, id="an age from it on"),
        pytest.param({"upstream": {"pipeline": "A", "partition": IN_TOKYO}}, "9998-12-31T23:00:00Z", id="its year"),
    ],
)
def test_a_report_of_the_last_day_of_all_does_not_stop_the_watcher(entry: dict[str, Any], partition: str) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": entry, "F": "E"})
    world.write(Put(world.keys.state(target("A", partition)), LAST_DAY))
    world.settle()
    world.first_run("E")
    assert world.runs("F") == 1
