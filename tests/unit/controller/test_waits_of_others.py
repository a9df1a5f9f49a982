"""Waits that are gone, or name the wrong environment for their sensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from coordinator.model.conditions import On
from coordinator.model.references import Target, WaitRef
from coordinator.model.waits import SensorRerun, Wait, WaitStatus, dump_wait, read_wait
from coordinator.runners.airflow import looking
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import RunOrTask, TaskRef
from coordinator.store.port import Delete, Put
from tests.worlds.sensor_cases import with_deferred_sensor
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target


@pytest.fixture
def world() -> SimulatedWorld:
    world = SimulatedWorld()
    with_deferred_sensor(world)
    return world


def test_a_look_at_a_sensor_whose_wait_is_gone_writes_no_task(
    world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is deleted while the environment is asked about its sensor's own task."""
    ref = WaitRef(target("D"), world.newest_run("D", PARTITION).run_id, "sensor", -1)
    watcher = world.watcher
    assert watcher is not None
    key = world.keys.wait(ref)
    asked_in_vain: list[TaskRef] = []
    real = looking.look

    def look(client: Any, asked: Sequence[RunOrTask], deadline: Deadline) -> Any:
        if world.store.get(key) is None:
            asked_in_vain.extend(one for one in asked if isinstance(one, TaskRef))
        return real(client, asked, deadline)

    monkeypatch.setattr(looking, "look", look)
    for _ in range(100):
        world.wait("D", "sensor", "U")
        watcher.is_unanswered = True
        world.settle()
        world.write(Delete(key))
        world.settle()
        watcher.is_unanswered = False
        world.settle()
        if asked_in_vain:
            break
    assert asked_in_vain
    assert world.store.list(world.keys.every("task")).items == []


def test_a_sensor_that_names_the_wrong_environment_for_itself_is_refused(world: SimulatedWorld) -> None:
    """Its wait is removed, because its task is not there. It writes it again, as a trigger does, and is told why."""
    run = Target(target("team_b/D").pipeline, PARTITION)
    ref = WaitRef(run, world.newest_run("D", PARTITION).run_id, "sensor", -1)
    key = world.keys.wait(ref)
    wait = Put(key, dump_wait(Wait(WaitStatus.WAITING, target("U"), On.SUCCESS)))
    world.write(wait)
    world.settle()
    _until_gone(world, key)
    world.write(wait)
    world.settle()
    for _ in range(1000):
        world.pass_time()
        world.settle()
        found = world.store.get(key)
        assert found is not None, "it would be written again, for ever"
        if not isinstance(read := read_wait(found.value), Wait) or read.status is not WaitStatus.WAITING:
            break
    assert isinstance(read, Wait)
    assert read.status is WaitStatus.REFUSED
    assert "environment 'team_b' has no such task" in read.reason


@pytest.mark.parametrize("rerun", SensorRerun)
def test_a_sensor_whose_own_environment_is_not_configured_is_refused(world: SimulatedWorld, rerun: SensorRerun) -> None:
    """Its own task could not be looked at, and not be cleared either, although its upstream has completed."""
    world.trigger("U")
    world.run("U")
    run = Target(target("nope/D").pipeline, PARTITION)
    key = world.keys.wait(WaitRef(run, world.newest_run("D", PARTITION).run_id, "sensor", -1))
    world.write(Put(key, dump_wait(Wait(WaitStatus.WAITING, target("U"), On.SUCCESS, rerun=rerun))))
    world.settle()
    found = world.store.get(key)
    assert found is not None
    answer = read_wait(found.value)
    assert isinstance(answer, Wait)
    assert answer.status is WaitStatus.REFUSED
    assert "'nope' is not configured; when the watcher started, these were: default, team_b" in answer.reason


def _until_gone(world: SimulatedWorld, key: str) -> None:
    for _ in range(1000):
        world.pass_time()
        world.settle()
        if world.store.get(key) is None:
            return
    raise AssertionError("it is removed: its task is not there")
