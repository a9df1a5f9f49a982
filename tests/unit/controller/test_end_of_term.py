"""At the end of a term, and of a watcher: nothing more goes out, and nothing is waited for that will not come."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.controller.dispatch.jobs import EffectDone
from coordinator.errors import LeadershipLost
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Action
from coordinator.runners.port import StartRequest
from tests.worlds.simulated import SimulatedWatcher, SimulatedWorld


@pytest.fixture
def world() -> SimulatedWorld:
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.first_run("A")
    return world


def leader(world: SimulatedWorld) -> SimulatedWatcher:
    assert world.watcher is not None
    return world.watcher


@pytest.mark.promise("leader-only")
def test_no_request_goes_out_once_etcd_has_said_that_another_one_leads(
    world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still believes that its lease lasts. What waits to be sent belongs to whoever leads by now."""
    watcher = leader(world)
    reconciler = watcher.reconciler
    out: list[Callable[[], EffectDone]] = []
    monkeypatch.setattr(watcher, "effect", lambda _, job: out.append(job))
    request = StartRequest("D", Action.CREATE, "r", "t")
    dispatcher = watcher.dispatchers.get("default")
    assert dispatcher is not None
    dispatcher.send(Target(PipelineRef("default", "D"), "p"), request, world.clock.seconds)

    def fenced(term: int) -> list[Target]:
        raise LeadershipLost(f"a test, in term {term}")

    monkeypatch.setattr(reconciler.ledger, "flush", fenced)
    assert reconciler.step(()), "its candidate is to find out at once"
    assert not out


def test_while_it_drains_there_is_no_moment_to_wake_up_for(world: SimulatedWorld) -> None:
    """One that has passed would keep the deciding thread spinning until the last answer."""
    reconciler = leader(world).reconciler
    reconciler.drain()
    reconciler.step(())
    world.clock.seconds += 10_000
    reconciler.propagation.now = world.clock.now()
    assert reconciler.wake_at() is None
