"""Delivery: in order, until the write is known, without end while somebody needs it; then it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from coordinator.airflow_plugin.clients import Clients
from coordinator.airflow_plugin.delivery import Delivery, Retired, Undelivered
from coordinator.airflow_plugin.outbox import AnyEvent, Event, Outbox
from coordinator.airflow_plugin.wakeup_pipe import WakeupPipe, WakeUps, ask_to_retire, wake_up
from coordinator.errors import ConfigurationError
from coordinator.model.runstate import RunStateDocument, State, Verdict
from coordinator.store.port import StoreError, StoreUnavailable


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path)


@pytest.fixture
def wakeup_pipe(tmp_path: Path) -> Iterator[WakeupPipe]:
    with WakeupPipe(tmp_path) as wakeup_pipe:
        yield wakeup_pipe


def put(outbox: Outbox, *partitions: str) -> list[str]:
    return [
        outbox.put(
            Event(environment="e", dag_id="d", partition=partition, document=RunStateDocument(state=State.SUCCESS))
        )
        for partition in partitions
    ]


class Etcd:
    """Stands in for the writer: fails as often as told, and remembers what it took."""

    def __init__(self, *failures: Exception, then: Callable[[AnyEvent], None] = lambda _: None) -> None:
        self.failures = list(failures)
        self.then = then
        self.took: list[str] = []

    def __call__(self, event: AnyEvent) -> Verdict:
        if self.failures:
            raise self.failures.pop(0)
        assert isinstance(event, Event)
        self.took.append(event.partition)
        self.then(event)
        return Verdict.NEW


def test_events_are_written_in_order_and_removed(outbox: Outbox, wakeup_pipe: WakeupPipe) -> None:
    put(outbox, "1", "2", "3")
    etcd = Etcd()
    Delivery(outbox, etcd, clients=Clients(), wakeup_pipe=wakeup_pipe).run()
    assert etcd.took == ["1", "2", "3"]
    assert outbox.pending() == []


def test_an_event_is_still_there_while_its_write_is_not_known(outbox: Outbox, wakeup_pipe: WakeupPipe) -> None:
    first, second = put(outbox, "1", "2")
    seen: list[list[str]] = []
    etcd = Etcd(then=lambda _: seen.append(outbox.pending()))
    Delivery(outbox, etcd, clients=Clients(), wakeup_pipe=wakeup_pipe).run()
    assert seen == [[first, second], [second]]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_ends_an_event(outbox: Outbox, wakeup_pipe: WakeupPipe, verdict: Verdict) -> None:
    put(outbox, "1")
    Delivery(outbox, lambda _: verdict, clients=Clients(), wakeup_pipe=wakeup_pipe).run()
    assert outbox.pending() == []


@pytest.mark.slow
@pytest.mark.promise("reporting")
@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreError("full"), ConfigurationError("broken")])
def test_what_may_pass_is_tried_again_and_nothing_overtakes_it(
    outbox: Outbox, wakeup_pipe: WakeupPipe, error: Exception
) -> None:
    put(outbox, "1", "2")
    etcd = Etcd(error, error, error)
    Delivery(outbox, etcd, clients=Clients(), wakeup_pipe=wakeup_pipe).run()
    assert etcd.took == ["1", "2"]


@pytest.mark.slow
def test_an_outage_is_said_once_and_not_with_every_try(outbox: Outbox, wakeup_pipe: WakeupPipe) -> None:
    put(outbox, "1")
    with structlog.testing.capture_logs() as logs:
        Delivery(
            outbox, Etcd(*[StoreUnavailable("away")] * 5), clients=Clients(), wakeup_pipe=wakeup_pipe, grace=60
        ).run()
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["event.not_delivered"]


def test_without_a_client_it_gives_up_after_a_while_and_keeps_the_events(
    outbox: Outbox, wakeup_pipe: WakeupPipe
) -> None:
    names = put(outbox, "1", "2")
    etcd = Etcd(*[StoreUnavailable("away")] * 1000)
    with pytest.raises(Undelivered, match="away"):
        Delivery(outbox, etcd, clients=Clients(), wakeup_pipe=wakeup_pipe, grace=0.2).run()
    assert outbox.pending() == names


@pytest.mark.slow
def test_with_a_client_it_never_gives_up(outbox: Outbox, wakeup_pipe: WakeupPipe, tmp_path: Path) -> None:
    put(outbox, "1")
    etcd = Etcd(*[StoreUnavailable("away")] * 4, then=lambda _: _retire(tmp_path))
    with pytest.raises(Retired):
        Delivery(outbox, etcd, clients=Clients([os.getpid()]), wakeup_pipe=wakeup_pipe, grace=0).run()
    assert etcd.took == ["1"]


def test_a_wake_up_during_the_last_attempt_makes_it_stay(
    outbox: Outbox, wakeup_pipe: WakeupPipe, tmp_path: Path
) -> None:
    """Another process of Airflow relies on it now: giving up would leave its event for nobody."""
    put(outbox, "1")
    tries: list[AnyEvent] = []

    def fails_and_is_woken_up(event: AnyEvent) -> Verdict:
        tries.append(event)
        if len(tries) == 1:
            scheduler.kill()
            scheduler.wait()
            wake_up(tmp_path, client=os.getpid())
            raise StoreUnavailable("away")
        _retire(tmp_path)
        return Verdict.NEW

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as scheduler:
        clients = Clients([scheduler.pid])
        with pytest.raises(Retired):
            Delivery(outbox, fails_and_is_woken_up, clients=clients, wakeup_pipe=wakeup_pipe, grace=0).run()
    assert outbox.pending() == []


def test_an_event_that_arrives_as_it_leaves_is_not_forgotten(outbox: Outbox, wakeup_pipe: WakeupPipe) -> None:
    put(outbox, "1")
    etcd = Etcd()

    class LastRing(WakeupPipe):
        def __init__(self) -> None:
            """Wakes the sender at the moment at which it has decided to end."""

        def wait(self, timeout: float) -> WakeUps:
            return wakeup_pipe.wait(min(timeout, 0))

        def close(self) -> None:
            put(outbox, "late")

    Delivery(outbox, etcd, clients=Clients(), wakeup_pipe=LastRing()).run()
    assert etcd.took == ["1", "late"]


def test_a_newer_sender_is_made_room_for_in_the_middle_of_a_backlog(
    outbox: Outbox, wakeup_pipe: WakeupPipe, tmp_path: Path
) -> None:
    put(outbox, "1", "2", "3")
    etcd = Etcd(then=lambda _: _retire(tmp_path))
    with pytest.raises(Retired):
        Delivery(outbox, etcd, clients=Clients([os.getpid()]), wakeup_pipe=wakeup_pipe).run()
    assert etcd.took == ["1"]
    assert len(outbox.pending()) == 2


def test_a_file_system_without_named_pipes_only_costs_time(outbox: Outbox) -> None:
    put(outbox, "1")
    etcd = Etcd(StoreUnavailable("away"))
    Delivery(outbox, etcd, clients=Clients(), wakeup_pipe=None).run()
    assert etcd.took == ["1"]


def _retire(directory: Path) -> None:
    assert ask_to_retire(directory)
