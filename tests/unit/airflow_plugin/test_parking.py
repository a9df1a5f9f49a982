"""An event that cannot be delivered is parked with its reason, holds up no other, and is delivered once it can be."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from coordinator.airflow_plugin.clients import Clients
from coordinator.airflow_plugin.delivery import Delivery, OtherEnvironment
from coordinator.airflow_plugin.outbox import AnyEvent, Event, Outbox
from coordinator.airflow_plugin.parking import UNKNOWN, Parked, Reason
from coordinator.airflow_plugin.probing import FIRST_PAUSE, LONGEST_PAUSE, Probing
from coordinator.commands.report import write_report
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import InvalidReport, RunState, RunStateDocument, State, Verdict, read_run_state
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import AccessDenied, TransactionTooLarge

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
POISON = "00000000000000000001-1-1.json"
WHY = Reason(reason="denied", may_pass=True, since=NOON, environment="e")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def event(partition: str, state: State = State.SUCCESS, *, environment: str = "e", minutes: int = 0) -> Event:
    at = NOON + timedelta(minutes=minutes)
    document = RunStateDocument(state=state, run_id="nightly", queued_at=at, observed_at=at)
    return Event(environment=environment, dag_id="d", partition=partition, document=document)


class Etcd:
    """Denies the environments that it is told to deny."""

    def __init__(self, *denied: str, error: Callable[[str], Exception] = AccessDenied) -> None:
        self.denied = set(denied)
        self.error = error
        self.took: list[str] = []
        self.tries = 0

    def __call__(self, event: AnyEvent) -> Verdict:
        self.tries += 1
        if event.environment in self.denied:
            raise self.error(f"no rights in {event.environment}")
        assert isinstance(event, Event)
        self.took.append(event.partition)
        return Verdict.NEW


def deliver(outbox: Outbox, write: Callable[[AnyEvent], Verdict], probing: Probing | None = None) -> None:
    Delivery(outbox, write, clients=Clients(), wakeup_pipe=None, probing=probing).run()


def reasons(outbox: Outbox) -> dict[str, str]:
    return {one.name: one.why.reason for one in outbox.parked.all()}


@pytest.mark.promise("reporting")
def test_an_event_that_etcd_denies_holds_up_no_other(outbox: Outbox) -> None:
    denied = outbox.put(event("1", environment="renamed"))
    for partition in "23456":
        outbox.put(event(partition))
    etcd = Etcd("renamed")
    deliver(outbox, etcd)
    assert (etcd.took, outbox.pending()) == (list("23456"), [])
    assert reasons(outbox) == {denied: "no rights in renamed"}


@pytest.mark.parametrize("error", [AccessDenied, OtherEnvironment, InvalidReport, TransactionTooLarge])
def test_what_concerns_one_event_alone_is_tried_once_and_parked(
    outbox: Outbox, error: Callable[[str], Exception]
) -> None:
    outbox.put(event("1", environment="x"))
    outbox.put(event("2"))
    etcd = Etcd("x", error=error)
    with structlog.testing.capture_logs() as logs:
        deliver(outbox, etcd)
    assert (etcd.tries, etcd.took) == (2, ["2"])
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["event.parked"]
    (parked,) = outbox.parked.all()
    assert parked.why.may_pass is (error in (AccessDenied, OtherEnvironment))


def test_a_file_that_is_no_event_is_parked_with_its_reason(outbox: Outbox) -> None:
    outbox.put(event("1"))
    (outbox.directory / POISON).write_bytes(b"\x00rubbish")
    etcd = Etcd()
    deliver(outbox, etcd)
    assert etcd.took == ["1"]
    assert (outbox.parked.directory / POISON).read_bytes() == b"\x00rubbish"
    assert "Invalid JSON" in reasons(outbox)[POISON]


def test_a_file_that_cannot_even_be_moved_is_left_out(outbox: Outbox) -> None:
    outbox.put(event("1"))
    (outbox.directory / POISON).write_bytes(b"{")
    (outbox.directory / "parked").write_text("not a directory")
    etcd = Etcd()
    with structlog.testing.capture_logs() as logs:
        deliver(outbox, etcd)
    assert (etcd.took, outbox.pending()) == (["1"], [POISON])
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["event.not_parked"]


def test_a_named_pipe_for_a_reason_stops_nobody(outbox: Outbox) -> None:
    outbox.parked.directory.mkdir(parents=True)
    os.mkfifo(outbox.parked.directory / "1.json.reason")
    (outbox.parked.directory / "1.json").touch()
    assert outbox.parked.why("1.json") == UNKNOWN


def test_a_parked_event_whose_reason_is_lost_is_still_shown(outbox: Outbox) -> None:
    outbox.put(event("1", environment="x"))
    deliver(outbox, Etcd("x"))
    (name,) = outbox.parked.names()
    (outbox.parked.directory / f"{name}.reason").unlink()
    assert list(outbox.parked.all()) == [Parked(name, UNKNOWN)]


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_parked_events_are_delivered_once_the_rights_are_granted(outbox: Outbox, time: Time) -> None:
    for partition in "123":
        outbox.put(event(partition, environment="x"))
    etcd, probing = Etcd("x"), Probing(outbox.parked, clock=time)
    deliver(outbox, etcd, probing)
    etcd.denied.clear()
    deliver(outbox, etcd, probing)
    assert etcd.took == [], "it is not time yet"
    time.now += FIRST_PAUSE
    deliver(outbox, etcd, probing)
    assert etcd.took == ["1", "2", "3"]
    assert outbox.parked.names() == []


def test_a_probe_costs_one_event_of_an_environment_and_pauses_grow(outbox: Outbox, time: Time) -> None:
    for number in range(50):
        outbox.put(event(str(number), environment="x"))
    etcd, probing = Etcd("x"), Probing(outbox.parked, clock=time)
    deliver(outbox, etcd, probing)
    etcd.tries = 0
    for _ in range(24 * 360):
        time.now += FIRST_PAUSE
        deliver(outbox, etcd, probing)
    assert 24 * 3600 / LONGEST_PAUSE <= etcd.tries <= 24 * 3600 / LONGEST_PAUSE + 10
    assert len(outbox.parked.names()) == 50


def test_one_environment_that_stays_denied_does_not_keep_another_parked(outbox: Outbox, time: Time) -> None:
    outbox.put(event("1", environment="x"))
    outbox.put(event("2", environment="y"))
    etcd, probing = Etcd("x", "y"), Probing(outbox.parked, clock=time)
    deliver(outbox, etcd, probing)
    etcd.denied.remove("y")
    time.now += LONGEST_PAUSE
    deliver(outbox, etcd, probing)
    assert etcd.took == ["2"]
    assert len(outbox.parked.names()) == 1


def test_what_can_never_be_written_is_not_tried_again(outbox: Outbox, time: Time) -> None:
    outbox.put(event("1", environment="x"))
    etcd, probing = Etcd("x", error=InvalidReport), Probing(outbox.parked, clock=time)
    deliver(outbox, etcd, probing)
    time.now += LONGEST_PAUSE
    deliver(outbox, etcd, probing)
    assert etcd.tries == 1


@pytest.mark.promise("reporting")
def test_a_parked_event_that_is_delivered_late_never_puts_the_older_over_the_newer(outbox: Outbox) -> None:
    """Of one run: its start is parked, its end and the end of its next attempt are not."""
    store, keys = MemoryStore(MemoryEtcd()), Keys()
    where = Target(PipelineRef("e", "d"), "k")
    denied = {State.RUNNING}
    verdicts: list[Verdict] = []

    def write(event: AnyEvent) -> Verdict:
        assert isinstance(event, Event)
        if event.document.state in denied:
            raise AccessDenied("for a while")
        verdicts.append(write_report(store, keys, where, event.document, within=0))
        return verdicts[-1]

    for minutes in (0, 1):
        outbox.put(event("k", State.RUNNING, minutes=minutes))
        outbox.put(event("k", State.SUCCESS, minutes=minutes))
    deliver(outbox, write)
    assert verdicts == [Verdict.NEW, Verdict.NEW]
    before = store.get(keys.state(where))
    denied.clear()
    for name in outbox.parked.names():
        assert outbox.replay(name)
    deliver(outbox, write)
    assert verdicts[2:] == [Verdict.OUTDATED, Verdict.OUTDATED]
    assert store.get(keys.state(where)) == before
    assert before is not None
    state = read_run_state(before.value)
    assert isinstance(state, RunState)
    assert (state.state, state.attempt.queued_at) == (State.SUCCESS, NOON + timedelta(minutes=1))


def test_a_replayed_event_is_delivered_in_its_old_place(outbox: Outbox) -> None:
    outbox.put(event("1", environment="x"))
    deliver(outbox, Etcd("x"))
    outbox.put(event("2"))
    (name,) = outbox.parked.names()
    assert outbox.replay(name)
    assert not outbox.replay(name), "it is no longer there"
    etcd = Etcd()
    deliver(outbox, etcd)
    assert etcd.took == ["1", "2"]
    assert list(outbox.parked.directory.iterdir()) == []


def test_events_of_a_renamed_environment_are_replayed_under_its_new_name(outbox: Outbox) -> None:
    outbox.put(event("1", environment="old"))
    deliver(outbox, Etcd("old"))
    (name,) = outbox.parked.names()
    assert outbox.replay(name, environment="new")
    assert outbox.read(name) == event("1", environment="new")
    assert list(outbox.parked.directory.iterdir()) == []


def test_a_discarded_event_is_gone_with_its_reason(outbox: Outbox) -> None:
    outbox.put(event("1", environment="x"))
    deliver(outbox, Etcd("x"))
    (name,) = outbox.parked.names()
    assert outbox.parked.discard(name)
    assert not outbox.parked.discard(name)
    assert list(outbox.parked.directory.iterdir()) == []


@pytest.fixture
def restored_umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)

    def set_umask(umask: int) -> None:
        os.umask(umask)

    yield set_umask
    os.umask(before)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_nobody_else_may_read_or_write_an_outbox_whatever_the_umask_is(
    tmp_path: Path, umask: int, restored_umask: Callable[[int], None]
) -> None:
    restored_umask(umask)
    outbox = Outbox(tmp_path / "home" / "outbox")
    outbox.put(event("1", environment="x"))
    outbox.put(event("2"))
    deliver(outbox, Etcd("x"))
    outbox.put(event("3"))
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in [outbox.directory, *outbox.directory.rglob("*")]}
    assert found == {path: 0o700 if path.is_dir() else 0o600 for path in found}
    assert len(found) == 5
