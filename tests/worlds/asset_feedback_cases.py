"""A pipeline that emits the asset that it waits for, itself or through others, as scripts in a simulated world."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.model.runstate import State
from tests.worlds.asset_emission_cases import FIXED, emits, emits_again, waits
from tests.worlds.asset_wave_cases import ORDERS, X
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION

AssetFeedbackCase = Callable[[SimulatedWorld], None]


@pytest.mark.promise("asset-upstreams")
def case_emitted_while_its_downstream_emits_it_too(world: SimulatedWorld) -> None:
    """U emits while D runs, and D, which emits the asset itself, does so afterwards: D runs again for what U did."""
    waits(world)
    world.by_hand("D")
    emits(world, "U")
    world.settle()
    world.start("D")
    world.settle()
    emits_again(world, "U")
    world.settle()
    world.emit("D", ORDERS)
    world.finish("D")
    world.settle()
    assert world.all_runs("D")[-1].state is State.QUEUED


@pytest.mark.promise("once")
def case_late_event_after_its_downstream_emitted_it(world: SimulatedWorld) -> None:
    """An event of U that is told after D has emitted the asset itself is of an attempt that D has used."""
    waits(world)
    world.by_hand("D")
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS)
    late = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.settle()
    world.start("D")
    world.emit("D", ORDERS)
    world.finish("D")
    world.settle()
    late()
    world.settle()
    assert world.all_runs("D")[-1].state is State.SUCCESS


@pytest.mark.promise("asset-upstreams")
def case_gate_behind_its_downstream(world: SimulatedWorld) -> None:
    """U, which emits what D waits for, has a gate that is below D: D does not start U, so that this is no loop."""
    gate = {"pipeline": "G", "partition": "latest", "trigger": False}
    world.dependencies({"U": {"upstream": ["S", gate]}, "G": "D", "D": {"upstream": X}})
    world.by_hand("S", "U", "G", "D")
    world.trigger("G")
    world.run("G")
    world.settle()
    world.trigger("S")
    world.run("S")
    world.settle()
    world.start("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert len(world.all_runs("D")) == 1
    assert world.watcher is not None
    assert not world.watcher.reconciler.asset_states.loops


def _newest_that_its_downstream_emits(world: SimulatedWorld, mapping: object, partition: str) -> None:
    world.dependencies({"D": {"upstream": {**X, "partition": mapping}}})
    world.by_hand("U", "D")
    emits(world, "U")
    world.settle()
    world.start("D", partition=partition)
    world.settle()
    world.emit("D", ORDERS, partition=partition)
    emits_again(world, "U")
    world.settle()
    world.finish("D", partition=partition)
    world.settle()
    assert world.requests("D", partition=partition) == 2


def case_latest_that_its_downstream_emits(world: SimulatedWorld) -> None:
    """D uses the newest completion, and emits the asset itself: what U emits meanwhile starts it all the same."""
    _newest_that_its_downstream_emits(world, "latest", PARTITION)


def case_fixed_key_that_its_downstream_emits(world: SimulatedWorld) -> None:
    """The same where D has one partition."""
    _newest_that_its_downstream_emits(world, FIXED["partition"], "model")


@pytest.mark.promise("asset-upstreams")
def case_feedback_through_the_hour_before(world: SimulatedWorld) -> None:
    """U, which emits what D waits for, waits for D of the day before: that is no loop, however far back it goes."""
    world.dependencies({"D": {"upstream": X}, "U": ["S", {"pipeline": "D", "partition": "-1 day"}]})
    world.by_hand("S", "U")
    days = [f"2026-{month:02}-{day:02}T00:00:00Z" for month in (10, 11) for day in range(1, 8)]
    for day in days:
        emits(world, "U", partition=day)
        world.settle()
    assert [world.runs("D", partition=day) for day in days] == [1] * len(days)
    assert world.watcher is not None
    assert not world.watcher.reconciler.asset_states.loops


@pytest.mark.promise("asset-upstreams")
def case_producer_that_gathers_its_downstream(world: SimulatedWorld) -> None:
    """U, daily, gathers the hours of D, which waits for what U has emitted for the day before: D waits for U when that
    runs again, and runs after it."""
    hour = "2026-11-21T05:00:00Z"
    world.dependencies(
        {
            "D": {"upstream": ["S", {**X, "partition": "-29 hours"}]},
            "U": {"upstream": {"pipeline": "D", "partition": "start_of_day"}, "rerun": "ignore"},
        }
    )
    world.by_hand("S", "U")
    emits(world, "U")
    world.trigger("S", partition=hour)
    world.run("S", partition=hour)
    world.settle()
    assert world.runs("D", partition=hour) == 1
    emits_again(world, "U")
    world.settle()
    assert world.runs("D", partition=hour) == 2


@pytest.mark.promise("once")
def case_producer_that_comes_to_be_below_its_downstream(world: SimulatedWorld) -> None:
    """U and V emit; then U is put below D. That is no completion, and what U emits from then on starts nothing."""
    world.dependencies({"D": {"upstream": X}})
    world.by_hand("U", "V")
    emits(world, "V")
    emits(world, "U")
    world.settle()
    before = world.runs("D")
    world.dependencies({"D": {"upstream": X}, "U": {"upstream": "D"}})
    world.settle()
    world.stop_watcher()
    world.start_watcher()
    world.settle()
    assert world.runs("D") == before


CASES: dict[str, AssetFeedbackCase] = {name: case for name, case in globals().items() if name.startswith("case_")}
