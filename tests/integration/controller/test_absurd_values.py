"""Hundreds of absurd values at once, under keys that the graph asks about: every wave of what is healthy ends."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice, product
from time import monotonic
from typing import Any

import pytest

from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.store.port import Put
from tests.integration.controller.test_rubbish_in_etcd import RUBBISH, RUBBISH_RECORDS
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld

VALUES = 450
WAVES = 10
DAY = datetime(2026, 11, 20, tzinfo=UTC)

MAPPINGS: list[Any] = [
    "identity",
    "latest",
    "start_of_year",
    {"mapper": "rollup", "window": "day"},
    {"mapper": "fan_out", "window": "year"},
    {"mapper": "start_of_day", "timezone": "Japan"},
    "-1 month",
]
PARTITIONS = [
    "2026-11-20T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-11-20T00:00:00+14:00",
    "2026-02-30T00:00:00Z",
    "x" * 200,
    "../../leader",
    "\u202e{}[]%2F%00",
    "-1",
]
STATES = {
    **RUBBISH,
    "of the last day there is": b'{"state": "success", "queued_at": "9999-12-31T23:59:59.999999-14:00"}',
    "of the first day": b'{"state": "success", "queued_at": "0001-01-01T00:00:00Z", "observed_at": "0001-01-01"}',
    "attempt of a thousand digits": b'{"state": "success", "attempt": ' + b"9" * 1_000 + b"}",
    "a run id of a line feed": b'{"state": "running", "run_id": "\\n"}',
    "running since ever": b"running",
}


def absurd(world: ServedWorld) -> list[Put]:
    """States, records, holds, orders and what is no key of ours; the large ones are among them."""
    keys, puts = world.keys, []
    for number, (partition, value) in enumerate(product(PARTITIONS, STATES.values())):
        upstream = Target(PipelineRef("default", f"U{number % len(MAPPINGS)}"), partition)
        puts.append(Put(keys.state(upstream), value))
        record = list(RUBBISH_RECORDS.values())[number % len(RUBBISH_RECORDS)]
        puts.append(Put(keys.trigger(Target(PipelineRef("default", f"D{number % len(MAPPINGS)}"), partition)), record))
        puts.append(Put(f"{keys.root}{('hold', 'order', 'state', 'nothing')[number % 4]}/{number}/a/b", value))
    return list(islice(cycle(puts), VALUES))


def waves(world: ServedWorld, first: int, between: list[Put]) -> list[float]:
    """Let the healthy chain run in some partitions, with some of what is absurd before each. Returns seconds."""
    took = []
    for number in range(WAVES):
        partition = format_instant(DAY - timedelta(hours=first + number))
        for put in between[number::WAVES]:
            world.write(put)
        began = monotonic()
        world.complete("R", partition=partition)
        until(lambda: world.runs("B", partition=partition) == 1, "the wave comes to its end", limit=60)  # noqa: B023
        took.append(monotonic() - began)
    return took


@pytest.mark.promise("slow")
def test_every_wave_ends_beside_hundreds_of_absurd_values(served: ServedWorld) -> None:
    below = {
        f"D{number}": {"upstream": {"pipeline": f"U{number}", "partition": mapping}}
        for number, mapping in enumerate(MAPPINGS)
    }
    served.dependencies({"A": "R", "B": "A", **below})
    leader, standby = served.serve(), served.serve(leads=False)
    usual = waves(served, 0, [])
    values = absurd(served)
    assert len(values) == VALUES
    beside = waves(served, WAVES, values)
    assert len(leader.problems()) > len(STATES), "they are heard, and said"
    leader.kill()
    until(standby.leads, "the other leads, and reads none of it otherwise", limit=30)
    after = waves(served, 2 * WAVES, [])
    for seconds, what in ((usual, "without"), (beside, f"beside {VALUES}"), (after, "by the successor")):
        print(f"waves {what}: median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s")
    for number in range(3 * WAVES):
        partition = format_instant(DAY - timedelta(hours=number))
        assert served.counts("A", "B", partition=partition) == {"A": 1, "B": 1}
