"""Asset events that are handed on, as scripts, in a simulated world of three environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.worlds.simulated import SimulatedWorld

ENVIRONMENTS = ("sales", "finance", "hr")
ORDERS = "s3://lake/orders/eu"

AssetCase = Callable[[SimulatedWorld], None]


def _bridged(world: SimulatedWorld, *consumers: str, **more: Any) -> None:
    """``sales`` hands on its events, and everybody knows the asset."""
    for airflow in world.airflows.values():
        airflow.assets.add(ORDERS)
    world.dependencies({"assets": [{"from": "sales", "to": [*consumers], **more}]})


def emit(
    world: SimulatedWorld, uri: str = ORDERS, *, environment: str = "sales", run: str = "run", **more: Any
) -> None:
    """A task emits an event."""
    airflow = world.airflows[environment]
    airflow.assets.add(uri)
    asset_id = next(one for one, known in airflow.assets.uris.items() if known == uri)
    airflow.assets.emit(asset_id, at=airflow.now(), source=("load", run, "publish"), **more)


def emitted(world: SimulatedWorld, environment: str, uri: str = ORDERS) -> int:
    """How many events of an asset an environment has."""
    return len(world.airflows[environment].assets.of(uri))


def case_event_arrives_once(world: SimulatedWorld) -> None:
    """The consumer gets the event, once, with what it says and where it comes from."""
    _bridged(world, "finance")
    emit(world, extra={"rows": 3})
    world.settle()
    (event,) = world.airflows["finance"].assets.of(ORDERS)
    ours = event.extra["coordinator"]
    assert event.extra["rows"] == 3
    assert ours["path"] == ["sales"]
    assert [ours[name] for name in ("dag_id", "run_id", "task_id")] == ["load", "run", "publish"]
    assert emitted(world, "hr") == 0


CASES: dict[str, AssetCase] = {name: script for name, script in globals().items() if name.startswith("case_")}
