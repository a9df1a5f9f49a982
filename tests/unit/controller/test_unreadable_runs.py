"""A run that cannot be read stops nothing but itself in an observed environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.worlds import simulated
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.simulated_airflow import DirectLine
from tests.worlds.world import PARTITION


def _observed() -> SimulatedWorld:
    world = SimulatedWorld(observed=True)
    world.dependencies({"D": "U", "E": "V"})
    world.by_hand("U", "V")
    return world


@pytest.mark.promise("bad-input")
def test_half_of_a_surrogate_pair_in_a_conf_does_not_hide_a_run() -> None:
    world = _observed()
    world.airflows["default"].create("V", "by_hand", partition_key="other", conf={"x": "\ud800"})
    world.trigger("U")
    world.run("U")
    world.run("V", partition="other")
    world.settle()
    assert (world.runs("D"), world.runs("E", partition="other")) == (1, 1)


@pytest.mark.promise("bad-input")
def test_a_run_that_cannot_be_read_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    class Line(DirectLine):
        def act(self, call: Any) -> tuple[int, Any]:
            status, body = super().act(call)
            for run in body.get("dag_runs", ()):
                if run["dag_id"] == "V":
                    run["state"] = "of another kind"
            return status, body

    monkeypatch.setattr(simulated, "DirectLine", Line)
    world = _observed()
    for partition in ("one", "two"):
        world.airflows["default"].create("V", partition, partition_key=partition)
    world.trigger("U")
    world.run("U")
    world.settle()
    assert world.runs("D") == 1
    assert world.state("V", partition="one") is None


@pytest.mark.promise("bad-input")
def test_a_page_of_a_proxy_passes_over_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Line(DirectLine):
        is_wrong = False

        def _exchange(self, method: str, path: str, **more: Any) -> Any:
            answer = super()._exchange(method, path, **more)
            return replace(answer, body=b"<html>sign in</html>") if self.is_wrong else answer

    monkeypatch.setattr(simulated, "DirectLine", Line)
    world = _observed()
    monkeypatch.setattr(Line, "is_wrong", True)
    world.trigger("U")
    world.run("U")
    world.settle()
    assert world.state("U", partition=PARTITION) is None
    monkeypatch.setattr(Line, "is_wrong", False)
    world.settle()
    assert world.runs("D") == 1
