"""Gaps: partitions in which the upstreams hold and the pipeline has not run on them, each with its cause."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.controller.state.cache import Cache
from coordinator.model.gaps import find_gaps
from coordinator.model.propagation.propagation import Propagation
from coordinator.store.port import Put
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

LATER = "2026-11-21T00:00:00Z"


@pytest.fixture
def world() -> SimulatedWorld:
    return SimulatedWorld()


def gaps(world: SimulatedWorld) -> list[str]:
    """Each gap in words."""
    assert world.watcher is not None
    graph = world.watcher.reconciler.propagation.graph
    cache = Cache(world.keys)
    cache.replace(world.store.list(world.keys.root))
    propagation = Propagation(graph, cache, now=world.clock.now())
    propagation.refresh(cache.targets())
    pipelines = {node.downstream.pipeline for node in graph.nodes()}
    found = find_gaps(graph, propagation, propagation.partitions_of(pipelines, cache.targets()))
    return [
        f"{gap.target.pipeline} {gap.target.partition[:10]} {gap.cause}"
        f"{' ran on older' if gap.has_run else ''}: {', '.join(str(one.pipeline) for one in gap.inputs)}"
        for gap in found
    ]


def past(world: SimulatedWorld, document: dict[str, object], *names: str) -> None:
    """These sources ran before the document was published."""
    world.dependencies({"unrelated": "nothing"})
    for name in names:
        world.comes(name, PARTITION)
    world.settle()
    world.dependencies(document)
    world.settle()


@pytest.mark.promise("orders")
def test_what_completed_before_a_dependency_counted_is_a_gap(world: SimulatedWorld) -> None:
    past(world, {"D": ["A", "B"]}, "A", "B")
    assert gaps(world) == ["D 2026-11-20 past: A, B"]


@pytest.mark.promise("orders")
@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_task_that_nobody_has_asked_about_is_taken_to_have_ended_as_its_run(
    world: SimulatedWorld, state: str
) -> None:
    world.dependencies({"unrelated": "nothing"})
    world.has_tasks("A", load="check", check="")
    world.comes("A", PARTITION, state)
    world.settle()
    world.dependencies({"D": {"upstream": {"pipeline": "A", "task": "load"}}})
    world.settle()
    assert gaps(world) == (["D 2026-11-20 past: A:load"] if state == "success" else [])
    if state == "success":
        world.order("D", "rerun")
    else:
        world.rerun("A")
    world.settle()
    assert (gaps(world), world.runs("D")) == ([], 1)


def test_what_does_not_hold_is_no_gap(world: SimulatedWorld) -> None:
    past(world, {"D": ["A", "B"], "E": {"upstream": {"pipeline": "A", "on": "failure"}}}, "A")
    assert gaps(world) == []


def test_a_chain_has_its_gap_at_the_top_only(world: SimulatedWorld) -> None:
    """What is below runs by itself once the gap is closed."""
    past(world, {"B": "A", "C": "B"}, "A")
    assert gaps(world) == ["B 2026-11-20 past: A"]
    world.order("B", "rerun")
    world.settle()
    assert (world.runs("B"), world.runs("C"), gaps(world)) == (1, 1, [])


def test_gaps_are_told_oldest_partition_first_and_upstreams_before_downstreams(world: SimulatedWorld) -> None:
    world.dependencies({"unrelated": "nothing"})
    for partition in (LATER, PARTITION):
        for name in ("C", "B", "A"):
            world.comes(name, partition)
    world.settle()
    world.dependencies({"B": "A", "C": "B"})
    world.settle()
    told = [one.split(" past")[0] for one in gaps(world)]
    assert told == ["B 2026-11-20", "C 2026-11-20", "B 2026-11-21", "C 2026-11-21"]


def test_a_pipeline_that_ran_by_itself_afterwards_has_no_gap(world: SimulatedWorld) -> None:
    past(world, {"D": "A"}, "A", "D")
    assert gaps(world) == []


def test_a_pipeline_that_ran_by_itself_before_has_run_on_older_completions(world: SimulatedWorld) -> None:
    past(world, {"D": "A"}, "D", "A")
    assert gaps(world) == ["D 2026-11-20 past ran on older: A"]


def test_a_mark_closes_a_gap_without_a_run(world: SimulatedWorld) -> None:
    past(world, {"D": "A"}, "A")
    world.mark("D", "success")
    assert (gaps(world), world.runs("D")) == ([], 0)


@pytest.mark.promise("orders")
def test_what_was_started_and_what_is_about_to_be_is_no_gap(world: SimulatedWorld) -> None:
    world.dependencies({"D": "A"})
    world.first_run("A")
    assert (world.runs("D"), gaps(world)) == (1, [])
    world.hold("D")
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), gaps(world)) == (1, []), "it waits for its release"
    world.release("D")
    world.by_hand("D")
    world.settle()
    assert gaps(world) == [], "it runs"
    world.run("D", "failed")
    world.settle()
    assert gaps(world) == [], "it has run on what is there, and failed"


def test_an_order_that_waits_is_no_gap(world: SimulatedWorld) -> None:
    past(world, {"D": "A"}, "A")
    world.hold("D")
    world.order("D", "rerun")
    world.settle()
    assert gaps(world) == []


def test_what_a_rerun_policy_ignored_is_a_gap_until_it_has_run(world: SimulatedWorld) -> None:
    world.dependencies({"D": {"upstream": "A", "rerun": "ignore"}, "E": "D"})
    world.first_run("A")
    assert gaps(world) == []
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), gaps(world)) == (1, ["D 2026-11-20 ignored ran on older: A"])
    world.order("D", "rerun")
    world.settle()
    assert (world.runs("D"), world.runs("E"), gaps(world)) == (2, 2, [])


@pytest.mark.slow
def test_what_was_given_up_for_being_late_is_a_gap_once_its_inputs_are_there(world: SimulatedWorld) -> None:
    world.dependencies({"D": {"upstream": ["A", "B"], "deadline": {"at": "01:00", "days": 1}, "on_late": "skip"}})
    world.first_run("A")
    world.live_until(datetime(2026, 11, 21, 2, tzinfo=UTC))
    assert gaps(world) == []
    world.first_run("B")
    assert (world.runs("D"), gaps(world)) == (0, ["D 2026-11-20 skipped: A, B"])
    world.order("D", "rerun")
    world.settle()
    assert (world.runs("D"), gaps(world)) == (1, [])


def test_what_was_given_up_while_nobody_led_is_a_gap(world: SimulatedWorld) -> None:
    world.dependencies({"D": {"upstream": "A", "catchup": "none"}})
    world.settle()
    world.stop_watcher()
    world.comes("A", PARTITION)
    world.live_until(datetime(2026, 11, 21, 6, tzinfo=UTC))
    world.start_watcher()
    world.settle()
    assert (world.runs("D"), gaps(world)) == (0, ["D 2026-11-20 skipped: A"])


@pytest.mark.parametrize("kind", ["state", "trigger"])
def test_where_nobody_can_tell_whether_it_ran_there_is_no_gap(world: SimulatedWorld, kind: str) -> None:
    past(world, {"D": "A"}, "A")
    key = {"state": world.keys.state, "trigger": world.keys.trigger}[kind]
    world.write(Put(key(target("D")), b"rubbish {"))
    world.settle()
    assert gaps(world) == []


def test_a_gate_alone_makes_no_gap(world: SimulatedWorld) -> None:
    past(world, {"D": ["A", {"pipeline": "G", "trigger": False}]}, "A", "G")
    assert gaps(world) == ["D 2026-11-20 past: A"]
    world.order("D", "rerun")
    world.settle()
    world.rerun("G")
    world.settle()
    assert gaps(world) == []


def test_a_window_has_its_gap_once_enough_of_it_is_there(world: SimulatedWorld) -> None:
    world.dependencies({"unrelated": "nothing"})
    for hour in (0, 1):
        world.comes("H", f"2026-11-20T0{hour}:00:00Z")
    rollup = {"mapper": "rollup", "window": "day", "wait": 2}
    world.dependencies({"D": {"upstream": {"pipeline": "H", "partition": rollup}}})
    world.settle()
    assert gaps(world) == ["D 2026-11-20 past: H, H"]
    world.order("D", "rerun")
    world.settle()
    assert gaps(world) == []


def test_what_retention_removed_is_no_gap(world: SimulatedWorld) -> None:
    """X, which has not run, keeps the completion that D stood on."""
    world.dependencies({"D": "A", "X": ["A", "Y"]})
    world.first_run("A")
    world.retain(max_age="1 second", every="0.2 seconds", min_age="0 seconds")
    world.settle_until(lambda: world.record("D") is None and world.state("D") is None, "D has gone")
    assert world.state("A") is not None
    assert gaps(world) == []
