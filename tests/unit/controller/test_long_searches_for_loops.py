"""A search for a loop that would be too long lets no sensor pass early."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.model import loops
from tests.worlds.simulated import SimulatedWorld

WEEK = "2026-11-16T00:00:00Z"


def _rollup(pipeline: str, window: str) -> dict[str, Any]:
    return {"upstream": {"pipeline": pipeline, "partition": {"mapper": "rollup", "window": window}}}


@pytest.mark.promise("not-early")
def test_a_sensor_waits_for_an_upstream_that_is_to_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """U has more above it than is searched. Its own sensor is to be cleared once V has run again."""
    monkeypatch.setattr(loops, "MAX_TARGETS", 20)
    world = SimulatedWorld(environments=("default",))
    world.dependencies({"U": _rollup("T", "week"), "T": _rollup("H", "day")})
    for name in ("U", "D"):
        world.has_tasks(name, sensor="below", below="")
    world.by_hand("U", "V", "D")
    world.trigger("V", partition=WEEK)
    world.run("V", partition=WEEK)
    world.trigger("U", partition=WEEK)
    world.start("U", partition=WEEK)
    world.passes("U", "sensor", "V", partition=WEEK)
    world.task("U", "below", "success", partition=WEEK)
    world.finish("U", partition=WEEK)
    world.settle()
    world.clear("V", partition=WEEK)
    world.start("V", partition=WEEK)
    world.settle()
    world.trigger("D", partition=WEEK)
    world.start("D", partition=WEEK)
    world.task("D", "sensor", "deferred", partition=WEEK)
    world.wait("D", "sensor", "U", partition=WEEK)
    world.settle()
    assert world.answer("D", "sensor", partition=WEEK) == "waiting"
