"""A reading that is kept up to date is the reading that anybody would make now: in all that is shown of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
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
from coordinator.reading.attention import attention
from coordinator.reading.following import FollowedReading
from coordinator.reading.reading import Reading, read
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryStore
from coordinator.store.memory_etcd import MemoryEtcd
from coordinator.store.port import Delete, Put, Transaction
from coordinator.store.reflector import Disconnected, Reflector, Snapshot

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
DOCUMENTS = (
    {
        "b": "a",
        "c": {"upstream": ["a", "b"], "deadline": "3 hours"},
        "d": [{"pipeline": "c", "partition": "latest"}],
        "e": [{"pipeline": "a", "max_age": "2 hours"}, "d"],
        "f": [{"pipeline": "b", "on": "failure"}],
    },
    {"b": "a", "c": {"upstream": {"any": ["a", "b"]}}, "f": [{"pipeline": "b", "on": "done"}], "g": ["c", "f"]},
)
RUN_STATES = [state for state in State if state is not State.SKIPPED]
PIPELINES = [PipelineRef("default", name) for name in "abcdefg"]
PARTITIONS = [f"2026-11-{day}T00:00:00Z" for day in (20, 21, 22)]


class World:
    """An etcd in which people and environments do things, and a clock."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.server = MemoryEtcd()
        self.store = MemoryStore(self.server)
        self.keys = Keys()
        self.now = BEGIN
        self.runs = 0

    def do(self) -> None:
        act: Callable[[], object] = self.random.choice(
            [self.report] * 8 + [self.hold, self.release, self.delete, self.publish, self.spoil, self.wait]
        )
        act()

    def target(self) -> Target:
        return Target(self.random.choice(PIPELINES), self.random.choice(PARTITIONS))

    def report(self) -> None:
        self.runs += 1
        document = RunStateDocument(
            state=self.random.choice(RUN_STATES), run_id=f"r{self.runs}", queued_at=self.now, observed_at=self.now
        )
        write_report(self.store, self.keys, self.target(), document)

    def hold(self) -> None:
        put_hold(self.store, self.keys, self.random.choice(PIPELINES), Hold(who="ana", why="why", since=self.now))

    def release(self) -> None:
        delete_hold(self.store, self.keys, self.random.choice(PIPELINES), Signature("ana", self.now))

    def delete(self) -> None:
        self.store.commit(Transaction((), (Delete(self.keys.state(self.target())),)))

    def publish(self) -> None:
        document = parse_document(json.dumps(self.random.choice(DOCUMENTS)), source="test")
        self.put(self.keys.dependencies("default"), dump_publication(Publication(document, {})))

    def spoil(self) -> None:
        key = self.random.choice(
            [self.keys.state(self.target()), self.keys.trigger(self.target()), self.keys.root + "x"]
        )
        self.put(key, b"{")

    def wait(self) -> None:
        self.now += timedelta(minutes=self.random.choice([1, 50, 200]))

    def put(self, key: str, value: bytes) -> None:
        self.store.commit(Transaction((), (Put(key, value),)))


def shown_of(reading: Reading) -> dict[str, object]:
    found = attention(reading)
    return {
        "unsettled": dict(reading.propagation.unsettled_readiness()),
        "late": reading.late,
        "concerns": [(one.place, one.cause, sorted(one.waiting)) for one in found.concerns],  # of equals, any order
        "counts": (found.counts, found.waiting),
        "problems": reading.problems,
        "keys": dict(reading.cache.problems),
        "pipelines": reading.known_pipelines(),
    }


def take(followed: FollowedReading, reflector: Reflector, now: datetime) -> Iterator[frozenset[PipelineRef] | None]:
    while (update := reflector.step(0.0)) is not None:
        assert not isinstance(update, Disconnected), update
        if isinstance(update, Snapshot):
            yield followed.replace(update.listing, now).pipelines
        else:
            yield followed.apply(update, now).pipelines


@pytest.mark.parametrize("seed", range(30))
def test_what_is_followed_is_what_would_be_read_now(seed: int) -> None:
    world = World(seed)
    world.publish()
    followed, reflector = FollowedReading(world.keys), Reflector(world.store, world.keys.root)
    for _ in range(40):
        for _ in range(world.random.randint(1, 3)):
            world.do()
        before = {} if not followed.revision else dict(followed.reading().propagation.unsettled_readiness())
        told = list(take(followed, reflector, world.now))
        told.append(followed.pass_time(world.now).pipelines)
        fresh = read(world.store, world.keys, at=world.now)
        assert shown_of(followed.reading()) == shown_of(fresh)
        assert followed.revision == fresh.cache.revision
        # What was put and is deleted by now has left no trace for a fresh reading.
        assert fresh.newest_change <= followed.reading().newest_change <= followed.revision
        after = dict(fresh.propagation.unsettled_readiness())
        moved = {one.pipeline for one in before.keys() ^ after.keys()}
        assert None in told or moved <= {one for named in told if named is not None for one in named}
    reflector.close()


def test_after_a_compaction_everything_is_read_again() -> None:
    world = World(1)
    world.publish()
    followed, reflector = FollowedReading(world.keys), Reflector(world.store, world.keys.root)
    list(take(followed, reflector, world.now))
    reflector.close()
    for _ in range(20):
        world.do()
    world.server.compact(world.server.revision)
    found = [reflector.step(0.0) for _ in range(4)]
    listed = [one for one in found if isinstance(one, Snapshot)]
    assert len(listed) == 1
    followed.replace(replace(listed[0]).listing, world.now)
    assert shown_of(followed.reading()) == shown_of(read(world.store, world.keys, at=world.now))


def test_a_cycle_is_said_and_goes() -> None:
    world = World(2)
    world.publish()
    followed, reflector = FollowedReading(world.keys), Reflector(world.store, world.keys.root)
    list(take(followed, reflector, world.now))
    world.put(
        world.keys.dependencies("other"),
        dump_publication(Publication(parse_document('{"a": "e"}', source="test"), {})),
    )
    list(take(followed, reflector, world.now))
    assert shown_of(followed.reading()) == shown_of(read(world.store, world.keys, at=world.now))
    world.store.commit(Transaction((), (Delete(world.keys.dependencies("other")),)))
    list(take(followed, reflector, world.now))
    assert shown_of(followed.reading()) == shown_of(read(world.store, world.keys, at=world.now))
    reflector.close()
