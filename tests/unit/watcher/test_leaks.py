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
    flights = leader(world).reconciler.flights
    assert len(flights._blocked_until) == 1
    world.dependencies({"E": "A"})
    world.settle()
    assert not flights._blocked_until


def test_nothing_is_kept_of_what_was_asked_when_a_term_ends() -> None:
    world = SimulatedWorld()
    world.dependencies({"team_b/D": ["A", "B"]})
    world.first_run("A", "B")
    world.pass_time()
    watcher = leader(world)
    looks = watcher.reconciler._looks
    world.clear("A")
    world.start("A")
    world.finish("A")
    for _ in range(100):
        if looks._askers:
            break
        watcher._jobs.clear()  # nobody ever answers
        watcher.turn()
    assert looks._askers
    watcher.reconciler._term._leadership = lambda: None
    watcher.reconciler.step(())
    assert not [*looks._askers, *looks._tickets, *looks._subjects]


def test_nothing_is_kept_on_the_agenda_or_in_the_lanes_of_what_has_ended() -> None:
    world = SimulatedWorld()
    world.dependencies({"team_b/D": "A", "E": "team_b/D"})
    for number in range(50):
        world.trigger("A", partition=f"2026-11-01T00:00:{number:02}Z")
    world.settle()
    world.clock.seconds += 100
    world.settle()
    reconciler = leader(world).reconciler
    assert reconciler.is_idle()
    assert reconciler.agenda.size() == 0
    assert not reconciler._looks._tickets
    assert not reconciler._looks._askers
    assert not any(room.inside or room.line for rooms in reconciler._rooms._rooms.values() for room in rooms.values())
    assert not any(lane._under_way or lane.waiting(fresh=True) for lane in reconciler._lanes.values())
