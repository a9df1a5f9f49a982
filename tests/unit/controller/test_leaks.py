"""What a watcher keeps about single targets goes when it is of no more use, also within a long term."""

from __future__ import annotations

from tests.worlds.simulated import SimulatedWatcher, SimulatedWorld


def leader(world: SimulatedWorld) -> SimulatedWatcher:
    assert world.watcher is not None
    return world.watcher


def test_nothing_is_kept_of_a_refusal_that_is_over() -> None:
    world = SimulatedWorld()
    world.dependencies({"nowhere/D": "A"})
    world.first_run("A")
    retry_at = leader(world).reconciler.reconcile._retry_at
    assert len(retry_at) == 1
    world.dependencies({"E": "A"})
    world.settle()
    assert not retry_at


def test_nothing_is_kept_of_what_was_asked_when_a_term_ends() -> None:
    world = SimulatedWorld()
    world.dependencies({"team_b/D": ["A", "B"]})
    world.first_run("A", "B")
    world.pass_time()
    watcher = leader(world)
    checks = watcher.reconciler._checks
    world.clear("A")
    world.start("A")
    world.finish("A")
    for _ in range(100):
        if checks._askers:
            break
        watcher._jobs.clear()  # nobody ever answers
        watcher.turn()
    assert checks._askers
    watcher.reconciler._term._leadership = lambda: None
    watcher.reconciler.step(())
    assert not [*checks._askers, *checks._pending, *checks._subjects]


def test_nothing_is_kept_in_the_queue_or_by_the_dispatchers_of_what_has_ended() -> None:
    world = SimulatedWorld()
    world.dependencies({"team_b/D": "A", "E": "team_b/D"})
    for number in range(50):
        world.trigger("A", partition=f"2026-11-01T00:00:{number:02}Z")
    world.settle()
    world.clock.seconds += 100
    world.settle()
    reconciler = leader(world).reconciler
    assert reconciler.is_idle()
    assert len(reconciler.queue) == 0
    assert not reconciler._checks._pending
    assert not reconciler._checks._askers
    assert len(reconciler.reconcile.requests) == 0
    for dispatcher in leader(world).dispatchers.all():
        admission = dispatcher.admission
        assert dispatcher.is_idle()
        assert (admission.waiting, admission.slots_taken, admission._environment.inside) == (0, 0, set())
