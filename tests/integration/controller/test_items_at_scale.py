"""Items at scale, on a real etcd. ``ITEMS=1000`` plays so many."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.runstate import State
from tests.worlds.item_cases import FROM_FILE, table
from tests.worlds.real import RealWorld

MANY = int(os.environ.get("ITEMS", "200"))


@pytest.mark.promise("items")
def test_many_items(etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    """Hundreds of items, eight requests at once: each has one run, and D one after them."""
    with RealWorld(etcd_settings, tmp_path) as world:
        world.dependencies({"load": {"upstream": "U", "items": FROM_FILE}, "D": "load"})
        world.rows([table(f"t{number:04}") for number in range(MANY)])
        world.by_hand("U")
        world.trigger("U")
        before, began = time.process_time(), time.monotonic()
        world.run("U")
        airflow = world.airflows["default"]
        world.settle_until(lambda: len(airflow.runs("load")) == MANY, "all have started")
        started = time.monotonic() - began
        world.settle_until(lambda: world.runs("D") == 1, "D runs")
        print(f"\n{MANY} items: the last start after {started:.1f} s, D after {time.monotonic() - began:.1f} s; ")
        print(f"{time.process_time() - before:.1f} s of CPU, of the watcher and of the stand-in together")
        world.settle()
        begun = [run.run_id for run in airflow.history if run.dag_id == "load" and run.state is State.RUNNING]
        assert len(begun) == len(set(begun)) == MANY
        assert len(airflow.requests_of("trigger")) == MANY + 1
        assert world.runs("D") == 1
