"""A request that has waited long in its lane looks again at D's own run, too, before it goes out.

That its inputs are looked at again is played as a case (``case_silent_clear_while_many_wait``).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.model.trigger import Status
from coordinator.watcher.lanes import PREFETCH, EffectDone
from tests.worlds.simulated import SimulatedWorld

AT_ONCE = 4 * PREFETCH
"""What a lane of these worlds hands out at once."""

NAMES = [f"team_b/D{number}" for number in range(AT_ONCE + 3)]


def waiting(world: SimulatedWorld) -> list[str]:
    """Whose requests have not been handed out."""
    assert world.watcher is not None
    return [str(job.target.pipeline) for job in world.watcher.reconciler._lanes["team_b"]._waiting]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> SimulatedWorld:
    """Every D is to be cleared; as many requests as may be are under way and get no answer, the others wait."""
    world = SimulatedWorld()
    world.dependencies(dict.fromkeys(NAMES, "A"))
    world.first_run("A")
    world.by_hand(*NAMES)
    watcher = world.watcher
    assert watcher is not None
    held: list[Callable[[], EffectDone]] = []
    effect = watcher.effect

    def hold(environment: str, job: Callable[[], EffectDone]) -> None:
        if environment == "team_b":
            held.append(job)
        else:
            effect(environment, job)

    with monkeypatch.context() as patched:
        patched.setattr(watcher, "effect", hold)
        world.rerun("A")
        world.settle()
    watcher._jobs.extend(held)
    assert len(waiting(world)) == len(NAMES) - AT_ONCE
    return world


def test_what_a_person_has_cleared_meanwhile_is_left_to_finish_and_runs_once_more(world: SimulatedWorld) -> None:
    names = waiting(world)
    for name in names:
        world.clear(name)
    world.settle()
    assert [world.requests(name) for name in names] == [1] * len(names)
    for name in names:
        world.run(name)
    world.settle()
    assert [world.requests(name) for name in names] == [2] * len(names)


def test_what_nobody_has_touched_goes_out(world: SimulatedWorld) -> None:
    world.settle()
    assert [world.requests(name) for name in NAMES] == [2] * len(NAMES)


def test_a_run_that_has_been_deleted_meanwhile_is_created_again(world: SimulatedWorld) -> None:
    name = waiting(world)[0]
    world.delete_run(name)
    world.settle()
    record = world.record(name)
    assert record is not None
    assert (record.status, world.requests(name)) == (Status.SENT, 2)


def test_who_gives_no_answer_is_asked_again(world: SimulatedWorld) -> None:
    world.down("team_b")
    world.settle()
    assert [world.requests(name) for name in NAMES] == [1] * len(NAMES)
    world.up("team_b")
    world.settle()
    assert [world.requests(name) for name in NAMES] == [2] * len(NAMES)
