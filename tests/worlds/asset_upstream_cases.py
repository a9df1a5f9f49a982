"""Assets as upstreams, as scripts, in a simulated world: what their events start, and what they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator.store.port import Put
from tests.worlds.asset_cases import ORDERS, emit
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION

AssetUpstreamCase = Callable[[SimulatedWorld], None]

ASSET = {"asset": ORDERS, "environment": "sales"}
OTHER = {"asset": "s3://lake/customers", "environment": "hr"}


def _waits(world: SimulatedWorld, **upstreams: Any) -> None:
    world.dependencies({f"finance/{name}": {"upstream": upstream} for name, upstream in upstreams.items()})


def _runs(world: SimulatedWorld, name: str, partition: str = "eu") -> int:
    return world.runs(f"finance/{name}", partition=partition)


@pytest.mark.promise("asset-upstreams")
def case_event_starts_it(world: SimulatedWorld) -> None:
    """An event starts what waits for the asset, in the partition of its key, once; no other asset does."""
    _waits(world, D=ASSET)
    emit(world, partition_key="eu")
    emit(world, "s3://lake/else", partition_key="eu")
    world.settle()
    assert _runs(world, "D") == 1
    emit(world, partition_key="us")
    world.settle()
    assert (_runs(world, "D"), _runs(world, "D", "us")) == (1, 1)


@pytest.mark.promise("asset-upstreams")
def case_cleared_producer_emits_again(world: SimulatedWorld) -> None:
    """Each further event in a partition is another completion: the run is cleared, once for each."""
    _waits(world, D=ASSET, E="finance/D")
    for count in (1, 2):
        emit(world, partition_key="eu")
        world.settle()
        assert (_runs(world, "D"), _runs(world, "E")) == (count, count)


@pytest.mark.promise("asset-upstreams")
def case_partition_of_the_run(world: SimulatedWorld) -> None:
    """An event without a key belongs to the partition of the run that has emitted it, once that is known."""
    _waits(world, D=ASSET)
    world.by_hand("sales/load")
    run_id = world.trigger("sales/load")
    emit(world, run=run_id)
    world.settle()
    world.run("sales/load")
    world.settle()
    assert _runs(world, "D", PARTITION) == 1


@pytest.mark.promise("asset-upstreams")
def case_all_of_an_asset_and_a_pipeline(world: SimulatedWorld) -> None:
    """In a condition, beside a pipeline and another asset: the downstream waits for all three."""
    _waits(world, D=[ASSET, OTHER, "sales/P"])
    world.by_hand("sales/P")
    emit(world, partition_key="eu")
    world.settle()
    emit(world, OTHER["asset"], environment="hr", partition_key="eu")
    world.settle()
    assert _runs(world, "D") == 0
    world.trigger("sales/P", partition="eu")
    world.run("sales/P", partition="eu")
    world.settle()
    assert _runs(world, "D") == 1


@pytest.mark.promise("asset-upstreams", "not-for-the-past")
def case_events_of_the_past(world: SimulatedWorld) -> None:
    """What was emitted before the dependency was published starts nothing, also after a new leader has begun."""
    emit(world, partition_key="eu")
    world.settle()
    _waits(world, D=ASSET)
    world.settle()
    world.stop_watcher()
    world.start_watcher()
    world.settle()
    assert _runs(world, "D") == 0
    emit(world, partition_key="eu")
    world.settle()
    assert _runs(world, "D") == 1


@pytest.mark.promise("asset-upstreams")
def case_events_while_no_watcher_runs(world: SimulatedWorld) -> None:
    """Events from while no watcher ran start their runs afterwards: several in one partition start one."""
    _waits(world, D=ASSET)
    world.stop_watcher()
    for key in ("eu", "us", "eu"):
        emit(world, partition_key=key)
    world.start_watcher()
    world.settle()
    assert (_runs(world, "D"), _runs(world, "D", "us")) == (1, 1)
    world.stop_watcher()
    world.start_watcher()
    world.settle()
    assert (_runs(world, "D"), _runs(world, "D", "us")) == (1, 1)


@pytest.mark.promise("asset-upstreams")
def case_loop_through_assets(world: SimulatedWorld) -> None:
    """D waits for one asset and emits another, for which E waits, which emits the first: it ends, and is told."""
    there = "s3://lake/there"
    world.dependencies(
        {
            "sales/D": {"upstream": ASSET},
            "sales/E": {"upstream": {"asset": there, "environment": "sales"}},
        }
    )
    emit(world, partition_key="eu")
    world.settle()
    for dag_id, uri in (("D", there), ("E", ORDERS)) * 3:
        _emit_by(world, dag_id, uri)
        world.settle()
    assert (world.runs("sales/D", partition="eu"), world.runs("sales/E", partition="eu")) == (1, 1)
    assert world.watcher is not None
    assert "sales/E" in [str(one) for one in world.watcher.reconciler.asset_states.loops.values()]


def _emit_by(world: SimulatedWorld, dag_id: str, uri: str) -> None:
    airflow = world.airflows["sales"]
    airflow.assets.add(uri)
    asset_id = next(one for one, known in airflow.assets.uris.items() if known == uri)
    run = airflow.newest(dag_id, "eu")
    airflow.assets.emit(asset_id, at=airflow.now(), source=(dag_id, run.run_id, "publish"), partition_key="eu")


@pytest.mark.promise("asset-upstreams")
def case_event_that_comes_again(world: SimulatedWorld) -> None:
    """A sender tells an event again: it is the same one, and starts nothing."""
    _waits(world, D=ASSET)
    emit(world, partition_key="eu")
    world.settle()
    (item,) = world.store.list(f"{world.keys.root}asset/sales/").items
    world.write(Put(item.key, item.value))
    world.settle()
    assert _runs(world, "D") == 1


CASES: dict[str, AssetUpstreamCase] = {name: script for name, script in globals().items() if name.startswith("case_")}
