"""The moments of an explanation: each revision at which it has changed, deletions too, as far as etcd keeps them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.commands.acts import Signature
from coordinator.commands.hold import delete_hold, put_hold
from coordinator.commands.report import write_report
from coordinator.model.documents import parse_document
from coordinator.model.hold import Hold
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.reading.explaining import explained
from coordinator.reading.moments import Moment, moments
from coordinator.reading.reading import UnknownPipeline
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryStore
from coordinator.store.memory_etcd import MemoryEtcd
from coordinator.store.port import Put, Transaction

K = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOAD, PUBLISH = PipelineRef("default", "load"), PipelineRef("default", "publish")


class World:
    def __init__(self) -> None:
        self.server = MemoryEtcd()
        self.store = MemoryStore(self.server)
        self.keys = Keys()
        self.hours = 0
        document = parse_document(json.dumps({"publish": ["load", "other"]}), source="test")
        self.put(self.keys.dependencies("default"), dump_publication(Publication(document, {})))

    def put(self, key: str, value: bytes) -> int:
        return self.store.commit(Transaction((), (Put(key, value),))).revision

    def report(self, state: State, pipeline: PipelineRef = LOAD, partition: str = K) -> int:
        self.hours += 1
        at = NOON + timedelta(hours=self.hours)
        document = RunStateDocument(state=state, run_id=f"r{self.hours}", queued_at=at, observed_at=at)
        write_report(self.store, self.keys, Target(pipeline, partition), document)
        return self.server.revision

    def hold(self) -> int:
        put_hold(self.store, self.keys, PUBLISH, Hold(who="ana", why="a check", since=NOON))
        return self.server.revision

    def release(self) -> int:
        delete_hold(self.store, self.keys, PUBLISH, Signature("ana", NOON))
        return self.server.revision

    def moments(self, most: int = 20) -> list[Moment]:
        return moments(self.store, self.keys, PUBLISH, K, limits={}, most=most)


def test_every_change_is_a_moment_and_nothing_else() -> None:
    world = World()
    running = world.report(State.RUNNING)
    world.report(State.SUCCESS, partition="2026-11-19T00:00:00Z")
    world.put("/elsewhere", b"1")
    done = world.report(State.SUCCESS)
    world.put(world.keys.heartbeat, b"{}")
    assert [one.revision for one in world.moments()] == [done, running]


def test_what_made_no_difference_is_no_moment() -> None:
    world = World()
    first = world.report(State.RUNNING)
    put_hold(world.store, world.keys, PipelineRef("default", "unrelated"), Hold(who="ana", why="", since=NOON))
    done = world.report(State.SUCCESS)
    put_hold(world.store, world.keys, LOAD, Hold(who="ana", why="", since=NOON))
    assert [one.revision for one in world.moments()] == [done, first]


def test_a_hold_that_was_released_is_found() -> None:
    """Its key is gone: only the readings before and after tell."""
    world = World()
    first = world.report(State.FAILED)
    held = world.hold()
    for _ in range(5):
        world.put("/elsewhere", b"1")
    released = world.release()
    for _ in range(9):
        world.put("/elsewhere", b"1")
    assert [one.revision for one in world.moments()] == [released, held, first]


def test_a_moment_says_what_explain_says_of_its_revision() -> None:
    world = World()
    for state in (State.RUNNING, State.FAILED, State.RUNNING, State.SUCCESS):
        world.report(state)
    world.report(State.SUCCESS, PipelineRef("default", "other"))
    found = world.moments()
    assert len(found) == 5
    for one in found:
        said = explained(world.store, world.keys, PUBLISH, K, revision=one.revision, limits={}).as_json()
        assert (said["says"].removeprefix(f"publish@{K} "), said["readiness"]) == (one.says, one.readiness)
        assert one.when is not None
    assert found[0].says.startswith("fires now")


def test_there_are_no_more_than_are_wanted() -> None:
    world = World()
    for state in (State.RUNNING, State.FAILED, State.RUNNING, State.SUCCESS):
        world.report(state)
    assert world.moments(2) == world.moments()[:2]


def test_what_is_compacted_is_not_looked_for() -> None:
    world = World()
    for state in (State.RUNNING, State.FAILED, State.RUNNING):
        last = world.report(state)
    world.server.compact(last)
    done = world.report(State.SUCCESS)
    assert [one.revision for one in world.moments()] == [done, last]


def test_nobody_is_told_of_what_is_unknown() -> None:
    world = World()
    with pytest.raises(UnknownPipeline):
        moments(world.store, world.keys, PipelineRef("default", "publsh"), K, limits={}, most=3)
    assert moments(world.store, world.keys, PUBLISH, "2031-01-01T00:00:00Z", limits={}, most=3) == []
