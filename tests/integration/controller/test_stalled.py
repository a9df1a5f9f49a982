"""A watcher whose deciding thread hangs while its other threads go on gives up the leadership."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest

from coordinator.controller import service
from coordinator.controller.messages import Message
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld

STALLED_AFTER = 4.0
"""Seconds. At rest a turn takes one; the other watcher, on a busy machine, must not count as stalled, too."""


@pytest.mark.promise("takeover")
def test_a_leader_whose_deciding_thread_stands_still_is_replaced_and_does_nothing_more_when_it_goes_on(
    world: FaultyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 4 s here, in place of 30."""
    monkeypatch.setattr(service, "STALLED_AFTER", STALLED_AFTER)
    world.dependencies({"D": "R", "E": "D"})
    first = world.watcher
    assert first is not None
    assert first.reconciler.leads
    step, stands_still, goes_on = first.reconciler.step, threading.Event(), threading.Event()

    def stand_still(messages: Iterable[Message], *, lag: float = 0.0) -> bool:
        stands_still.set()
        goes_on.wait()
        return step(messages, lag=lag)

    monkeypatch.setattr(first.reconciler, "step", stand_still)
    try:
        assert stands_still.wait(10)
        world.start_watcher()  # it leads, or the first one's lease is kept alive for ever
        assert first._candidate.leadership() is None
        world.complete("R")
        world.until_done("D", "E", runs=1)
    finally:
        goes_on.set()
    until(lambda: not first.reconciler.leads, "the first one has found out")
    world.complete("R", wave=2)
    world.until_done("D", "E", runs=2)
    world.settle()
    assert world.counts("D", "E") == {"D": 2, "E": 2}
    assert world.requests("D") == 2
