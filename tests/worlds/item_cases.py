"""Pipelines that fan out over rows, as scripts: the rows of the table in ``docs/dependencies.md`` that are about them."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.model.runstate import RunState, State
from tests.worlds.cases import Case
from tests.worlds.world import World

FROM_FILE = {"from": {"file": "tables"}, "key": "name"}


def table(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


def _fanned(world: World, *names: str, items: dict[str, Any] | None = None, **entry: Any) -> None:
    """``load`` waits for U and fans out over a file that has these rows; D waits for ``load``."""
    world.dependencies({"load": {"upstream": "U", "items": items or FROM_FILE, **entry}, "D": "load"})
    world.by_hand("U")
    if items is None or "file" in items["from"]:
        world.rows([table(name) for name in names])


def _comes(world: World) -> None:
    world.trigger("U")
    world.run("U")
    world.settle()


def _state(world: World, name: str) -> State | None:
    found = world.state(name)
    return found.state if isinstance(found, RunState) else None


@pytest.mark.promise("items")
def case_items_once_each(world: World) -> None:
    """Each row has a run of its own, with the row in its conf; D runs once, after all have ended."""
    _fanned(world, "orders", "parts")
    world.by_hand("load")
    _comes(world)
    assert [len(world.all_runs(name)) for name in ("load[orders]", "load[parts]", "load")] == [1, 1, 0]
    (run,) = world.all_runs("load[orders]")
    assert run.conf["item"] == table("orders")
    assert run.conf["coordinator"]["item"] == "orders"
    world.run("load[orders]")
    world.settle()
    assert _state(world, "load") is State.RUNNING
    assert world.runs("D") == 0
    world.run("load[parts]")
    world.settle()
    assert _state(world, "load") is State.SUCCESS
    assert world.runs("D") == 1


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = list(CASES)
