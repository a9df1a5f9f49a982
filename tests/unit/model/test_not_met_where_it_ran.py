"""A plan says where a new upstream keeps a pipeline from running again."""

from __future__ import annotations

import json
from typing import Any

from coordinator.model.conditions import leaves
from coordinator.model.documents import parse_document
from coordinator.model.graph import Graph, Node
from coordinator.model.publishing.not_met_where_it_ran import not_met_where_it_ran
from coordinator.model.references import PipelineRef, Target
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION

NEXT = "2026-11-21T00:00:00Z"
D = PipelineRef("default", "D")


def said(world: SimulatedWorld, upstream: Any) -> list[str]:
    """What is said of D, which waited for U, if it is to wait for this."""
    assert world.watcher is not None
    reconciler = world.watcher.reconciler
    (entry,) = parse_document(json.dumps({"D": {"upstream": upstream}}), source="test").values()
    new = [leaf for leaf in leaves(entry.condition) if leaf.pipeline.dag_id != "U"]
    reconciler.propagation.replace_graph(
        Graph([Node(entry, dict.fromkeys(leaves(entry.condition), 0))]), reconciler.cache.targets()
    )
    return list(not_met_where_it_ran(reconciler.propagation, reconciler.cache.recorded(), {D: new}))


def ran() -> SimulatedWorld:
    """D has run after U in two partitions, and V in one of them."""
    world = SimulatedWorld()
    world.dependencies({"D": "U"})
    world.by_hand("U", "V")
    for name, partition in (("U", PARTITION), ("U", NEXT), ("V", NEXT)):
        world.trigger(name, partition=partition)
        world.run(name, partition=partition)
    world.settle()
    assert [world.runs("D", partition=one) for one in (PARTITION, NEXT)] == [1, 1]
    return world


def test_where_a_new_upstream_has_not_completed_it_is_said() -> None:
    (found,) = said(ran(), ["U", "V"])
    assert found.startswith(f"D has run in 1 partition in which 'V' is not met ({PARTITION}): there, nothing that")


def test_where_it_need_not_be_met_nothing_is_said() -> None:
    world = ran()
    assert said(world, {"any": ["U", "V"]}) == []
    assert said(world, "U") == []
    assert len(said(world, ["U", {"pipeline": "V", "partition": "-1 day"}, {"pipeline": "W", "trigger": False}])) == 2


def test_of_what_it_never_ran_in_nothing_is_said() -> None:
    world = ran()
    world.trigger("V", partition=PARTITION)
    world.run("V", partition=PARTITION)
    world.settle()
    assert said(world, ["U", "V"]) == []
    assert Target(D, PARTITION) in (world.watcher.reconciler.cache.recorded() if world.watcher is not None else [])
