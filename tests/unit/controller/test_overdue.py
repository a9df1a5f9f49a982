"""A request that has waited too long to be sent is decided again, on what its environments show then.

That its inputs are looked at again is played as a case (``case_silent_clear_while_many_wait``). Here it is D's own run.
"""

from __future__ import annotations

import pytest

from coordinator.controller.dispatch.dispatcher import STALE_AFTER
from coordinator.model.trigger import Status
from tests.worlds.simulated import SimulatedWorld

pytestmark = pytest.mark.promise("slow")

NAMES = [f"team_b/D{number}" for number in range(6)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> SimulatedWorld:
    """Every D is to be cleared; the intents are written, and the requests wait for longer than they may."""
    world = SimulatedWorld()
    world.dependencies(dict.fromkeys(NAMES, "A"))
    world.first_run("A")
    world.by_hand(*NAMES)
    watcher = world.watcher
    assert watcher is not None
    dispatcher = watcher.dispatchers.get("team_b")
    assert dispatcher is not None
    with monkeypatch.context() as patched:
        patched.setattr(dispatcher, "_may_send", lambda: False)
        world.rerun("A")
        while len(watcher.reconciler.reconcile.requests) < len(NAMES):
            world.tick_once()
        world.clock.seconds += STALE_AFTER + 1
    return world


def test_what_a_person_has_cleared_meanwhile_is_left_to_finish_and_runs_once_more(world: SimulatedWorld) -> None:
    for name in NAMES:
        world.clear(name)
    world.settle()
    assert [world.requests(name) for name in NAMES] == [1] * len(NAMES)
    for name in NAMES:
        world.run(name)
    world.settle()
    assert [world.requests(name) for name in NAMES] == [2] * len(NAMES)


def test_what_nobody_has_touched_goes_out(world: SimulatedWorld) -> None:
    world.settle()
    assert [world.requests(name) for name in NAMES] == [2] * len(NAMES)


def test_a_run_that_has_been_deleted_meanwhile_is_created_again(world: SimulatedWorld) -> None:
    world.delete_run(NAMES[0])
    world.settle()
    record = world.record(NAMES[0])
    assert record is not None
    assert (record.status, world.requests(NAMES[0])) == (Status.SENT, 2)


def test_what_gives_no_answer_is_asked_again(world: SimulatedWorld) -> None:
    world.down("team_b")
    world.settle()
    assert [world.requests(name) for name in NAMES] == [1] * len(NAMES)
    world.up("team_b")
    world.settle()
    assert [world.requests(name) for name in NAMES] == [2] * len(NAMES)
