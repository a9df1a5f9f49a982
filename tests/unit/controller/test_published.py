"""What is published for the first time does not fire for the past, and what cannot be read fires nothing at all.

Played by the real reconciler over the etcd in memory.
"""

from __future__ import annotations

import pytest

from coordinator.store.port import Put
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION

OTHER = "2026-11-21T00:00:00Z"


@pytest.mark.promise("not-for-the-past")
@pytest.mark.parametrize("watching", ["while a watcher runs", "while none runs"])
def test_states_that_are_there_when_dependencies_are_published_for_the_first_time_fire_nothing(watching: str) -> None:
    world = SimulatedWorld()
    world.first_run("R", "A")
    world.comes("R", OTHER)
    world.settle()
    if watching == "while none runs":
        world.stop_watcher()
    world.dependencies({"D": "R", "E": ["R", "A"], "F": "D", "team_b/G": {"upstream": {"any": ["R", "A"]}}})
    if watching == "while none runs":
        world.start_watcher()
    world.settle()
    assert [world.runs(name) for name in ("D", "E", "F", "team_b/G")] == [0, 0, 0, 0]
    assert world.runs("D", partition=OTHER) == 0
    world.rerun("R")
    world.settle()
    assert [world.runs(name) for name in ("D", "F", "team_b/G")] == [1, 1, 1], "what completes from then on does"
    assert world.runs("D", partition=OTHER) == 0


@pytest.mark.promise("bad-file")
@pytest.mark.parametrize("owner", ["default", "team_b"])
def test_a_watcher_that_starts_beside_a_published_document_that_cannot_be_read_fires_nothing_until_it_is_repaired(
    owner: str,
) -> None:
    """Its own or another owner's: what it does not know might be what a pipeline has to wait for."""
    world = SimulatedWorld()
    document = {"D": "R", "E": "D"}
    world.dependencies(document)
    world.dependencies({**document, "H": "D"})  # from here on the document itself says since when D depends on R
    world.first_run("R")
    assert world.runs("E") == 1
    key = world.keys.dependencies(owner)
    good = world.store.get(world.keys.dependencies("default"))
    assert good is not None
    world.stop_watcher()
    world.write(Put(key, b"\xff\xfe"))
    world.rerun("R")
    world.start_watcher()
    world.settle()
    assert world.watcher is not None
    assert world.watcher.reconciler.graph_problem is not None
    assert (world.runs("D"), world.runs("E")) == (1, 1)
    world.write(Put(key, good.value if owner == "default" else b'{"dependencies": {"team_b/X": "R"}}'))
    world.settle()
    assert world.watcher.reconciler.graph_problem is None
    assert (world.runs("D"), world.runs("E")) == (2, 2), "what came meanwhile is not lost"
    world.rerun("R")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (3, 3)


@pytest.mark.promise("bad-file")
def test_what_was_published_just_before_it_was_overwritten_is_in_force() -> None:
    """The watcher takes in both changes at once; the document between them is the last that can be read."""
    world = SimulatedWorld()
    world.dependencies({"D": "R", "E": "D"})
    world.first_run("R")
    assert world.watcher is not None
    world.watcher.frozen = True
    world.dependencies({"D": ["R", "S"], "E": "D"})
    world.write(Put(world.keys.dependencies("default"), b"rubbish"))
    world.watcher.frozen = False
    world.rerun("R")
    world.settle()
    assert world.watcher.reconciler.graph_problem is not None
    assert world.runs("D") == 1, "it waits for S"
    world.comes("S", PARTITION)
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (2, 2)


@pytest.mark.promise("bad-file")
def test_the_documents_of_others_change_while_one_cannot_be_read() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": "R"})
    world.first_run("R")
    world.write(Put(world.keys.dependencies("default"), b"rubbish"))
    world.write(Put(world.keys.dependencies("team_b"), b'{"dependencies": {"team_b/X": "D"}}'))
    world.settle()
    world.rerun("R")
    world.settle()
    assert (world.runs("D"), world.runs("team_b/X")) == (2, 1)
