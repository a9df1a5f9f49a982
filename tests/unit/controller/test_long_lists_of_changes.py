"""An observed environment in which more has changed than one question reads: every run is seen, whatever happens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from coordinator.model.retention.watermark import Watermark, dump_watermark
from coordinator.model.runstate import State
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import EnvironmentUnavailable
from coordinator.store.port import Put
from tests.airflow_model.rest import Call
from tests.worlds import simulated
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.simulated_airflow import DirectLine
from tests.worlds.world import target

MANY = 500


def _downtime(runs: int) -> SimulatedWorld:
    """While no watcher ran, so many runs have changed, U last of all."""
    world = SimulatedWorld(observed=True, environments=("default",))
    world.by_hand("U", "noise")
    world.dependencies({"D": "U"})
    world.settle()
    world.stop_watcher()
    airflow = world.airflows["default"]
    for number in range(runs):
        airflow.create("noise", f"n{number}")
        airflow.begin("noise", f"n{number}")
        airflow.end("noise", f"n{number}", State.SUCCESS)
    world.trigger("U")
    world.run("U")
    return world


@pytest.mark.promise("following")
@pytest.mark.parametrize("pages", [1, 2])
def test_a_slow_environment_is_read_to_the_end(monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    """It answers so many pages in the time of a question."""

    class Slow(DirectLine):
        left = 0

        def get(self, path: str, *, deadline: Deadline, query: Mapping[str, Any] | None = None) -> Any:
            if path == "/dags/~/dagRuns":
                if self.left == 0:
                    self.left = pages
                    raise EnvironmentUnavailable("timed out")
                self.left -= 1
            return super().get(path, deadline=deadline, query=query)

    monkeypatch.setattr(simulated, "DirectLine", Slow)
    world = _downtime(MANY)
    world.start_watcher()
    world.settle_until(lambda: world.runs("D") == 1, "the last run is seen")


@pytest.mark.promise("following")
def test_runs_that_are_deleted_between_two_pages_hide_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cleaned(DirectLine):
        has_cleaned = False

        def act(self, call: Call) -> tuple[int, Any]:
            answer = super().act(call)
            if int(call.filters.get("offset", ["0"])[0]) > 0 and not self.has_cleaned:
                type(self).has_cleaned = True
                for number in range(150):
                    self.airflow.delete("noise", f"n{number}")
            return answer

    world = _downtime(250)
    monkeypatch.setattr(simulated, "DirectLine", Cleaned)
    world.start_watcher()
    world.settle()
    assert Cleaned.has_cleaned
    assert world.runs("D") == 1


@pytest.mark.promise("following", "bad-input")
def test_what_ended_while_a_watermark_could_not_be_read_is_seen_afterwards() -> None:
    world = SimulatedWorld(observed=True, environments=("default",))
    world.by_hand("U")
    world.dependencies({"D": "U"})
    key = world.keys.watermark(target("U").pipeline)
    world.write(Put(key, b"rubbish"))
    world.stop_watcher()
    world.start_watcher()
    world.settle()
    world.trigger("U")
    world.run("U")
    for _ in range(5):
        world.settle()
    assert world.runs("D") == 0
    world.write(Put(key, dump_watermark(Watermark(datetime(2026, 1, 1, tzinfo=UTC), 0))))
    world.settle()
    assert world.runs("D") == 1
