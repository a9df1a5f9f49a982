"""The lease of a leader is revoked only where its process has provably ended; on a real etcd, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from coordinator.store.connection import EtcdStore
from coordinator.store.election import Candidate
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from coordinator.store.presence import Presence, read_presence
from coordinator.store.process_id import ProcessId

TTL = 60
"""Seconds: no test takes so long, so no lease runs out by itself."""

TIMEOUT = 7.0


@contextmanager
def leading(server: EmbeddedEtcd, keys: Keys) -> Iterator[subprocess.Popen[str]]:
    """A process that leads."""
    script = (
        "from coordinator.config.etcd import EtcdSettings\n"
        "from coordinator.store.connection import connect\n"
        "from coordinator.store.election import Candidate\n"
        "from coordinator.store.keys import Keys\n"
        "import threading\n"
        f"store = connect(EtcdSettings(endpoints=[{server.endpoint!r}]))\n"
        f"candidate = Candidate(store, Keys({keys.prefix!r}), 'first', ttl={TTL})\n"
        "assert candidate.step() is not None and candidate.leadership() is not None\n"
        "print('leading', flush=True)\n"
        "threading.Event().wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert any(line == "leading\n" for line in process.stdout)
        yield process
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def second(etcd: EtcdStore, keys: Keys) -> Iterator[Candidate]:
    candidate = Candidate(etcd, keys, "second", ttl=TTL, request_timeout=TIMEOUT)
    candidate.keep_alive_once()
    yield candidate
    candidate.resign()


def leader_of(store: EtcdStore, keys: Keys) -> Presence:
    found = store.get(keys.leader)
    assert found is not None
    return read_presence(found.value)


def rewrite_leader(store: EtcdStore, keys: Keys, process: ProcessId | None) -> None:
    """The leader key as another process would have written it, on the same lease."""
    found = store.get(keys.leader)
    assert found is not None
    presence = replace(read_presence(found.value), process=process)
    store.commit(Transaction((), (Put(keys.leader, presence.to_value(), found.lease),)))


def test_the_lease_of_a_process_that_was_killed_is_revoked(
    etcd_server: EmbeddedEtcd, etcd: EtcdStore, keys: Keys, second: Candidate
) -> None:
    with leading(etcd_server, keys) as first:
        assert second.campaign_once() is None
        first.kill()
        first.wait(10)
        term = second.campaign_once()
    assert term is not None
    assert leader_of(etcd, keys).id == "second"
    assert etcd.get(keys.watcher("first")) is None, "its presence goes with its lease"
    assert TIMEOUT - 2 < term.predecessor_may_send_for() <= TIMEOUT


def test_the_lease_of_a_process_that_is_stopped_is_not_revoked(
    etcd_server: EmbeddedEtcd, etcd: EtcdStore, keys: Keys, second: Candidate
) -> None:
    with leading(etcd_server, keys) as first:
        first.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT)
        assert second.campaign_once() is None
        assert leader_of(etcd, keys).id == "first"


def test_a_process_number_that_was_given_to_another_process_proves_that_the_first_has_ended(
    etcd_server: EmbeddedEtcd, etcd: EtcdStore, keys: Keys, second: Candidate
) -> None:
    with leading(etcd_server, keys):
        process = leader_of(etcd, keys).process
        assert process is not None
        rewrite_leader(etcd, keys, replace(process, started=process.started - 1))
        assert second.campaign_once() is not None


@pytest.mark.parametrize("elsewhere", ["host", "boot", "namespaces", None])
def test_what_cannot_be_seen_from_here_is_waited_for(
    etcd_server: EmbeddedEtcd, etcd: EtcdStore, keys: Keys, second: Candidate, elsewhere: str | None
) -> None:
    with leading(etcd_server, keys) as first:
        process = leader_of(etcd, keys).process
        assert process is not None
        rewrite_leader(etcd, keys, None if elsewhere is None else replace(process, **{elsewhere: "another"}))  # type: ignore[arg-type]
        first.kill()
        first.wait(10)
        assert second.campaign_once() is None
        assert leader_of(etcd, keys).id == "first"


def test_a_term_that_follows_a_resignation_waits_for_no_request(etcd: EtcdStore, keys: Keys, second: Candidate) -> None:
    first = Candidate(etcd, keys, "first", ttl=TTL)
    first.step()
    first.resign()
    term = second.campaign_once()
    assert term is not None
    assert term.predecessor_may_send_for() == 0.0
