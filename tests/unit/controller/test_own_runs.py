"""A start that waits for the end of its own run is told, once it has waited for a while."""

from __future__ import annotations

from coordinator.controller.reconcile.own_runs import TOLD_AFTER, OwnRuns
from coordinator.model.references import PipelineRef, Target

ONE = Target(PipelineRef("jobs", "extract"), "2026-11-26T00:00:00Z")


def test_a_run_that_goes_on_is_told_after_a_while_and_no_more_once_it_has_ended() -> None:
    runs = OwnRuns()
    runs.waits(ONE, "r", 100.0)
    runs.waits(ONE, "r", 100.5)
    assert not runs.problems(100.0 + TOLD_AFTER - 0.1)
    (told,) = runs.problems(100.0 + TOLD_AFTER).items()
    assert told[0] == f"start of {ONE}"
    assert "its run r still goes on" in told[1]
    runs.waits(ONE, "r2", 120.0)
    assert not runs.problems(120.5)
    runs.goes_on(ONE)
    assert not runs.problems(1000.0)
