"""The cache keeps a key of each kind while it is there, and nothing of it afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from coordinator.controller.state.cache import Cache
from coordinator.controller.state.heartbeat import Heartbeat, dump_heartbeat
from coordinator.model.cursor import dump_cursor
from coordinator.model.hold import Hold, dump_hold
from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.publishing.edition import PublishedBefore, dump_published_before
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.retention.sweep import Sweep, dump_sweep
from coordinator.model.retention.watermark import Watermark, dump_watermark
from coordinator.model.waits import Wait, WaitStatus, dump_wait
from coordinator.store.keys import ActKey, Keys, ParsedKey
from coordinator.store.port import Changed, Changes, KeyValue, Listing

KEYS = Keys()
PIPELINE = PipelineRef("sales", "orders")
TARGET = Target(PIPELINE, "2026-11-20")
RUN = WaitRef(TARGET, "manual", "sensor", -1)
NOW = datetime(2026, 11, 20, tzinfo=UTC)

VALUES = {
    KEYS.state(TARGET): b"success",
    KEYS.trigger(TARGET): b"not a record",
    KEYS.order(TARGET): dump_order(GivenOrder(Order.RERUN)),
    KEYS.hold(PIPELINE): dump_hold(Hold()),
    KEYS.wait(RUN): dump_wait(Wait(WaitStatus.WAITING, Target(PipelineRef("sales", "items"), "2026-11-20"))),
    KEYS.watermark(PIPELINE): dump_watermark(Watermark(revision=1)),
    KEYS.cursor("sales"): dump_cursor(NOW),
    KEYS.dependencies("sales"): b"{}",
    KEYS.published_before("sales"): dump_published_before(PublishedBefore(version=3)),
    KEYS.heartbeat: dump_heartbeat(Heartbeat(1)),
    KEYS.leader: b"me",
    KEYS.watcher("me"): b"{}",
    KEYS.retention: dump_sweep(Sweep(NOW)),
    KEYS.reporter("sales", "scheduler"): b"{}",
    KEYS.reporter_seen("sales"): b"{}",
    KEYS.act("1"): b"{}",
}


def contents(cache: Cache) -> list[object]:
    return [
        cache.snapshot(),
        cache.recorded(),
        cache.order(TARGET),
        list(cache.holds()),
        list(cache.waits),
        cache.watermark(PIPELINE),
        cache.watermark_revision(PIPELINE),
        dict(cache.cursors),
        dict(cache.published),
        dict(cache.published_before),
        cache.heartbeat,
        cache.leader,
        dict(cache.watchers),
        cache.swept,
        cache.reporters.environments(),
        cache.expired,
        dict(cache.problems),
    ]


NOTHING = contents(Cache(KEYS))


def with_key(key: str, revision: int = 1) -> Cache:
    cache = Cache(KEYS)
    kv = KeyValue(key, VALUES[key], revision, revision)
    cache.apply(Changes((Changed(key, revision, kv),), revision), now=0.0, live=True)
    return cache


def test_there_is_an_example_of_each_kind() -> None:
    assert {type(KEYS.parse(key)) for key in VALUES} == set(get_args(ParsedKey))


@pytest.mark.parametrize("key", VALUES)
def test_a_key_is_kept_until_it_is_deleted(key: str) -> None:
    cache = with_key(key)
    assert (contents(cache) == NOTHING) is isinstance(KEYS.parse(key), ActKey)
    cache.apply(Changes((Changed(key, 2, None),), 2), now=0.0, live=True)
    assert contents(cache) == NOTHING


@pytest.mark.parametrize("key", VALUES)
def test_a_key_is_kept_until_a_listing_lacks_it(key: str) -> None:
    cache = with_key(key)
    cache.replace(Listing([], 2, 1))
    assert contents(cache) == NOTHING
