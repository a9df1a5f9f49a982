"""The same promises when everything is scarce: tiny steps, tiny rooms, and requests that always wait too long."""

from __future__ import annotations

import pytest

from coordinator.watcher import lanes, reconciler, rooms
from tests.simulation.drawing import draw
from tests.simulation.playing import play


@pytest.mark.parametrize("enough", [1, 3])
def test_all_promises_hold_in_steps_as_small_as_can_be(monkeypatch: pytest.MonkeyPatch, enough: int) -> None:
    monkeypatch.setattr(reconciler, "SLICE", enough)
    monkeypatch.setattr(rooms.Rooms.__init__, "__kwdefaults__", {"size": enough})
    monkeypatch.setattr(lanes, "LOOKED_LONG_AGO", 0.01)
    for seed in range(60):
        outcome = play(draw(seed))
        assert outcome.broken is None, outcome.story
