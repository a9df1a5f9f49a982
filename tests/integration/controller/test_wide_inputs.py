"""Thousands of inputs of one pipeline: a real watcher starts it once they are all there, and its record is small."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.model.bounds import KIB
from coordinator.model.partitions.instants import format_instant
from coordinator.model.trigger import Status
from coordinator.store.port import Put, Transaction
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.worlds.world import PARTITION, target

YEAR = "2028-01-01T00:00:00Z"
HOURS = [format_instant(datetime(2028, 1, 1, tzinfo=UTC) + timedelta(hours=hour)) for hour in range(366 * 24)]
UPSTREAMS = [f"U{number}" for number in range(2_000)]
IN_A_TRANSACTION = 100
LIMIT = 90.0


def ended(world: ServedWorld, name: str, partition: str) -> Put:
    """By a writer whose runs no environment knows: nobody asks for thousands of them."""
    value = {"state": "success", "run_id": f"r-{partition}", "attempt": 1}
    return Put(world.keys.state(target(name, partition)), json.dumps(value).encode())


def record_is_done(world: ServedWorld, partition: str) -> bool:
    record = world.record("D", partition=partition)
    return record is not None and record.status is Status.DONE


@pytest.mark.promise("downtime")
def test_a_year_of_hours_starts_what_needs_it_and_its_record_stays_small(served: ServedWorld) -> None:
    served.dependencies({"D": {"upstream": {"pipeline": "A", "partition": "start_of_year"}}})
    served.serve().kill()
    *most, last = HOURS
    for first in range(0, len(most), IN_A_TRANSACTION):
        puts = tuple(ended(served, "A", hour) for hour in most[first : first + IN_A_TRANSACTION])
        served.store.commit(Transaction((), puts))
    served.serve()
    until(lambda: record_is_done(served, YEAR), "the year has run", limit=LIMIT)
    assert served.runs("D", partition=YEAR) == 1
    began = time.monotonic()
    served.write(ended(served, "A", last))
    until(lambda: served.runs("D", partition=YEAR) == 2, "the last hour, which is late data, starts it again")
    print(f"among {len(HOURS):,} hours, one that comes late started the year within {time.monotonic() - began:.2f} s")
    until(lambda: record_is_done(served, YEAR), "it has run")
    served.settle()
    assert served.runs("D", partition=YEAR) == 2
    record = served.record("D", partition=YEAR)
    stored = served.store.get(served.keys.trigger(target("D", YEAR)))
    assert record is not None
    assert stored is not None
    assert len(record.consumed) == len(HOURS)
    assert len(stored.value) < 64 * KIB


@pytest.mark.promise("downtime")
def test_two_thousand_upstreams_that_complete_one_by_one_start_what_needs_them_once(served: ServedWorld) -> None:
    served.dependencies({"D": UPSTREAMS})
    watcher = served.serve()
    *most, last = UPSTREAMS
    began = time.monotonic()
    for upstream in most:
        served.write(ended(served, upstream, PARTITION))
    written = time.monotonic() - began
    until(lambda: watcher.revision() >= served.watermark, "it has read them all", limit=LIMIT)
    read = time.monotonic() - began
    served.settle()
    assert served.runs("D") == 0, "one of them is missing"
    began = time.monotonic()
    served.write(ended(served, last, PARTITION))
    until(lambda: served.runs("D") == 1, "the last one starts it", limit=LIMIT)
    print(
        f"{len(most):,} upstreams written one by one in {written:.1f} s and read after {read:.1f} s; the last one "
        f"started what needs them within {time.monotonic() - began:.2f} s"
    )
    served.settle()
    assert served.runs("D") == 1
