"""Somebody deletes the leader key while a clear is under way: nobody asks about that clear before it has ended."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.port import Delete
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld
from tests.standin.faults import Fault


@pytest.mark.promise("leader-only", "takeover")
def test_a_clear_that_is_under_way_is_not_sent_again(etcd_server: EmbeddedEtcd, tmp_path: Path) -> None:
    settings = EtcdSettings(endpoints=[etcd_server.endpoint], prefix="/leader-key-deleted")
    with FaultyWorld(settings, tmp_path) as world:
        world.dependencies({"D": "R"})
        world.by_hand("R")
        world.trigger("R")
        world.run("R")
        world.until_done("D", runs=1)
        slow = Fault.delay(0.8)  # below the time-out of a request
        airflow = world.airflows["default"]
        airflow.faults.next("clear", slow)
        world.clear("R")
        world.run("R")
        assert slow.met.wait(30)
        leader = world.store.get(world.keys.leader)
        assert leader is not None
        deleted_at = time.monotonic()
        world.write(Delete(world.keys.leader))
        until(lambda: any(one.arrived < deleted_at for one in airflow.requests_of("clear", "D")), "that clear answered")
        world.until_done("D", runs=2)
        world.settle()
        assert world.counts("D") == {"D": 2}
        successor = world.store.get(world.keys.leader)
        assert successor is not None
        assert successor.create_revision > leader.create_revision
