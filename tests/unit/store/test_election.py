"""One leader at a time, by its own count as well as by etcd's; here on a clock that is moved by hand."""

from __future__ import annotations

import json

import pytest

from coordinator.store.election import Candidate
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Delete, Put, Transaction
from tests.unit.store.faults import Clock, FaultyStore

KEYS = Keys()
TTL = 10


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> MemoryEtcd:
    return MemoryEtcd(clock=clock)


@pytest.fixture
def store(server: MemoryEtcd) -> FaultyStore:
    return FaultyStore(server)


@pytest.fixture
def first(store: FaultyStore, clock: Clock) -> Candidate:
    return Candidate(store, KEYS, "first", ttl=TTL, clock=clock)


@pytest.fixture
def second(server: MemoryEtcd, clock: Clock) -> Candidate:
    return Candidate(FaultyStore(server), KEYS, "second", ttl=TTL, clock=clock)


def leader_in(server: MemoryEtcd) -> str | None:
    kv = server.get(KEYS.leader)
    return None if kv is None else json.loads(kv.value)["id"]


def test_the_first_candidate_leads_and_the_second_waits(
    first: Candidate, second: Candidate, server: MemoryEtcd
) -> None:
    first.step()
    second.step()
    term = first.leadership()
    assert term is not None
    assert second.leadership() is None
    kv = server.get(KEYS.leader)
    assert kv is not None
    assert term.create_revision == kv.create_revision
    assert leader_in(server) == "first"


def test_every_candidate_shows_its_presence(first: Candidate, second: Candidate, server: MemoryEtcd) -> None:
    first.step()
    second.step()
    present = {kv.key: json.loads(kv.value) for kv in server.list(KEYS.root + "watchers/").items}
    assert sorted(present) == [KEYS.watcher("first"), KEYS.watcher("second")]
    assert set(present[KEYS.watcher("first")]) == {"id", "host", "pid", "since"}


def test_a_leader_that_keeps_its_lease_alive_stays_the_leader(
    first: Candidate, second: Candidate, clock: Clock
) -> None:
    first.step()
    term = first.leadership()
    for _ in range(100):
        clock.advance(min(first.step(), second.step()))
    assert first.leadership() is term


def test_it_is_kept_alive_at_a_third_of_its_life(first: Candidate) -> None:
    assert first.step() == pytest.approx(TTL / 3)


def test_what_remains_is_counted_from_before_the_request_was_sent(
    first: Candidate, store: FaultyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.step()
    refresh = store.refresh_lease

    def slow_answer(lease: int) -> int:
        left = refresh(lease)
        clock.advance(2.0)
        return left

    monkeypatch.setattr(store, "refresh_lease", slow_answer)
    clock.advance(1.0)
    first.keep_alive_once()
    term = first.leadership()
    assert term is not None
    assert term.remaining() == pytest.approx(TTL - 2.0)


def test_an_answer_after_the_end_by_our_count_does_not_revive_a_term(
    first: Candidate, store: FaultyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.step()
    term = first.leadership()
    assert term is not None
    refresh = store.refresh_lease

    def late_answer(lease: int) -> int:
        left = refresh(lease)
        clock.advance(TTL)
        return left

    monkeypatch.setattr(store, "refresh_lease", late_answer)
    clock.advance(1.0)
    first.keep_alive_once()
    assert term.remaining() == 0.0
    assert first.leadership() is None
    first.campaign_once()
    again = first.leadership()
    assert again is not None
    assert again.create_revision > term.create_revision


def test_a_leader_without_etcd_is_none_when_its_lease_is_over_and_stays_so(
    first: Candidate, second: Candidate, store: FaultyStore, clock: Clock
) -> None:
    first.step()
    term = first.leadership()
    assert term is not None
    store.down = True
    clock.advance(TTL - 0.01)
    first.step()
    assert first.leadership() is term
    clock.advance(0.01)
    assert first.leadership() is None
    assert term.remaining() == 0.0
    second.step()
    assert second.leadership() is not None
    store.down = False
    first.step()
    assert first.leadership() is None
    assert term.remaining() == 0.0


def test_a_term_that_ran_out_here_does_not_go_on_though_etcd_still_has_the_lease(
    first: Candidate, store: FaultyStore, clock: Clock
) -> None:
    # etcd extends all leases when it elects a new leader of its own: the lease may outlive our count of it.
    first.step()
    term = first.leadership()
    assert term is not None
    for lease in store.server._leases.values():
        lease.expires_at += 1_000
    clock.advance(TTL)
    first.step()
    again = first.leadership()
    assert term.remaining() == 0.0
    assert again is not None
    assert again.create_revision > term.create_revision


def test_a_clock_that_goes_back_does_not_revive_a_term(first: Candidate, clock: Clock) -> None:
    first.step()
    term = first.leadership()
    assert term is not None
    clock.advance(TTL)
    assert term.remaining() == 0.0
    clock.advance(-TTL)
    assert term.remaining() == 0.0


def test_a_deleted_leader_key_ends_the_term_and_starts_another(first: Candidate, server: MemoryEtcd) -> None:
    first.step()
    term = first.leadership()
    assert term is not None
    server.commit(Transaction((), (Delete(KEYS.leader),)))
    first.campaign_once()
    again = first.leadership()
    assert again is not None
    assert again.create_revision > term.create_revision
    assert term.remaining() == 0.0


def test_a_leader_key_taken_by_another_ends_the_term(first: Candidate, second: Candidate, server: MemoryEtcd) -> None:
    first.step()
    term = first.leadership()
    assert term is not None
    server.commit(Transaction((), (Delete(KEYS.leader),)))
    second.step()
    first.campaign_once()
    assert first.leadership() is None
    assert term.remaining() == 0.0
    assert second.leadership() is not None


def test_a_lease_revoked_by_others_ends_the_term(first: Candidate, server: MemoryEtcd) -> None:
    first.step()
    term = first.leadership()
    assert term is not None
    server.revoke_lease(term.lease.id)
    first.campaign_once()
    assert first.leadership() is None
    assert term.remaining() == 0.0
    first.keep_alive_once()
    first.campaign_once()
    assert first.leadership() is not None


def test_a_campaign_whose_answer_was_lost_is_found_to_be_won(first: Candidate, store: FaultyStore) -> None:
    first.keep_alive_once()
    store.lose_answers = 1
    first.step()
    assert first.leadership() is None
    first.step()
    assert first.leadership() is not None


def test_a_presence_whose_put_failed_is_put_again(first: Candidate, store: FaultyStore, server: MemoryEtcd) -> None:
    store.lose_answers = 1
    assert first.step() <= 1.0
    first.step()
    assert server.get(KEYS.watcher("first")) is not None


def test_resigning_leaves_the_way_free_at_once(first: Candidate, second: Candidate, server: MemoryEtcd) -> None:
    first.step()
    second.step()
    term = first.leadership()
    assert term is not None
    first.resign()
    assert first.leadership() is None
    assert term.remaining() == 0.0
    assert server.get(KEYS.leader) is None
    assert server.get(KEYS.watcher("first")) is None
    second.campaign_once()
    assert second.leadership() is not None
    first.step()
    assert server.get(KEYS.watcher("first")) is None


def test_resigning_without_etcd_is_no_error(first: Candidate, store: FaultyStore) -> None:
    first.step()
    store.down = True
    first.resign()
    assert first.leadership() is None


def test_changes_are_told(store: FaultyStore, server: MemoryEtcd, clock: Clock) -> None:
    told: list[bool] = []
    candidate = Candidate(
        store, KEYS, "c", ttl=TTL, clock=clock, on_change=lambda: told.append(candidate.leadership() is not None)
    )
    candidate.step()
    candidate.step()
    server.commit(Transaction((), (Put(KEYS.leader, b"{}"),)))
    candidate.campaign_once()
    assert told == [True, False]


def test_there_are_never_two_leaders_whatever_happens(server: MemoryEtcd, clock: Clock) -> None:
    stores = [FaultyStore(server) for _ in range(3)]
    candidates = [Candidate(store, KEYS, str(number), ttl=TTL, clock=clock) for number, store in enumerate(stores)]
    terms: dict[int, str] = {}
    for turn in range(600):
        number = (turn * 7) % 3
        stores[number].down = turn % 40 > 20 and number == (turn // 40) % 3
        stores[number].lose_answers = int(turn % 13 == 0)
        candidates[number].step()
        clock.advance(0.8)
        leading = [candidate for candidate in candidates if candidate.leadership() is not None]
        assert len(leading) <= 1
        for candidate in leading:
            term = candidate.leadership()
            assert term is not None
            assert terms.setdefault(term.create_revision, candidate.watcher_id) == candidate.watcher_id
    assert len(set(terms.values())) > 1
