"""The inbox: what etcd tells waits for room; what environments answer never does; nothing is lost or out of order."""

from __future__ import annotations

import math
import signal
import threading
import time

import pytest

from coordinator.controller.dispatch.jobs import Effect, EffectDone
from coordinator.controller.inbox import Inbox
from coordinator.model.references import PipelineRef, Target
from coordinator.store.port import Changed, Changes, KeyValue, Listing
from coordinator.store.reflector import Disconnected, Snapshot

pytestmark = pytest.mark.promise("slow")

PATIENCE = 10.0


def changes(revision: int, count: int = 1) -> Changes:
    return Changes(tuple(Changed(f"k{number}", revision, None) for number in range(count)), revision)


def answer(token: str) -> EffectDone:
    return EffectDone("default", Target(PipelineRef("default", "d"), "p"), token, Effect.START)


def put_in_a_thread(inbox: Inbox, *updates: Changes) -> tuple[threading.Thread, list[bool]]:
    """Puts one after the other, as the reflector does."""
    results: list[bool] = []

    def put() -> None:
        for update in updates:
            results.append(inbox.put_update(update))

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    return thread, results


def until_it_waits(inbox: Inbox, results: list[bool], count: int) -> None:
    end = time.monotonic() + PATIENCE
    while not (len(results) == count and inbox._room._waiters):  # type: ignore[attr-defined]
        assert time.monotonic() < end, f"{len(results)} were put, expected {count} and one that waits"
        time.sleep(0.001)


def test_a_taker_that_stands_still_lets_the_reflector_wait_and_loses_nothing() -> None:
    inbox = Inbox(bound=10, at_once=4)
    thread, results = put_in_a_thread(inbox, *(changes(revision, 3) for revision in range(1, 101)))
    until_it_waits(inbox, results, 4)
    taken: list[object] = []
    end = time.monotonic() + PATIENCE
    while len(taken) < 100:
        assert time.monotonic() < end
        batch = inbox.take(0.1)
        assert len(batch) <= 2, "no more than it takes to reach four changes"
        taken += batch
    thread.join(PATIENCE)
    assert [one.revision for one in taken if isinstance(one, Changes)] == list(range(1, 101))
    assert results == [True] * 100
    assert inbox.is_empty()


def test_a_listing_larger_than_all_room_gets_through_and_keeps_the_next_one_waiting() -> None:
    inbox = Inbox(bound=10)
    listing = Listing([KeyValue(f"k{number}", b"", 1, 1) for number in range(50)], 1, 1)
    assert inbox.put_update(Snapshot(listing))
    thread, results = put_in_a_thread(inbox, changes(2))
    until_it_waits(inbox, results, 0)
    (snapshot,) = inbox.take(0.0)
    assert isinstance(snapshot, Snapshot)
    thread.join(PATIENCE)
    assert results == [True]


def test_answers_are_taken_though_the_updates_have_no_room() -> None:
    inbox = Inbox(bound=1, at_once=1)
    assert inbox.put_update(changes(1))
    thread, results = put_in_a_thread(inbox, changes(2), changes(3))
    until_it_waits(inbox, results, 0)
    for number in range(100):
        inbox.put_answer(answer(str(number)))
    taken = inbox.take(0.0)
    assert sum(isinstance(one, EffectDone) for one in taken) == 100
    assert [one for one in taken if isinstance(one, Changes)] == [changes(1)]
    inbox.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_who_waits_goes_on_when_it_is_closed() -> None:
    inbox = Inbox(bound=1)
    assert inbox.put_update(changes(1))
    thread, results = put_in_a_thread(inbox, changes(2))
    until_it_waits(inbox, results, 0)
    inbox.close()
    thread.join(PATIENCE)
    assert results == [False]
    inbox.put_answer(answer("late"))  # a pool's thread is never held up
    assert not inbox.put_update(Disconnected("late"))


def test_waking_needs_no_message_and_its_rings_do_not_pile_up() -> None:
    inbox = Inbox()
    for _ in range(5):
        inbox.wake()
    began = time.monotonic()
    assert inbox.take(PATIENCE) == []
    assert time.monotonic() - began < PATIENCE / 2
    assert inbox.take(0.0) == []
    assert inbox._wakeups.empty()


@pytest.mark.timeout(30)
def test_a_signal_handler_wakes_a_thread_that_holds_every_lock_there_is() -> None:
    inbox = Inbox()
    before = signal.signal(signal.SIGUSR1, lambda *_: inbox.wake())
    try:
        with inbox._room:
            signal.raise_signal(signal.SIGUSR1)
        assert inbox.take(PATIENCE) == []
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_how_long_something_has_lain_here_is_told_and_what_etcd_had_to_keep_may_have_lain_for_any_time() -> None:
    seconds = 100.0
    inbox = Inbox(bound=2, at_once=1, clock=lambda: seconds)
    assert inbox.put_update(changes(1))
    seconds += 3.0
    assert inbox.put_update(changes(2))
    thread, results = put_in_a_thread(inbox, changes(3), changes(4))
    until_it_waits(inbox, results, 0)
    lags = []
    for _ in range(4):
        (taken,) = inbox.take(PATIENCE)
        assert isinstance(taken, Changes)
        lags.append(inbox.lag)
        if taken.revision < 3:
            until_it_waits(inbox, results, 1) if taken.revision == 1 else thread.join(PATIENCE)
    assert lags == [3.0, 0.0, math.inf, math.inf]
    assert inbox.put_update(changes(5))
    inbox.take(0.0)
    assert inbox.lag == 0.0, "it has caught up"
    inbox.put_answer(answer("1"))
    inbox.take(0.0)
    assert inbox.lag == 0.0
