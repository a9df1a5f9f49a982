"""A sensor whose triggerer does not take the answer stands in the presence of the watcher that leads."""

from __future__ import annotations

from pathlib import Path

from coordinator.config.etcd import EtcdSettings
from coordinator.reading.reading import read
from coordinator.reading.unresumed_sensors import unresumed_in
from tests.worlds.real import RealWorld


def test_a_sensor_that_stays_deferred_is_told_in_the_presence(etcd_settings: EtcdSettings, tmp_path: Path) -> None:
    with RealWorld(etcd_settings, tmp_path) as world:
        quick = world.settings.watcher.model_copy(update={"follow_after": 0.1})
        world.settings = world.settings.model_copy(update={"watcher": quick})
        world.dependencies({"X": "U"})
        world.has_tasks("D", sensor="below", below="")
        world.by_hand("D", "U", "X")
        world.trigger("U")
        world.run("U")
        world.trigger("D")
        world.start("D")
        world.task("D", "sensor", "deferred")
        world.wait("D", "sensor", "U")
        world.settle_until(lambda: any(unresumed_in(read(world.store, world.keys))), "it is told")
        world.task("D", "sensor", "success")
        world.settle_until(lambda: not unresumed_in(read(world.store, world.keys)), "it is told no more")
