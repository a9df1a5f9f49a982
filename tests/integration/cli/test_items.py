"""What the command line says of items, and does to them, on a real etcd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.runstate import RunState, State
from tests.command_line import Cli
from tests.worlds.item_cases import FROM_FILE, table
from tests.worlds.real import RealWorld
from tests.worlds.world import PARTITION


@pytest.mark.promise("items", "orders")
def test_what_the_command_line_says(cli: Cli, config: Path, etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    """``explain`` lists the items, ``status`` counts them, one can be ordered, and the whole cannot be marked."""
    with RealWorld(etcd_settings, tmp_path) as world:
        world.dependencies({"load": {"upstream": "U", "items": FROM_FILE}, "D": "load"})
        world.rows([table("orders"), table("parts"), table("sales")])
        world.by_hand("U", "load")
        world.trigger("U")
        world.run("U")
        world.settle()
        world.run("load[orders]", "failed")
        world.run("load[parts]")
        world.start("load[sales]")
        world.settle()
        said = cli("explain", "load", PARTITION, "-c", config)
        assert said.exit_code == 0, said.output
        assert "1 of its 3 items have not ended" in said.stdout
        assert "3 items: " in said.stdout
        assert "orders: failed in run coordinator__" in said.stdout
        found = json.loads(cli("explain", "load", PARTITION, "-c", config, "--json").stdout)
        assert [(one["key"], one["state"]) for one in found["items"]] == [
            ("orders", "failed"),
            ("parts", "success"),
            ("sales", "running"),
        ]
        assert "load[orders]" in cli("explain", "load[orders]", PARTITION, "-c", config).stdout
        assert "load[" not in cli("status", "-c", config).stdout
        world.finish("load[sales]")
        world.settle()
        state = world.state("load")
        assert isinstance(state, RunState)
        assert state.state is State.FAILED
        status = cli("status", "-c", config)
        assert status.exit_code == 1
        assert "1 of 3 items have not succeeded" in " ".join(status.stdout.split())
        marked = cli("mark", "load", PARTITION, "success", "-c", config)
        assert "follows from its items" in marked.output
        dry = cli("rerun", "load[orders]", PARTITION, "-c", config, "--downstream", "--dry-run")
        assert dry.exit_code == 0, dry.output
        assert "D" in dry.stdout
        ordered = cli("rerun", "load[orders]", PARTITION, "-c", config, "--downstream", "--yes")
        assert ordered.exit_code == 0, ordered.output
        world.by_itself("load")
        world.settle_until(lambda: world.runs("D") == 1, "D runs")
        assert [world.runs(f"load[{key}]") for key in ("orders", "parts", "sales")] == [2, 1, 1]
