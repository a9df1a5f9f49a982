"""What etcd answers and will not write (too large, or no right to) concerns its own partition, and is tried slowly."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog

from coordinator.store.port import AccessDenied, Committed, Transaction
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target


def refuse_record_of(world: SimulatedWorld, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.watcher is not None
    commit, key = world.watcher._store.commit, world.keys.trigger(target(name))

    def refusing(transaction: Transaction) -> Committed:
        if any(operation.key == key for operation in transaction.then):
            raise AccessDenied(f"permission denied: {key}")
        return commit(transaction)

    monkeypatch.setattr(world.watcher._store, "commit", refusing)


def test_a_missed_partition_that_cannot_be_given_up_keeps_nobody_else_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "A", "catchup": "none"}, "F": "E"})
    world.stop_watcher()
    world.comes("A", PARTITION)
    world.live_until(world.clock.now() + timedelta(hours=2))
    world.start_watcher()
    refuse_record_of(world, "D", monkeypatch)
    world.live_until(world.clock.now() + timedelta(minutes=1))
    world.comes("E", PARTITION)
    world.live_until(world.clock.now() + timedelta(minutes=1))
    assert (world.runs("F"), world.runs("D")) == (1, 0)


def test_an_intent_that_is_refused_is_tried_again_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a look, too, which has a time of its own after which its asker is woken."""
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    refuse_record_of(world, "D", monkeypatch)
    with structlog.testing.capture_logs() as logs:
        world.comes("A", PARTITION)
        world.live_until(world.clock.now() + timedelta(minutes=10))
    assert world.runs("D") == 0
    assert 10 <= len([line for line in logs if line["event"] == "etcd.refused"]) <= 12
    assert world.watcher is not None
    (problem,) = world.watcher.reconciler.cache.problems.items()
    assert problem[0] == world.keys.trigger(target("D"))
    assert "etcd refuses to write it: permission denied" in problem[1]
