"""A defect that one target brings to light breaks that target alone: it is shown, counted, and tried again slowly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.model.decide import Decision
from coordinator.model.trigger import TriggerRecord
from coordinator.watcher.reconciler import BROKEN_RETRY
from tests.worlds.simulated import SimulatedWatcher, SimulatedWorld
from tests.worlds.world import target


def test_an_exception_about_one_target_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SimulatedWorld()
    monkeypatch.setattr(SimulatedWatcher, "turn", turn_although_broken(SimulatedWatcher.turn))
    world.dependencies({"D": "A", "E": "A", "F": "E"})
    assert world.watcher is not None
    reconciler = world.watcher.reconciler
    examine = reconciler.reconcile.examine

    def broken(decision: Decision, record: TriggerRecord | None, now: float) -> None:
        if decision.target == target("D"):
            raise ZeroDivisionError("a test")
        examine(decision, record, now)

    monkeypatch.setattr(reconciler.reconcile, "examine", broken)
    world.first_run("A")
    assert [world.runs(name) for name in ("D", "E", "F")] == [0, 1, 1]
    assert reconciler.broken == {target("D"): "a defect of the coordinator: ZeroDivisionError: a test"}
    assert reconciler.counters.snapshot()["broken"] == 1

    monkeypatch.setattr(reconciler.reconcile, "examine", examine)
    world.clock.seconds += BROKEN_RETRY
    world.settle()
    assert world.runs("D") == 1
    assert reconciler.broken == {}


def turn_although_broken(turn: Callable[[SimulatedWatcher], bool]) -> Callable[[SimulatedWatcher], bool]:
    """These worlds end where something is broken; here it is what is wanted."""

    def turned(self: SimulatedWatcher) -> bool:
        try:
            return turn(self)
        except AssertionError:
            assert self.reconciler.broken
            return False

    return turned
