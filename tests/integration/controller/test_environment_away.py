"""An environment that is away holds back its own pipelines, and nobody else's, and catches up."""

from __future__ import annotations

import threading

import pytest

from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld
from tests.standin.faults import KINDS, Fault


@pytest.mark.promise("downtime")
@pytest.mark.parametrize("how", ["nobody listens", "it hangs", "it answers 503"])
def test_pipelines_of_others_go_on_while_an_environment_is_away_and_it_catches_up(world: FaultyWorld, how: str) -> None:
    below = ("team_b/B", "C", "X", "Y", "Z", "team_b/V")
    world.dependencies({"team_b/B": "R", "C": "team_b/B", "X": "R", "Y": "X", "team_b/V": "S", "Z": ["X", "team_b/V"]})
    world.complete("S")
    world.complete("R")
    world.settle()
    assert world.counts(*below) == dict.fromkeys(below, 1)
    world.pass_time()  # nothing is fresh any more: Z's input in team_b would be looked at
    team_b, never = world.airflows["team_b"], threading.Event()
    failures = _failures(world)
    if how == "nobody listens":
        world.down("team_b")
    else:
        for kind in KINDS:
            team_b.faults.always(kind, Fault.hang(never) if how == "it hangs" else Fault.answer(503))
    world.complete("R", wave=2)
    until(lambda: _failures(world) > failures, "the environment is known to be away")
    for wave in (2, 3):
        if wave == 3:
            world.complete("R", wave=wave)
        world.until_done("X", "Y", "Z", runs=wave)
        assert world.counts("team_b/B", "C") == {"team_b/B": 1, "C": 1}
    if how == "nobody listens":
        world.up("team_b")
    else:
        team_b.faults.clear()  # what hangs, hangs: a request that acts long after its time-out is another test's
    world.until_done("team_b/B", "C", runs=2)
    world.settle()
    assert world.counts(*below) == {"team_b/B": 2, "C": 2, "X": 3, "Y": 3, "Z": 3, "team_b/V": 1}, (
        "two completions of R in one partition in the meantime count as one"
    )


def _failures(world: FaultyWorld) -> int:
    assert world.watcher is not None
    dispatcher = world.watcher._dispatchers.get("team_b")
    assert dispatcher is not None
    return dispatcher.failures + dispatcher._look_failures
