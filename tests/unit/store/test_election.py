"""One leader at a time, by its own count as well as by etcd's; here on a clock that is moved by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from coordinator.controller.leading.progress import ProgressOfReading
from coordinator.store import election
from coordinator.store.election import AGAIN_WITHIN, Callbacks, Candidate
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd
from coordinator.store.port import Delete, Put, Transaction
from coordinator.store.presence import Presence, PresentFile, Progress, read_presence, written
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


def _read(server: MemoryEtcd, key: str) -> Presence:
    kv = server.get(key)
    assert kv is not None
    return read_presence(kv.value)


def _mod_revision(server: MemoryEtcd, key: str) -> int:
    kv = server.get(key)
    assert kv is not None
    return kv.mod_revision


def _keep_alive(candidate: Candidate, clock: Clock, *, times: int) -> None:
    for _ in range(times):
        clock.advance(candidate.step())


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
    assert set(present[KEYS.watcher("first")]) == {"id", "host", "pid", "since", "version", "process"}


def test_the_leader_key_says_since_when_its_watcher_leads(first: Candidate, server: MemoryEtcd, clock: Clock) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    late = Candidate(
        FaultyStore(server),
        KEYS,
        "late",
        ttl=TTL,
        clock=clock,
        callbacks=Callbacks(now=lambda: noon + timedelta(seconds=clock())),
    )
    first.step()
    late.step()
    came = clock()
    clock.advance(3)
    first.resign()
    late.step()
    came_at, leads_since = (_read(server, key).since for key in (KEYS.watcher("late"), KEYS.leader))
    assert came_at == written(noon + timedelta(seconds=came))
    assert leads_since == written(noon + timedelta(seconds=clock()))
    term = late.leadership()
    assert term is not None
    assert term.since == leads_since


def test_a_campaign_whose_answer_was_lost_has_led_since_then(server: MemoryEtcd, clock: Clock) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    store = FaultyStore(server)
    first = Candidate(
        store, KEYS, "first", ttl=TTL, clock=clock, callbacks=Callbacks(now=lambda: noon + timedelta(seconds=clock()))
    )
    first.keep_alive_once()
    store.lose_answers = 1
    first.step()
    clock.advance(2)
    first.step()
    term = first.leadership()
    assert term is not None
    assert term.since == _read(server, KEYS.leader).since == written(noon + timedelta(seconds=clock() - 2))


def test_a_presence_says_how_far_its_watcher_has_got_and_is_put_again_when_that_has_changed(
    server: MemoryEtcd, clock: Clock
) -> None:
    progress = Progress(revision=0, news=0, warm=False)
    candidate = Candidate(
        FaultyStore(server), KEYS, "c", ttl=TTL, clock=clock, callbacks=Callbacks(progress=lambda: progress)
    )
    _keep_alive(candidate, clock, times=4)
    assert _read(server, KEYS.watcher("c")).warm is False
    assert leader_in(server) is None
    announced = _mod_revision(server, KEYS.watcher("c"))
    progress = Progress(revision=7, news=0, warm=False)
    _keep_alive(candidate, clock, times=4)
    assert _mod_revision(server, KEYS.watcher("c")) == announced, "what it has read was others' words about themselves"
    progress = Progress(revision=8, news=8, warm=True)
    _keep_alive(candidate, clock, times=4)
    assert _mod_revision(server, KEYS.watcher("c")) == announced + 1
    presence = _read(server, KEYS.watcher("c"))
    assert (presence.revision, presence.warm) == (8, True)


def test_a_presence_is_put_again_after_a_while_though_nothing_has_changed(server: MemoryEtcd, clock: Clock) -> None:
    progress = Progress(revision=1, news=1, warm=True)
    candidate = Candidate(
        FaultyStore(server), KEYS, "c", ttl=TTL, clock=clock, callbacks=Callbacks(progress=lambda: progress)
    )
    candidate.step()
    announced = _mod_revision(server, KEYS.watcher("c"))
    until = clock() + AGAIN_WITHIN + TTL
    while clock() < until:
        clock.advance(candidate.step())
    assert _mod_revision(server, KEYS.watcher("c")) > announced
    again_within = _read(server, KEYS.watcher("c")).again_within
    assert again_within is not None
    assert again_within >= AGAIN_WITHIN + TTL / 3, "it need not be silent between two keep-alives"


@pytest.mark.promise("takeover")
def test_who_has_not_read_everything_yet_leaves_the_lead_to_who_has(
    server: MemoryEtcd, clock: Clock, second: Candidate
) -> None:
    progress = Progress(revision=5, news=5, warm=False)
    cold = Candidate(
        FaultyStore(server), KEYS, "cold", ttl=TTL, clock=clock, callbacks=Callbacks(progress=lambda: progress)
    )
    cold.step()
    assert leader_in(server) is None, "a warm one need not wait for it"
    second.step()
    assert leader_in(server) == "second"
    progress = Progress(revision=6, news=6, warm=True)
    cold.step()
    assert cold.leadership() is None
    second.resign()
    cold.step()
    term = cold.leadership()
    assert term is not None
    progress = Progress(revision=6, news=6, warm=False)
    for _ in range(4):
        clock.advance(cold.step())
    assert cold.leadership() is term, "whose watch is broken for a while goes on leading"


def test_times_are_spelled_as_everywhere_else() -> None:
    noon = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=UTC)
    presence = Presence.of_this_process("w", since=noon)
    assert presence.since == "2026-11-20T12:00:00Z"
    assert presence.began == noon.replace(microsecond=0)


def test_what_is_the_matter_with_the_file_is_told_at_once() -> None:
    reading = ProgressOfReading(KEYS.signs_of_life)
    bad = PresentFile("default", "", problem="it is not there")
    assert reading.stand_at(7, warm=True)
    assert not reading.has_found(None, {}, {})
    assert reading.has_found(bad, {}, {})
    assert not reading.stand_at(8, warm=True)
    assert not reading.has_found(bad, {}, {})
    assert reading.present.file is bad
    assert reading.has_found(PresentFile("default", "5fa1c0de"), {}, {})


@pytest.mark.promise("takeover")
@pytest.mark.parametrize("count", [2, 5])
def test_watchers_do_not_keep_each_other_busy(server: MemoryEtcd, clock: Clock, count: int) -> None:
    watchers = []
    for number in range(count):
        reading = ProgressOfReading(KEYS.signs_of_life)
        store = FaultyStore(server)
        candidate = Candidate(
            store, KEYS, str(number), ttl=TTL, clock=clock, callbacks=Callbacks(progress=lambda of=reading: of.present)
        )
        watchers.append((candidate, reading, store.watch(KEYS.root, from_revision=1)))

    def turn() -> None:
        for candidate, reading, watch in watchers:
            while (changes := watch.receive(0)) is not None:
                reading.note([changes])
                reading.stand_at(changes.revision, warm=True)
            candidate.step()
        clock.advance(TTL / 3)

    for _ in range(6):
        turn()
    settled = server.revision
    for _ in range(6):
        turn()
    assert server.revision == settled
    server.commit(Transaction((), (Put(KEYS.root + "state/e/d/p", b"success"),)))
    for _ in range(6):
        turn()
    assert server.revision == settled + 1 + count, "each says once that it has read it"


def test_what_an_older_version_says_of_itself_is_read_and_what_cannot_be_read_is_no_error() -> None:
    old = read_presence(b'{"id": "w", "host": "h", "pid": 7, "since": "2026-11-20T00:00:00+00:00"}')
    assert (old.id, old.pid, old.version, old.revision, old.warm, old.written_at) == ("w", 7, None, None, None, None)
    odd = read_presence(
        b'{"id": "\\ud800", "pid": "x", "revision": true, "warm": 1, "written_at": 3, "again_within": "soon", "x": 1}'
    )
    assert (odd.id, odd.pid, odd.since) == ("\\ud800", 0, "?")
    assert (odd.revision, odd.warm, odd.written_at, odd.again_within) == (None, None, None, None)
    for value in (b"", b"[]", b"\xff", b"null", b"[" * 100_000):
        assert read_presence(value).id == "?"
    new = Presence("w", "h", 7, "s", "1.0").progressed(
        Progress(5, 4, True), written_at=datetime(2026, 11, 20, tzinfo=UTC), again_within=70.0
    )
    assert read_presence(new.to_value()) == new


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


@pytest.mark.promise("leader-only")
def test_what_remains_is_counted_from_before_the_request_was_sent(
    first: Candidate, store: FaultyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.step()
    refresh = store.refresh_lease

    def slow_answer(lease: int, *, quorum_key: str) -> int:
        left = refresh(lease, quorum_key=quorum_key)
        clock.advance(2.0)
        return left

    monkeypatch.setattr(store, "refresh_lease", slow_answer)
    clock.advance(1.0)
    first.keep_alive_once()
    term = first.leadership()
    assert term is not None
    assert term.remaining() == pytest.approx(TTL - 2.0)


@pytest.mark.promise("leader-only")
def test_an_answer_after_the_end_by_our_count_does_not_revive_a_term(
    first: Candidate, store: FaultyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.step()
    term = first.leadership()
    assert term is not None
    refresh = store.refresh_lease

    def late_answer(lease: int, *, quorum_key: str) -> int:
        left = refresh(lease, quorum_key=quorum_key)
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


@pytest.mark.parametrize("again", [True, False], ids=["the same one", "another one"])
def test_who_leads_after_somebody_deleted_the_key_waits_for_the_last_request(
    first: Candidate, second: Candidate, server: MemoryEtcd, *, again: bool
) -> None:
    first.step()
    second.step()
    server.commit(Transaction((), (Delete(KEYS.leader),)))
    successor = first if again else second
    successor.step()
    term = successor.leadership()
    assert term is not None
    assert term.predecessor_may_send_for() >= TTL
    assert _read(server, KEYS.leader).took_over


@pytest.mark.parametrize("how", ["killed", "key deleted"])
@pytest.mark.parametrize("ends", ["resigns", "is killed"])
def test_a_leader_that_ends_while_it_waits_leaves_the_wait_to_whoever_leads_next(
    server: MemoryEtcd, clock: Clock, monkeypatch: pytest.MonkeyPatch, how: str, ends: str
) -> None:
    timeout = 8.0
    first, second, third = (
        Candidate(FaultyStore(server), KEYS, name, ttl=TTL, request_timeout=timeout, clock=clock)
        for name in ("first", "second", "third")
    )
    first.step()
    second.step()
    clock.advance(TTL / 3)
    first.step()
    if how == "killed":
        with monkeypatch.context() as gone:
            gone.setattr(election, "is_gone", lambda _: True)
            second.step()
    else:
        server.commit(Transaction((), (Delete(KEYS.leader),)))
        second.campaign_once()
    term, ended_at = second.leadership(), clock()
    assert term is not None
    may_be_under_way_until = ended_at + (timeout if how == "killed" else TTL)
    third.step()
    clock.advance(1)
    if ends == "resigns":
        second.resign()
    third.step()
    while (leads := third.leadership()) is None:
        clock.advance(0.05)
        third.step()
    assert clock() + leads.predecessor_may_send_for() >= may_be_under_way_until


@pytest.mark.parametrize("ends", ["resigned", "expired", "expired, and there again"])
def test_who_leads_after_a_lease_has_ended_waits_for_nothing(
    first: Candidate, second: Candidate, server: MemoryEtcd, clock: Clock, ends: str
) -> None:
    first.step()
    second.step()
    if ends == "resigned":
        first.resign()
    else:
        for _ in range(4):
            clock.advance(TTL / 3)
            second.keep_alive_once()
        if ends == "expired, and there again":
            first.keep_alive_once()
            assert server.get(KEYS.watcher("first")) is not None
    second.step()
    term = second.leadership()
    assert term is not None
    assert term.predecessor_may_send_for() == 0


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


def test_an_outage_does_not_fill_the_log(first: Candidate, store: FaultyStore, clock: Clock) -> None:
    def lines() -> int:
        return sum(one["event"] == "election.step_failed" for one in logged)

    with structlog.testing.capture_logs() as logged:
        for outage in (1, 2):
            store.down = True
            for _ in range(20):
                clock.advance(first.step())
            assert lines() == outage, "the first failure"
            store.down = False
            first.step()
        store.down = True
        for _ in range(70):
            clock.advance(first.step())
        assert lines() == outage + 3, "the first one of 70 seconds, and two that remind of it"


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
        store,
        KEYS,
        "c",
        ttl=TTL,
        clock=clock,
        callbacks=Callbacks(on_change=lambda: told.append(candidate.leadership() is not None)),
    )
    candidate.step()
    candidate.step()
    server.commit(Transaction((), (Put(KEYS.leader, b"{}"),)))
    candidate.campaign_once()
    assert told == [True, False]


@pytest.mark.promise("leader-only")
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


@pytest.mark.promise("takeover")
def test_a_leader_that_decides_nothing_any_more_gives_the_lead_away(
    store: FaultyStore, second: Candidate, server: MemoryEtcd, clock: Clock
) -> None:
    stalled = False
    first = Candidate(store, KEYS, "first", ttl=TTL, clock=clock, callbacks=Callbacks(is_stalled=lambda: stalled))
    first.step()
    second.step()
    term = first.leadership()
    assert term is not None
    stalled = True
    clock.advance(first.step())
    assert term.remaining() == 0.0
    second.step()
    assert leader_in(server) == "first", "a request may be under way that went out when this lease outlived it"
    clock.advance(TTL / 2)
    first.step()
    second.step()
    clock.advance(TTL / 2)
    second.step()
    assert leader_in(server) == "second"
    _keep_alive(first, clock, times=2)
    assert _read(server, KEYS.watcher("first")).id == "first"  # it is still there, for people to see
    second.resign()
    first.step()
    assert leader_in(server) is None
    stalled = False
    first.step()
    assert leader_in(server) == "first"


def test_watchers_that_end_again_and_again_still_come_to_ask_what_was_under_way(
    server: MemoryEtcd, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lives for a second, and a request may take six: a lease that is revoked each time starts the wait again."""
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    monkeypatch.setattr(election, "is_gone", lambda _: True)

    def started(number: int) -> Candidate:
        return Candidate(
            FaultyStore(server),
            KEYS,
            f"watcher {number}",
            ttl=TTL,
            request_timeout=6.0,
            clock=clock,
            callbacks=Callbacks(now=lambda: noon + timedelta(seconds=clock())),
        )

    started(0).step()
    waits = []
    for number in range(1, 40):
        clock.advance(1)
        successor = started(number)
        successor.step()
        if (term := successor.leadership()) is not None:
            waits.append(term.predecessor_may_send_for())
    assert waits[0] > 0, "a lease that was not waited for"
    assert 0 in waits, "a term that may ask at once"
