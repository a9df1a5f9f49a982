"""What comes back after retention had removed it: said and counted once, for as long as it stands there."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from coordinator.model.retention.watermark import Watermark, dump_watermark
from coordinator.store.port import Put
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import target

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATE_REPORT = b'{"state": "success", "run_id": "r", "queued_at": "2026-11-20T11:00:00Z"}'


def report(world: SimulatedWorld) -> None:
    world.write(Put(world.keys.state(target("A")), LATE_REPORT))
    world.settle()


def test_a_late_report_is_said_and_counted_once_until_it_has_been_deleted() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    world.write(Put(world.keys.watermark(target("A").pipeline), dump_watermark(Watermark(NOON, 0))))
    world.retain(every="1 hour")
    world.settle()
    assert world.watcher is not None
    reconciler = world.watcher.reconciler
    with structlog.testing.capture_logs() as logs:
        report(world)
        report(world)
        assert (reconciler.counters.snapshot()["expired"], len(reconciler.cache.expired)) == (1, 1)
        world.clock.seconds += 2 * 3600
        world.settle()
        assert not reconciler.cache.expired, "swept"
        report(world)
        assert reconciler.counters.snapshot()["expired"] == 2
    assert [line["pipeline"] for line in logs if line["event"] == "state.expired"] == ["A", "A"]
    assert world.runs("D") == 0
