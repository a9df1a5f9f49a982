"""The clock that the drills step is the one that the coordinator reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest

from coordinator.airflow_plugin import outbox
from coordinator.airflow_plugin.outbox import Outbox
from coordinator.controller import clock
from tests.faults.wall_clock import modules, stepped

HOUR = 3600.0
SOON = 60.0


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_stepped_clock_shows_in_the_time_of_day_and_in_nothing_else(seconds: float, tmp_path: Path) -> None:
    with stepped(clock, seconds), stepped(outbox, seconds):
        told = clock.SystemClock()
        assert (told.now() - datetime.now(UTC)).total_seconds() == pytest.approx(seconds, abs=SOON)
        assert told.monotonic() == pytest.approx(monotonic(), abs=SOON)
        written_at = Outbox.written_at(Outbox(tmp_path)._next_name())
        assert written_at == pytest.approx(datetime.now(UTC).timestamp() + seconds, abs=SOON)
    assert (clock.SystemClock().now() - datetime.now(UTC)).total_seconds() == pytest.approx(0.0, abs=SOON)


def test_everything_that_a_watcher_and_a_listener_ask_for_the_time_is_found() -> None:
    found = {module.__name__ for module in modules()}
    assert {
        "coordinator.controller.clock",
        "coordinator.store.election",
        "coordinator.airflow_plugin.reporter",
    } <= found
    assert {
        "coordinator.runners.airflow.answers",
        "coordinator.controller.dispatch.dispatcher",
        "coordinator.airflow_plugin.outbox",
    } <= found
