"""What people are told of assets that pipelines wait for."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.model.assets.names import asset_of
from coordinator.model.cascade import cascade
from coordinator.model.explanation import Explanation, as_json, explain
from coordinator.model.order import Order
from coordinator.model.references import Target
from coordinator.reading.attention import Matter, attention
from coordinator.reading.reading import read
from coordinator.reading.wanted_keys import About
from tests.worlds.asset_wave_cases import ORDERS, X, diamond
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

ASSET = Target(asset_of("default", ORDERS), PARTITION)


@pytest.fixture
def world() -> SimulatedWorld:
    """R is above U, which has emitted what D waits for; D waits for R, too, and has run."""
    world = SimulatedWorld()
    diamond(world)
    return world


def explained(world: SimulatedWorld, of: Target | None = None) -> Explanation:
    """From the keys that a command reads."""
    of = of or target("D")
    reading = read(world.store, world.keys, about=About(of.pipeline, (of.partition,)), at=world.clock.now())
    assert world.watcher is not None
    whole = world.watcher.reconciler.propagation
    assert reading.propagation.decide(of).readiness is whole.decide(of).readiness
    return explain(reading.propagation, of)


def told(world: SimulatedWorld, of: Target | None = None) -> tuple[str, list[str], list[str]]:
    explanation = explained(world, of)
    return explanation.headline, [line.text for line in explanation.lines], [*explanation.because()]


def test_an_asset_that_was_emitted(world: SimulatedWorld) -> None:
    headline, lines, because = told(world)
    assert headline == f"D@{PARTITION} is settled: nothing that it needs is new"
    assert lines[3].startswith(f"default/asset at {ORDERS}: emitted, revision ")
    assert lines[3].endswith(", used before")
    assert lines[4].startswith("by U in run coordinator__")
    assert because == []
    (of_asset,) = (one for one in as_json(explained(world))["condition"]["branches"] if "asset" in one)
    assert of_asset["asset"] == ORDERS
    assert of_asset["producers"] == [{"pipeline": "U", "partition": PARTITION}]
    assert told(world, ASSET)[0].endswith("is an asset, and settled, as the runs that emit it are")


def test_an_asset_whose_run_goes_on(world: SimulatedWorld) -> None:
    world.rerun("R")
    world.settle()
    world.start("U")
    world.settle()
    headline, lines, because = told(world)
    assert headline == f"D@{PARTITION} is due and waits for default/asset at {ORDERS}"
    assert any(line.startswith("busy: U, which emits it, is running in run") for line in lines)
    assert [one.partition(" in run")[0] for one in because] == ["U is running"]
    assert because[0].endswith(f"(behind default/asset at {ORDERS})")


def test_an_asset_whose_event_may_be_on_its_way(world: SimulatedWorld) -> None:
    world.rerun("R")
    world.settle()
    world.run("U")
    _, _, because = told(world)
    assert because == [
        f"default/asset at {ORDERS} has come of none of the newest runs that emit it; it may still be on its way"
    ]
    world.settle()
    assert world.runs("D") == 2


def test_an_asset_whose_run_has_failed(world: SimulatedWorld) -> None:
    world.rerun("R")
    world.settle()
    world.run("U", "failed")
    world.settle()
    headline, lines, because = told(world)
    assert headline == f"D@{PARTITION} is out of date and cannot run by itself: default/asset at {ORDERS} is stuck"
    assert any(line.startswith("stuck: U, which emits it, failed in run") for line in lines)
    assert [one.partition(" in run")[0] for one in because] == ["U failed"]
    concerns = list(attention(read(world.store, world.keys, at=world.clock.now()), environments=()).concerns)
    assert [(one.place.matter, str(one.place.pipeline)) for one in concerns] == [(Matter.FAILED, "U")]
    assert target("D") in concerns[0].waiting


def test_an_asset_that_nothing_has_emitted() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": ["A", X]}})
    world.by_hand("A")
    world.trigger("A")
    world.run("A")
    world.settle()
    headline, _, because = told(world)
    assert headline == f"D@{PARTITION} is settled: it still needs default/asset at {ORDERS}"
    assert because == [f"default/asset at {ORDERS} has not been emitted in this partition yet"]
    assert explained(world).remedies()[0].startswith(f"default/asset at {ORDERS}: let a DAG run that emits it")


def test_what_a_rerun_would_start(world: SimulatedWorld) -> None:
    """U is assumed to emit again: what is below the asset is listed, once."""
    reading = read(world.store, world.keys, at=world.clock.now())
    orders: Any = {target("U"): Order.RERUN}
    steps = cascade(
        reading.propagation.graph,
        reading.cache,
        orders,
        known=reading.cache.targets(),
        revision=reading.cache.revision,
        now=world.clock.now(),
    )
    assert [str(step.target.pipeline) for step in steps] == ["U", "D"]
