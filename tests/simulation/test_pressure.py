"""The same promises when everything is scarce: tiny steps, few slots, and requests that always wait too long."""

from __future__ import annotations

import pytest

from coordinator.controller import reconciler
from coordinator.controller.dispatch import dispatcher
from tests.simulation.drawing import draw
from tests.simulation.playing import play


@pytest.mark.promise("slow")
@pytest.mark.parametrize("enough", [1, 3])
def test_all_promises_hold_in_steps_as_small_as_can_be(monkeypatch: pytest.MonkeyPatch, enough: int) -> None:
    monkeypatch.setattr(reconciler, "SLICE", enough)
    monkeypatch.setattr(dispatcher, "PREFETCH", 1)
    monkeypatch.setattr(dispatcher, "STALE_AFTER", 0.01)
    for seed in range(60):
        outcome = play(draw(seed))
        assert outcome.broken is None, outcome.story
