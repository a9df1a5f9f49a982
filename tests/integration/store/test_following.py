"""The reflector and the election on a real etcd that is stopped, killed, frozen and compacted under them."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from coordinator.store import reflector as reflector_module
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.election import Candidate
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Changes, Delete, Put, StoreUnavailable, Transaction
from coordinator.store.reflector import Disconnected, Reflector, Snapshot, Update
from tests.integration.store.conftest import compact
from tests.integration.store.waiting import wait_for

ATTENTION = 3600.0
"""Seconds after which a client would look by itself: far longer than any test waits."""


class Follower:
    """A consumer of a reflector, in a thread: the view that it has come to, and what happened on the way."""

    def __init__(self, reflector: Reflector) -> None:
        self.view: dict[str, bytes] = {}
        self.revision = 0
        self.lists = 0
        self.losses: list[str] = []
        self.arrivals: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reflector = reflector
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        wait_for(lambda: self.lists > 0)
        return self

    def __exit__(self, *_: object) -> None:
        began = monotonic()
        self._stop.set()
        self._reflector.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        assert monotonic() - began < 3

    def _follow(self) -> None:
        for update in self._reflector.updates(self._stop):
            self._take(update)

    def _take(self, update: Update) -> None:
        match update:
            case Snapshot(listing):
                self.view = {kv.key: kv.value for kv in listing.items}
                self.revision = listing.revision
                self.lists += 1
            case Changes(changes, revision):
                for change in changes:
                    self.arrivals.put(change.key)
                    if change.kv is None:
                        self.view.pop(change.key, None)
                    else:
                        self.view[change.key] = change.kv.value
                self.revision = revision
            case Disconnected(reason):
                self.losses.append(reason)


def put(store: EtcdStore, key: str, value: bytes = b"x") -> int:
    until = monotonic() + 20
    while True:
        try:
            return store.commit(Transaction((), (Put(key, value),))).revision
        except StoreUnavailable:
            if monotonic() > until:
                raise


def test_a_change_arrives_without_polling(etcd: EtcdStore, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector_module, "_LONGEST_WAIT", ATTENTION)
    with Follower(Reflector(etcd, keys.root, progress_every=ATTENTION, silence_limit=ATTENTION)) as follower:
        put(etcd, keys.root + "first")
        follower.arrivals.get(timeout=15)
        for number in range(100):
            put(etcd, f"{keys.root}{number}")
            assert follower.arrivals.get(timeout=15) == f"{keys.root}{number}"


@pytest.mark.promise("downtime")
def test_what_changed_while_etcd_was_down_and_restarted_is_seen(own_etcd: EmbeddedEtcd, own_store: EtcdStore) -> None:
    put(own_store, "/c/a")
    writer = connect(own_etcd.settings)
    with Follower(Reflector(own_store, "/c/")) as follower:
        for turn in range(3):
            own_etcd.kill()
            wait_for(lambda: len(follower.losses) > turn)  # noqa: B023
            own_etcd.start()
            put(writer, "/c/a", str(turn).encode())
            wait_for(lambda: follower.view == {"/c/a": str(turn).encode()})  # noqa: B023
        assert follower.lists == 1
    writer.close()


@pytest.mark.promise("downtime")
def test_a_compaction_while_it_was_away_leads_to_a_new_list(own_etcd: EmbeddedEtcd, own_store: EtcdStore) -> None:
    put(own_store, "/c/gone")
    port = own_etcd.port
    with Follower(Reflector(own_store, "/c/", backoff=lambda _: 0.5)) as follower:
        own_etcd.kill()
        wait_for(lambda: bool(follower.losses))
        # Back, but somewhere else, so that the follower does not see what happens there.
        elsewhere = EmbeddedEtcd(own_etcd.data_dir)
        with elsewhere:
            writer = connect(elsewhere.settings)
            writer.commit(Transaction((), (Delete("/c/gone"),)))
            for _ in range(5):
                last = put(writer, "/c/new")
            compact(elsewhere, last)
            writer.close()
        own_etcd.start()
        assert own_etcd.port == port
        wait_for(lambda: follower.view == {"/c/new": b"x"})
        assert follower.lists == 2
        assert any("compact" in reason for reason in follower.losses)


@pytest.mark.promise("downtime")
def test_another_cluster_on_the_same_port_leads_to_a_new_list(
    own_etcd: EmbeddedEtcd, own_store: EtcdStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for _ in range(5):
        put(own_store, "/c/old")
    with Follower(Reflector(own_store, "/c/")) as follower:
        own_etcd.stop()
        with EmbeddedEtcd(tmp_path_factory.mktemp("other"), port=own_etcd.port) as other:
            writer = connect(other.settings)
            for _ in range(50):
                put(writer, "/c/restored")
            wait_for(lambda: follower.view == {"/c/restored": b"x"})
            put(writer, "/c/live")
            wait_for(lambda: "/c/live" in follower.view)
            writer.close()


@pytest.mark.promise("downtime")
def test_a_frozen_etcd_is_noticed_and_nothing_is_missed_afterwards(
    own_etcd: EmbeddedEtcd, own_store: EtcdStore
) -> None:
    put(own_store, "/c/a")
    with Follower(Reflector(own_store, "/c/", progress_every=0.5, silence_limit=1.5)) as follower:
        own_etcd.freeze()
        began = monotonic()
        wait_for(lambda: bool(follower.losses))
        assert monotonic() - began < 4
        own_etcd.thaw()
        put(own_store, "/c/b")
        wait_for(lambda: "/c/b" in follower.view)


def test_a_quiet_prefix_keeps_up_with_the_store(own_store: EtcdStore) -> None:
    with Follower(Reflector(own_store, "/c/", progress_every=0.2, silence_limit=1.0)) as follower:
        until = monotonic() + 2.5
        while monotonic() < until:
            put(own_store, "/other/k")
            threading.Event().wait(0.05)
        assert follower.losses == []
        assert follower.lists == 1


@contextmanager
def nudged(store: EtcdStore, keys: Keys, candidate: Candidate) -> Iterator[Candidate]:
    """A candidate that hears of every change of the leader key, and that there is none, as a watcher does."""
    reflector, stop = Reflector(store, keys.leader), threading.Event()

    def listen() -> None:
        for update in reflector.updates(stop):
            has_changed = isinstance(update, Changes) and update.changes
            if has_changed or (isinstance(update, Snapshot) and not update.listing.items):
                candidate.nudge()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        with candidate:
            yield candidate
    finally:
        stop.set()
        reflector.close()
        listener.join(10)
    assert not listener.is_alive()


@pytest.mark.promise("takeover")
def test_a_successor_takes_over_at_once_when_the_leader_resigns(etcd: EtcdStore, keys: Keys) -> None:
    """At once: with such leases the second one would look by itself after a third of an hour only."""
    with Candidate(etcd, keys, "first", ttl=int(ATTENTION)) as first:
        wait_for(lambda: first.leadership() is not None)
        second = Candidate(etcd, keys, "second", ttl=int(ATTENTION))
        with nudged(etcd, keys, second):
            wait_for(lambda: len(etcd.list(keys.root + "watchers/").items) == 2)
            first.resign()
            wait_for(lambda: second.leadership() is not None)
            assert first.leadership() is None


@pytest.mark.promise("leader-only", "takeover")
def test_a_leader_that_was_killed_is_replaced_when_its_lease_ends(
    etcd: EtcdStore, keys: Keys, etcd_server: EmbeddedEtcd
) -> None:
    script = (
        "from coordinator.config.etcd import EtcdSettings\n"
        "from coordinator.store.connection import connect\n"
        "from coordinator.store.election import Candidate\n"
        "from coordinator.store.keys import Keys\n"
        "import threading\n"
        f"store = connect(EtcdSettings(endpoints=[{etcd_server.endpoint!r}]))\n"
        f"candidate = Candidate(store, Keys({keys.prefix!r}), 'first', ttl=2)\n"
        "candidate._on_change = lambda: print('leading', flush=True)\n"
        "candidate.start()\n"
        "threading.Event().wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert any(line == "leading\n" for line in process.stdout)
        with nudged(etcd, keys, Candidate(etcd, keys, "second", ttl=2)) as second:
            wait_for(lambda: len(etcd.list(keys.root + "watchers/").items) == 2)
            assert second.leadership() is None
            os.kill(process.pid, signal.SIGKILL)
            began = monotonic()
            wait_for(lambda: second.leadership() is not None)
            assert monotonic() - began < 6


@pytest.mark.promise("leader-only")
def test_a_leader_loses_its_term_before_etcd_ends_its_lease(own_etcd: EmbeddedEtcd, own_store: EtcdStore) -> None:
    keys = Keys("/c")
    with Candidate(own_store, keys, "first", ttl=3) as first:
        wait_for(lambda: first.leadership() is not None)
        term = first.leadership()
        assert term is not None
        own_etcd.freeze()
        wait_for(lambda: first.leadership() is None, limit=5)
        assert term.remaining() == 0.0
        own_etcd.thaw()
        wait_for(lambda: first.leadership() is not None)
        again = first.leadership()
        assert again is not None
        assert again.create_revision > term.create_revision
        assert term.remaining() == 0.0
