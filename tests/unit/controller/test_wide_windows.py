"""Windows of thousands of inputs: they start what needs them, and their records stay small."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.model.bounds import KIB
from coordinator.model.consumption import NAMED
from coordinator.model.partitions.instants import format_instant
from coordinator.model.trigger import Status, TriggerRecord, dump_record, read_record
from coordinator.store.port import Put, Transaction
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import target

YEAR = "2028-01-01T00:00:00Z"
HOURS = [format_instant(datetime(2028, 1, 1, tzinfo=UTC) + timedelta(hours=hour)) for hour in range(366 * 24)]
BATCH = 100


def put(world: SimulatedWorld, hour: str, state: str, attempt: int = 1) -> Put:
    """By a writer whose runs no environment knows, so that nobody asks for thousands of them."""
    value = {"state": state, "run_id": f"hour-{hour}", "attempt": attempt}
    return Put(world.keys.state(target("A", hour)), json.dumps(value).encode())


def say(world: SimulatedWorld, hour: str, state: str, attempt: int = 1) -> None:
    world.write(put(world, hour, state, attempt))
    world.settle()


def written(world: SimulatedWorld) -> list[tuple[Status, int]]:
    """Every record of D in this year that ever stood in etcd: its status, and its size."""
    key, found = world.keys.trigger(target("D", YEAR)), []
    with world.store.watch(key, from_revision=1) as stream:
        while (batch := stream.receive(0)) is not None:
            for change in batch.changes:
                assert change.kv is not None
                record = read_record(change.kv.value)
                assert isinstance(record, TriggerRecord)
                found.append((record.status, len(change.kv.value)))
    assert [status for status, _ in found].count(Status.INTENT) == 3
    return found


@pytest.mark.slow
def test_a_year_of_hours_starts_what_needs_it_and_its_record_stays_small() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": "start_of_year"}}})
    world.stop_watcher()
    *most, last = HOURS
    for first in range(0, len(most), BATCH):
        puts = tuple(put(world, hour, "success") for hour in most[first : first + BATCH])
        world.store.commit(Transaction((), puts))
    world.start_watcher()
    world.settle()
    assert world.runs("D", partition=YEAR) == 1
    say(world, last, "success")
    assert world.runs("D", partition=YEAR) == 2
    record = world.record("D", partition=YEAR)
    assert record is not None
    assert record.status is Status.DONE
    assert len(record.consumed) == len(HOURS)
    assert len(dump_record(record)) < 64 * KIB

    # An hour set to failed and back under one attempt is the one that was used; one that ran again is not.
    say(world, HOURS[5], "failed")
    say(world, HOURS[5], "success")
    assert world.runs("D", partition=YEAR) == 2
    say(world, HOURS[5], "success", attempt=2)
    assert world.runs("D", partition=YEAR) == 3

    assert all(size < (128 if status is Status.INTENT else 64) * KIB for status, size in written(world))
    conf = world.all_runs("D", partition=YEAR)[0].conf["coordinator"]
    assert len(conf["inputs"]) == NAMED
    assert len(conf["inputs"]) + conf["more_inputs"] == len(HOURS) - 1


@pytest.mark.slow
def test_an_hour_that_was_not_there_is_new_though_the_window_has_fired_without_it() -> None:
    """Three quarters of an hour's minutes are enough. One that failed meanwhile counts once it is well, whatever its
    revision; one that only fails and is set back does not."""
    minutes = [f"2026-11-20T00:{minute:02}:00Z" for minute in range(60)]
    mapping = {"mapper": "rollup", "window": "hour", "every": "minute", "wait": -15}
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": {"pipeline": "A", "partition": mapping}}})
    hour = minutes[0]
    say(world, minutes[3], "failed")
    for minute in minutes[4:49]:
        say(world, minute, "success")
    assert world.runs("D", partition=hour) == 1
    record = world.record("D", partition=hour)
    assert record is not None
    assert len(record.consumed.named) == NAMED < len(record.consumed)
    say(world, minutes[3], "success")
    assert world.runs("D", partition=hour) == 2
    say(world, minutes[4], "failed")
    say(world, minutes[4], "success")
    assert world.runs("D", partition=hour) == 2
