"""A watcher that is started again on the same machine leads at once, and one id is one watcher."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.trigger import Status
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.standin.faults import Fault

LONG_LEASE = 60
"""Seconds. What happens within a fraction of it does not wait for the lease to run out."""

SOON = LONG_LEASE / 3


@pytest.fixture
def long_lease(etcd_settings: EtcdSettings, tmp_path: Path) -> Iterator[ServedWorld]:
    with ServedWorld(etcd_settings, tmp_path) as world:
        watcher = world.settings.watcher.model_copy(update={"lease_ttl": LONG_LEASE})
        world.settings = world.settings.model_copy(update={"watcher": watcher})
        yield world


def start(world: ServedWorld, name: str, watcher_id: str) -> Service:
    service = Service(
        world.config(), "--dependencies", str(world.file), log=world.directory / name, watcher_id=watcher_id
    )
    world.services.append(service)
    return service


def until_it_leads(service: Service) -> None:
    until(lambda: service.is_ready() and service.leads(), "it leads", limit=SOON)


@pytest.mark.parametrize("watcher_id", ["first", "second"])
def test_a_watcher_started_again_after_a_kill_leads_before_the_lease_of_its_predecessor_ends(
    long_lease: ServedWorld, watcher_id: str
) -> None:
    long_lease.dependencies({"A": "R"})
    first = start(long_lease, "first.log", "first")
    until_it_leads(first)
    first.kill()
    killed_at = monotonic()
    again = start(long_lease, "again.log", watcher_id)
    until_it_leads(again)
    assert monotonic() - killed_at < SOON
    assert again.events("leader.lease_revoked")
    long_lease.complete("R")
    long_lease.until_done("A", runs=1)


def test_a_request_that_outlives_its_watcher_is_not_sent_once_more(long_lease: ServedWorld) -> None:
    timeout = 9.0
    default = long_lease.settings.environments["default"].model_copy(update={"request_timeout": timeout})
    environments = {**long_lease.settings.environments, "default": default}
    long_lease.settings = long_lease.settings.model_copy(update={"environments": environments})
    long_lease.dependencies({"A": "R"})
    first = start(long_lease, "first.log", "first")
    until_it_leads(first)
    long_lease.complete("R")
    long_lease.until_done("A", runs=1)
    airflow = long_lease.airflows["default"]
    arrives = threading.Event()
    airflow.faults.next("clear", Fault.hang(arrives))
    long_lease.complete("R", wave=2)

    def is_under_way() -> bool:
        record = long_lease.record("A")
        return record is not None and record.status is Status.INTENT

    until(is_under_way, "a request is under way")
    first.kill()
    again = start(long_lease, "again.log", "first")
    until_it_leads(again)
    assert not threading.Event().wait(timeout / 3), "time enough to send it once more"
    assert long_lease.runs("A") == 1, "the request is still on its way"
    arrives.set()
    long_lease.until_done("A", runs=2)
    long_lease.settle()
    assert long_lease.counts("A") == {"A": 2}


def test_a_second_watcher_with_the_same_id_is_refused_and_the_first_goes_on(long_lease: ServedWorld) -> None:
    long_lease.dependencies({"A": "R"})
    first = start(long_lease, "first.log", "one")
    until_it_leads(first)
    presence = long_lease.store.get(long_lease.keys.watcher("one"))
    assert presence is not None
    second = start(long_lease, "second.log", "one")
    assert second.wait() == 1
    assert "the watcher id 'one' is in use by" in second.log()
    assert f"pid {first.process.pid}" in second.log()
    after = long_lease.store.get(long_lease.keys.watcher("one"))
    assert after is not None
    assert (after.create_revision, after.lease) == (presence.create_revision, presence.lease)
    assert first.leads()
