"""What needs a person, in worlds that are as they are: each cause once, with everything that waits behind it."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.reading.attention import Attention, Matter, attention
from coordinator.reading.reading import read
from coordinator.store.port import Put, Transaction
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

CHAIN = {"B": "A", "C": "B", "D": ["C", "S"]}


@pytest.fixture
def world() -> SimulatedWorld:
    return SimulatedWorld()


def seen(world: SimulatedWorld, **asked: Any) -> Attention:
    return attention(read(world.store, world.keys), **asked)


def told(found: Attention) -> list[tuple[Matter, str, list[str]]]:
    """Each concern: what, which pipeline, who waits behind it."""
    return [
        (one.place.matter, str(one.place.pipeline), [str(waiting.pipeline) for waiting in one.waiting])
        for one in found.concerns
    ]


def test_nothing_needs_a_person_where_all_has_run_or_goes_on(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.first_run("A", "S")
    assert (told(seen(world)), seen(world).needs_person) == ([], False)
    world.by_hand("B")
    world.rerun("A")
    world.settle()
    assert (told(seen(world)), seen(world).waiting) == ([], 0)


def test_a_run_that_failed_is_told_once_with_all_below_it_the_nearest_first(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.first_run("A", "S")
    world.by_hand("B")
    world.rerun("A")
    world.settle()
    world.run("B", "failed")
    world.settle()
    found = seen(world)
    assert told(found) == [(Matter.FAILED, "B", ["C", "D"])]
    (concern,) = found.concerns
    assert concern.cause.says.startswith(f"failed in run coordinator__{PARTITION}__1 at ")
    assert concern.cause.remedy.startswith(
        f"clear its run coordinator__{PARTITION}__1 once what broke it is fixed, or: "
    )
    assert concern.cause.since is not None
    assert (found.counts, found.waiting, found.needs_person) == ({Matter.FAILED: 1}, 2, True)


def test_a_last_run_that_failed_is_told_although_nothing_waits_behind_it(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.by_hand("D")
    world.first_run("A", "S")
    world.run("D", "failed")
    world.settle()
    assert told(seen(world)) == [(Matter.FAILED, "D", [])]
    world.clear("D")
    world.start("D")
    world.settle()
    assert told(seen(world)) == [], "it runs again"


def test_of_two_failures_behind_each_other_the_upper_one_is_told(world: SimulatedWorld) -> None:
    """The lower one runs again by itself when the upper one has been repaired."""
    world.dependencies(CHAIN)
    world.by_hand("B", "C")
    world.first_run("A", "S")
    world.settle()
    world.run("B", "success")
    world.settle()
    world.run("C", "failed")
    world.settle()
    assert told(seen(world)) == [(Matter.FAILED, "C", ["D"])]
    world.rerun("A")
    world.settle()
    world.run("B", "failed")
    world.settle()
    assert told(seen(world)) == [(Matter.FAILED, "B", ["C", "D"])]


def test_a_failure_that_is_waited_for_is_an_answer(world: SimulatedWorld) -> None:
    world.dependencies({"repair": {"upstream": {"pipeline": "A", "on": "failure"}}})
    world.by_hand("A")
    world.trigger("A")
    world.run("A", "failed")
    world.settle()
    assert world.runs("repair") == 1
    assert told(seen(world)) == []


def test_a_run_that_no_document_names_concerns_nobody(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.by_hand("X")
    world.trigger("X")
    world.run("X", "failed")
    world.settle()
    assert told(seen(world)) == []


def test_a_hold_is_one_concern_with_the_partitions_of_its_pipeline_and_needs_nobody(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN)
    world.first_run("A", "S")
    world.hold("B")
    assert told(seen(world)) == [(Matter.HELD, "B", [])]
    world.rerun("A")
    world.settle()
    found = seen(world)
    assert told(found) == [(Matter.HELD, "B", ["B", "C", "D"])]
    assert (found.waiting, found.needs_person) == (3, False)
    world.hold("C")
    assert told(seen(world)) == [(Matter.HELD, "C", ["C", "D"]), (Matter.HELD, "B", ["B", "C", "D"])]


def test_a_person_is_asked_to_release_what_waits_for_it(world: SimulatedWorld) -> None:
    world.dependencies({"B": {"upstream": "A", "rerun": "hold"}, "C": "B"})
    world.first_run("A")
    world.rerun("A")
    world.settle()
    found = seen(world)
    assert told(found) == [(Matter.WAITS_FOR_RELEASE, "B", ["C"])]
    assert found.concerns[0].cause.remedy == f"coordinator release B {PARTITION}"
    assert found.needs_person


def test_a_record_that_cannot_be_read_keeps_back_what_is_below_it(world: SimulatedWorld) -> None:
    world.dependencies({"B": "A", "C": "B"})
    world.first_run("A")
    world.store.commit(Transaction((), (Put(world.keys.trigger(target("B")), b"{"),)))
    world.rerun("A")
    world.settle()
    assert told(seen(world)) == [(Matter.UNREADABLE, "B", ["C"])]


def test_who_asks_for_a_pipeline_is_told_what_it_waits_for_and_nothing_else(world: SimulatedWorld) -> None:
    world.dependencies(CHAIN | {"Q": "P"})
    world.by_hand("A", "P")
    for name in ("A", "P"):
        world.trigger(name)
        world.run(name, "failed")
    world.settle()
    assert {pipeline for _, pipeline, _ in told(seen(world))} == {"A", "P"}
    found = seen(world, pipeline=target("C").pipeline)
    assert (told(found), found.waiting) == ([(Matter.FAILED, "A", ["B", "C"])], 1)
    assert told(seen(world, pipeline=target("S").pipeline)) == []
    assert told(seen(world, partitions={"elsewhere"})) == []


def test_no_pipeline_hides_the_others_among_the_newest(world: SimulatedWorld) -> None:
    world.dependencies({"B": "A", "Q": "P"})
    world.by_hand("A", "P")
    for name, day in [("P", 1), *(("A", day) for day in range(1, 6))]:
        world.trigger(name, partition=f"2026-11-0{day}T00:00:00Z")
        world.run(name, "failed", partition=f"2026-11-0{day}T00:00:00Z")
    world.settle()
    found = seen(world, most=3)
    shown = [(one.place.pipeline.dag_id, one.place.partition) for one in found.concerns]
    assert shown == [(name, f"2026-11-0{day}T00:00:00Z") for name, day in (("A", 5), ("A", 4), ("P", 1))]
    assert (found.counts, found.waiting) == ({Matter.FAILED: 6}, 6)


def test_matters_are_called_as_the_causes_of_an_explanation() -> None:
    from coordinator.model.explanation import Kind

    assert {matter.value for matter in Matter} - {kind.value for kind in Kind} == {"late", "stuck"}
