"""A watermark or a leader heartbeat that cannot be read fails the safe way: nothing old is fired, nothing given up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from coordinator.controller.state.heartbeat import Heartbeat, read_heartbeat
from coordinator.model.references import Target
from coordinator.model.retention.watermark import Watermark, dump_watermark
from coordinator.store.port import Delete, Put
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import target

pytestmark = pytest.mark.promise("rubbish")

LONG = timedelta(hours=2)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATE_REPORT = b'{"state": "success", "run_id": "r", "queued_at": "2026-11-20T11:00:00Z"}'
NEW_REPORT = b'{"state": "success", "run_id": "r", "queued_at": "2026-11-20T13:00:00Z"}'


def removed(world: SimulatedWorld) -> str:
    """Let retention remove A's old partitions. Returns the watermark's key."""
    world.dependencies({"D": "A"})
    key = world.keys.watermark(target("A").pipeline)
    world.write(Put(key, dump_watermark(Watermark(NOON, 0))))
    world.settle()
    return key


def restart(world: SimulatedWorld) -> None:
    world.stop_watcher()
    world.start_watcher()
    world.settle()


def report(world: SimulatedWorld, at: Target, value: bytes) -> None:
    world.write(Put(world.keys.state(at), value))
    world.settle()


def problems(world: SimulatedWorld) -> Mapping[str, str]:
    assert world.watcher is not None
    return world.watcher.reconciler.cache.problems


def test_the_last_good_watermark_stays_in_force_when_it_is_overwritten_with_rubbish() -> None:
    world = SimulatedWorld()
    key = removed(world)
    world.write(Put(key, b"rubbish"))
    report(world, target("A"), LATE_REPORT)
    assert world.runs("D") == 0
    assert key in problems(world)
    report(world, target("A", partition="next"), NEW_REPORT)
    assert world.runs("D", partition="next") == 1, "what is new goes on"


def test_it_stays_in_force_when_everything_is_listed_anew() -> None:
    world = SimulatedWorld()
    key = removed(world)
    world.write(Put(key, b"rubbish"))
    world.settle()
    assert world.watcher is not None
    world.watcher.list_again()
    report(world, target("A"), LATE_REPORT)
    report(world, target("A", partition="next"), NEW_REPORT)
    assert (world.runs("D"), world.runs("D", partition="next")) == (0, 1)


def test_without_a_good_one_no_state_of_the_pipeline_counts_until_it_is_put_right() -> None:
    world = SimulatedWorld()
    key = removed(world)
    world.write(Put(key, b"rubbish"))
    restart(world)
    report(world, target("A"), LATE_REPORT)
    report(world, target("A", partition="next"), NEW_REPORT)
    assert (world.runs("D"), world.runs("D", partition="next")) == (0, 0)
    assert "no state of this pipeline counts" in problems(world)[key]
    world.write(Put(key, dump_watermark(Watermark(NOON, 0))))
    world.settle()
    assert (world.runs("D"), world.runs("D", partition="next")) == (0, 1)
    assert key not in problems(world)


def test_deleting_it_says_that_nothing_has_been_removed() -> None:
    world = SimulatedWorld()
    key = removed(world)
    world.write(Put(key, b"rubbish"))
    restart(world)
    report(world, target("A", partition="next"), NEW_REPORT)
    world.write(Delete(key))
    world.settle()
    assert world.runs("D", partition="next") == 1


def test_for_a_downstream_without_a_record_nothing_is_new_that_came_before_the_rubbish() -> None:
    """Its records may be gone, and with them what it stood on. It waits, and starts once the watermark can be read."""
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.stop_watcher()
    world.write(Put(world.keys.state(target("A")), NEW_REPORT))
    key = world.keys.watermark(target("D").pipeline)
    world.write(Put(key, b"rubbish"))
    world.start_watcher()
    report(world, target("A", partition="next"), NEW_REPORT)
    assert (world.runs("D"), world.runs("D", partition="next")) == (0, 1)
    world.write(Put(key, dump_watermark(Watermark(NOON, 0))))
    world.settle()
    assert (world.runs("D"), world.runs("D", partition="next")) == (1, 1)


def test_nothing_is_given_up_when_the_heartbeat_cannot_be_read() -> None:
    """Somebody was there, and nobody knows until when: what looks missed may only have waited."""
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "A", "catchup": "none"}})
    world.stop_watcher()
    world.live_until(world.clock.now() + LONG)
    report = f'{{"state": "success", "run_id": "r", "observed_at": "{world.clock.now():%Y-%m-%dT%H:%M:%SZ}"}}'
    world.write(Put(world.keys.state(target("A")), report.encode()))
    world.live_until(world.clock.now() + LONG)
    world.write(Put(world.keys.heartbeat, b"rubbish"))
    world.start_watcher()
    assert world.watcher is not None
    with structlog.testing.capture_logs() as logs:
        world.settle()
    assert world.runs("D") == 1
    assert not [line for line in logs if line["event"] == "catchup.skipped"]
    mark = world.store.get(world.keys.heartbeat)
    assert mark is not None
    assert isinstance(read_heartbeat(mark.value), Heartbeat), "the leader has left a good one since"
