"""One id is one watcher; here on a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coordinator.store import process_id
from coordinator.store.election import Candidate
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Delete, Put, Transaction
from coordinator.store.presence import Presence, read_presence
from coordinator.store.process_id import ProcessId, is_gone, lives_here, read_process_id
from tests.unit.store.faults import Clock, FaultyStore

KEYS = Keys()
KEY = KEYS.watcher("one")
TTL = 10


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> MemoryEtcd:
    return MemoryEtcd(clock=clock)


@pytest.fixture
def candidate(server: MemoryEtcd, clock: Clock) -> Candidate:
    return Candidate(FaultyStore(server), KEYS, "one", ttl=TTL, clock=clock)


def announce_elsewhere(server: MemoryEtcd, process: ProcessId | None = None) -> int:
    """Another machine's watcher has this id. Returns its lease."""
    presence = Presence("one", "elsewhere", 7, "2026-11-20T00:00:00Z", process=process)
    lease = server.grant_lease(TTL)
    server.commit(Transaction((), (Put(KEY, presence.to_value(), lease),)))
    return lease


def owner(server: MemoryEtcd) -> str:
    found = server.get(KEY)
    assert found is not None
    return read_presence(found.value).host


def step_for(candidate: Candidate, clock: Clock, seconds: float) -> Iterator[None]:
    until = clock() + seconds
    while clock() < until:
        pause = candidate.step()
        clock.advance(min(max(pause, 0.5), 1.0))
        yield


def test_an_id_whose_watcher_lives_on_is_refused(server: MemoryEtcd, clock: Clock, candidate: Candidate) -> None:
    lease = announce_elsewhere(server)
    for _ in step_for(candidate, clock, 60):
        server.refresh_lease(lease)
    assert candidate.refused is not None
    assert "the watcher id 'one' is in use by one (elsewhere, pid 7)" in candidate.refused
    assert candidate.leadership() is None
    candidate.resign()
    assert owner(server) == "elsewhere"


def test_an_id_whose_watcher_is_gone_is_free_when_its_lease_has_run_out(
    server: MemoryEtcd, clock: Clock, candidate: Candidate
) -> None:
    announce_elsewhere(server)
    candidate.step()
    assert candidate.leadership() is None, "nobody leads whose presence is not there"
    for _ in step_for(candidate, clock, 20):
        assert candidate.refused is None
    assert candidate.leadership() is not None
    assert owner(server) != "elsewhere"


def test_a_presence_that_stands_on_no_lease_is_replaced(server: MemoryEtcd, candidate: Candidate) -> None:
    server.commit(Transaction((), (Put(KEY, b"by hand"),)))
    candidate.step()
    assert candidate.leadership() is not None


def test_a_presence_that_somebody_has_deleted_is_put_again(
    server: MemoryEtcd, clock: Clock, candidate: Candidate
) -> None:
    candidate.step()
    server.commit(Transaction((), (Delete(KEY),)))
    candidate._is_announced = False
    for _ in step_for(candidate, clock, 10):
        pass
    assert server.get(KEY) is not None


def test_a_presence_whose_answer_was_lost_is_one_s_own(server: MemoryEtcd, clock: Clock) -> None:
    store = FaultyStore(server)
    candidate = Candidate(store, KEYS, "one", ttl=TTL, clock=clock)
    store.lose_answers = 1
    for _ in step_for(candidate, clock, 10):
        pass
    assert candidate.refused is None
    assert candidate.leadership() is not None


def test_this_process_lives_and_one_with_its_number_that_was_started_before_does_not() -> None:
    ours = ProcessId.of_this_process()
    assert ours is not None
    assert lives_here(ours)
    assert not is_gone(ours)
    assert is_gone(replace(ours, started=ours.started - 1))
    assert not lives_here(replace(ours, started=ours.started - 1))


@pytest.mark.parametrize("part", ["host", "boot", "namespaces"])
def test_of_a_process_elsewhere_nothing_is_known(part: str) -> None:
    ours = ProcessId.of_this_process()
    assert ours is not None
    there = replace(replace(ours, started=1), **{part: "another"})  # type: ignore[arg-type]
    assert not is_gone(there)
    assert not lives_here(there)


def test_where_the_system_does_not_tell_nothing_is_proved(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    ours = ProcessId.of_this_process()
    assert ours is not None
    monkeypatch.setattr(process_id, "_PROC", tmp_path)
    assert ProcessId.of_this_process() is None
    assert not is_gone(replace(ours, started=1))


def test_a_process_comes_back_from_a_presence_as_it_was() -> None:
    presence = Presence.of_this_process("one", since=datetime(2026, 11, 20, tzinfo=UTC))
    assert presence.process is not None
    assert read_presence(presence.to_value()) == presence


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        {},
        {"host": "h", "boot": "b", "namespaces": "n", "pid": 0, "started": 1},
        {"host": "h", "boot": "b", "namespaces": "n", "pid": 2**31, "started": 1},
        {"host": "h", "boot": "b", "namespaces": "n", "pid": True, "started": 1},
        {"host": "h", "boot": "b", "namespaces": "n", "pid": 1, "started": -1},
        {"host": "h", "boot": "", "namespaces": "n", "pid": 1, "started": 1},
        {"host": "h", "boot": "b" * 1_000, "namespaces": "n", "pid": 1, "started": 1},
    ],
)
def test_what_is_no_process_is_none(found: object) -> None:
    assert read_process_id(found) is None
