"""Real senders and a real etcd: nothing is lost, nothing is doubled, the order is kept, and one is enough."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from coordinator.airflow_plugin.outbox import LOCK_NAME, EmittedEvent, Event, Outbox
from coordinator.airflow_plugin.spawning import LOG_NAME, SenderProcess
from coordinator.airflow_plugin.wakeup_pipe import wake_up
from coordinator.config.etcd import EtcdSettings
from coordinator.model import bounds
from coordinator.model.assets.events import AssetEventDocument, new_event_id
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, RunStateDocument, State, read_run_state
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.port import KeyValue

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEADLINE = 30.0
T = TypeVar("T")

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


def eventually(look: Callable[[], T], what: str) -> T:
    until = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < until, f"not within {DEADLINE} s: {what}"
        time.sleep(0.005)
    return found


def event(number: int, state: State = State.SUCCESS) -> Event:
    document = RunStateDocument(
        state=state, run_id=f"run_{number}", queued_at=NOON + timedelta(seconds=number), observed_at=NOON
    )
    return Event(environment="default", dag_id="quick", partition=f"{number:05d}", document=document)


def delivered(store: EtcdStore, keys: Keys, number: int) -> KeyValue | None:
    return store.get(keys.state(Target(PipelineRef("default", "quick"), f"{number:05d}")))


def everything(store: EtcdStore, keys: Keys) -> list[KeyValue]:
    """All that was delivered, in the order of the keys, which is that of the events."""
    return sorted(store.list(keys.every("state")).items, key=lambda kv: kv.key)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    outbox = Outbox(tmp_path / "outbox")
    outbox.directory.mkdir()
    return outbox


@pytest.fixture
def pointed_at_etcd(etcd_settings: EtcdSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    _point_at(etcd_settings, monkeypatch)


@pytest.fixture
def own_etcd(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedEtcd]:
    """One that the test may stop."""
    with EmbeddedEtcd(tmp_path / "etcd") as server:
        _point_at(EtcdSettings(endpoints=[server.endpoint], prefix=keys.prefix), monkeypatch)
        yield server


def _point_at(settings: EtcdSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COORDINATOR_CONFIG", raising=False)
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", json.dumps(settings.endpoints))
    monkeypatch.setenv("COORDINATOR_ETCD__PREFIX", settings.prefix)


@pytest.fixture
def client() -> Iterator[Process]:
    """A process in place of a scheduler, which the test may kill."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def start(outbox: Outbox) -> Iterator[Start]:
    started: list[Process] = []

    def start(*, client: int | None = None) -> Process:
        command = [sys.executable, "-m", "coordinator.airflow_plugin.sender", "--outbox", str(outbox.directory)]
        command += [] if client is None else ["--client", str(client)]
        with (outbox.directory / LOG_NAME).open("ab") as output:
            started.append(subprocess.Popen(command, stdout=output, stderr=output))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("pointed_at_etcd")
def test_without_a_client_it_delivers_what_there_is_and_stops(
    outbox: Outbox, start: Start, etcd: EtcdStore, keys: Keys
) -> None:
    for number in range(3):
        outbox.put(event(number))
    assert start().wait(DEADLINE) == 0
    assert outbox.pending() == []
    state = read_run_state(everything(etcd, keys)[0].value)
    assert isinstance(state, RunState)
    assert (state.state, state.attempt.run_id, state.attempt.queued_at) == (State.SUCCESS, "run_0", NOON)


WITH_A_FULL_DISK = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""It may write to no file: neither to its log nor to its lock file."""


@pytest.mark.promise("reporting")
@pytest.mark.usefixtures("pointed_at_etcd")
def test_on_a_full_disk_it_delivers_without_a_log(outbox: Outbox, etcd: EtcdStore, keys: Keys) -> None:
    for number in range(3):
        outbox.put(event(number))
    module = ["coordinator.airflow_plugin.sender", "--outbox", str(outbox.directory)]
    with (outbox.directory / LOG_NAME).open("ab") as output:
        ended = subprocess.run(
            [sys.executable, "-c", WITH_A_FULL_DISK, *module],
            stdout=output,
            stderr=output,
            timeout=DEADLINE,
            check=False,
        )
    assert (ended.returncode, outbox.pending()) == (0, [])
    assert all(delivered(etcd, keys, number) for number in range(3))


@pytest.mark.usefixtures("pointed_at_etcd")
def test_an_event_is_delivered_at_once_after_a_wake_up(
    outbox: Outbox, start: Start, etcd: EtcdStore, keys: Keys
) -> None:
    start(client=os.getpid())
    eventually(lambda: wake_up(outbox.directory, client=os.getpid()), "the sender listens")
    took = []
    for number in range(20):
        began = time.monotonic()
        outbox.put(event(number))
        wake_up(outbox.directory, client=os.getpid())
        eventually(lambda number=number: delivered(etcd, keys, number), "the event is in etcd")
        took.append(time.monotonic() - began)
    assert sorted(took)[10] < 0.5, "a sender that only looks now and then takes a second"


@pytest.mark.promise("reporting")
def test_etcd_away_for_a_while_loses_nothing_and_changes_no_order(
    outbox: Outbox, start: Start, own_etcd: EmbeddedEtcd, keys: Keys
) -> None:
    start(client=os.getpid())
    eventually(lambda: wake_up(outbox.directory, client=os.getpid()), "the sender listens")
    own_etcd.kill()
    for number in range(50):
        outbox.put(event(number))
        wake_up(outbox.directory, client=os.getpid())
    eventually(lambda: "event.not_delivered" in (outbox.directory / LOG_NAME).read_text(), "it has noticed")
    assert len(outbox.pending()) == 50
    own_etcd.restart()
    eventually(lambda: not outbox.pending(), "all are delivered")
    store = connect(EtcdSettings(endpoints=[own_etcd.endpoint]))
    _assert_all_once_and_in_order(everything(store, keys), 50)
    store.close()


@pytest.mark.promise("reporting")
@pytest.mark.usefixtures("pointed_at_etcd")
def test_killed_in_mid_delivery_again_and_again_it_loses_and_doubles_nothing(
    outbox: Outbox, start: Start, etcd: EtcdStore, keys: Keys
) -> None:
    for number in range(600):
        outbox.put(event(number))
    for _ in range(3):
        process = start()
        before = len(outbox.pending())
        eventually(lambda before=before: len(outbox.pending()) <= before - 50, "it is in the middle of it")
        process.kill()
        process.wait()
        assert outbox.pending(), "it was to be killed before its end"
    assert start().wait(DEADLINE) == 0
    _assert_all_once_and_in_order(everything(etcd, keys), 600)


def _assert_all_once_and_in_order(found: list[KeyValue], count: int) -> None:
    assert len(found) == count
    assert all(kv.create_revision == kv.mod_revision for kv in found), "one was written twice"
    revisions = [kv.mod_revision for kv in found]
    assert revisions == sorted(revisions)


def _holder(outbox: Outbox) -> int | None:
    """Who holds the lock, as the kernel sees it."""
    with (outbox.directory / LOCK_NAME).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int((outbox.directory / LOCK_NAME).read_text() or 0)
    return None


@pytest.mark.usefixtures("pointed_at_etcd")
def test_of_two_senders_the_newer_one_takes_over(outbox: Outbox, start: Start, etcd: EtcdStore, keys: Keys) -> None:
    first = start(client=os.getpid())
    eventually(lambda: wake_up(outbox.directory, client=os.getpid()), "the first one listens")
    assert _holder(outbox) == first.pid
    second = start(client=os.getpid())
    assert first.wait(DEADLINE) == 0
    eventually(lambda: _holder(outbox) == second.pid, "the second one holds the lock")
    outbox.put(event(1))
    eventually(lambda: delivered(etcd, keys, 1), "the second one delivers")
    assert second.poll() is None


@pytest.mark.usefixtures("pointed_at_etcd")
def test_several_started_at_once_leave_exactly_one(outbox: Outbox, start: Start, etcd: EtcdStore, keys: Keys) -> None:
    for number in range(100):
        outbox.put(event(number))
    processes = [start(client=os.getpid()) for _ in range(4)]
    eventually(lambda: sum(process.poll() is None for process in processes) == 1, "the others have left")
    (survivor,) = (process for process in processes if process.poll() is None)
    assert all(process.returncode == 0 for process in processes if process is not survivor)
    eventually(lambda: not outbox.pending(), "all is delivered")
    assert _holder(outbox) == survivor.pid
    _assert_all_once_and_in_order(everything(etcd, keys), 100)


@pytest.mark.usefixtures("pointed_at_etcd")
def test_it_leaves_when_its_client_is_gone_and_the_outbox_empty(
    outbox: Outbox, start: Start, client: Process, etcd: EtcdStore, keys: Keys
) -> None:
    process = start(client=client.pid)
    outbox.put(event(1))
    eventually(lambda: delivered(etcd, keys, 1), "it is delivered")
    assert process.poll() is None
    client.kill()
    assert process.wait(DEADLINE) == 0


def test_it_leaves_without_its_client_also_when_etcd_is_away_and_the_next_one_delivers(
    outbox: Outbox, start: Start, client: Process, own_etcd: EmbeddedEtcd, keys: Keys
) -> None:
    own_etcd.kill()
    outbox.put(event(1))
    process = start(client=client.pid)
    eventually(lambda: "event.not_delivered" in (outbox.directory / LOG_NAME).read_text(), "it has tried")
    client.kill()
    assert process.wait(DEADLINE) == 1
    assert len(outbox.pending()) == 1
    own_etcd.restart()
    assert start().wait(DEADLINE) == 0
    store = connect(EtcdSettings(endpoints=[own_etcd.endpoint]))
    assert delivered(store, keys, 1)
    store.close()


def test_events_kept_under_a_broken_configuration_are_delivered_once_it_is_repaired(
    outbox: Outbox,
    start: Start,
    etcd: EtcdStore,
    etcd_settings: EtcdSettings,
    keys: Keys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "coordinator.toml"
    config.write_text("[etcd\n")
    monkeypatch.setenv("COORDINATOR_CONFIG", str(config))
    outbox.put(event(1).model_copy(update={"environment": None}))
    start(client=os.getpid())
    eventually(lambda: "event.not_delivered" in (outbox.directory / LOG_NAME).read_text(), "it says what is wrong")
    config.write_text(
        f"[etcd]\nendpoints = {json.dumps(etcd_settings.endpoints)}\nprefix = '{keys.prefix}'\n"
        "[reporter]\nenvironment = 'team_b'\n"
    )
    key = keys.state(Target(PipelineRef("team_b", "quick"), "00001"))
    eventually(lambda: etcd.get(key), "it is delivered under the environment's name")


_WRITER = """
import os, sys, time
from pathlib import Path
from typing import TypeVar
from coordinator.airflow_plugin.spawning import SenderProcess
process = SenderProcess(Path(sys.argv[1]))
for line in sys.stdin:
    if line == "wake\\n":
        process.wake()
    elif line == "fork\\n" and os.fork() == 0:
        time.sleep(600)
    print("ok", flush=True)
"""


class Writer:
    """A process in place of a scheduler: wakes, and forks as the LocalExecutor does."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def do(self, word: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        while self.process.stdout.readline() != "ok\n":
            assert self.process.poll() is None

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def writer(outbox: Outbox) -> Iterator[Writer]:
    writer = Writer(outbox.directory)
    yield writer
    if writer.process.poll() is None:
        writer.end()
    eventually(lambda: not (outbox.directory / LOCK_NAME).exists() or _holder(outbox) is None, "its sender leaves")


@pytest.mark.usefixtures("pointed_at_etcd")
def test_a_sender_is_started_when_needed_and_again_when_it_was_killed(
    outbox: Outbox, writer: Writer, etcd: EtcdStore, keys: Keys
) -> None:
    outbox.put(event(1))
    writer.do("wake")
    eventually(lambda: delivered(etcd, keys, 1), "the first is delivered")
    killed = _holder(outbox)
    assert killed
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: _holder(outbox) is None, "it is dead")
    outbox.put(event(2))
    writer.do("wake")
    eventually(lambda: delivered(etcd, keys, 2), "its successor delivers")


@pytest.mark.usefixtures("pointed_at_etcd")
def test_many_events_start_one_sender(outbox: Outbox, writer: Writer, etcd: EtcdStore, keys: Keys) -> None:
    for number in range(50):
        outbox.put(event(number))
        writer.do("wake")
    eventually(lambda: not outbox.pending(), "all is delivered")
    log = (outbox.directory / LOG_NAME).read_text()
    assert log.count("sender.ready") == 1
    assert "another sender" not in log
    _assert_all_once_and_in_order(everything(etcd, keys), 50)


@pytest.mark.usefixtures("pointed_at_etcd")
def test_workers_that_the_scheduler_forks_do_not_hold_the_lock(outbox: Outbox, writer: Writer) -> None:
    outbox.put(event(1))
    writer.do("fork")
    writer.do("wake")
    writer.do("fork")
    eventually(lambda: not outbox.pending(), "it is delivered")
    writer.do("fork")
    holder = _holder(outbox)
    assert holder
    os.kill(holder, signal.SIGKILL)
    eventually(lambda: _holder(outbox) is None, "nobody holds the lock, though the forks live")


def test_a_sender_that_cannot_start_is_not_started_with_every_event(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.airflow_plugin.spawning.sys.executable", "/bin/false")
    process = SenderProcess(outbox.directory)
    starts = []
    monkeypatch.setattr(
        "coordinator.airflow_plugin.spawning.subprocess.Popen",
        lambda *arguments, _start=subprocess.Popen, **options: (starts.append(1), _start(*arguments, **options))[1],
    )
    process.wake()
    eventually(lambda: not process._child_runs(), "it has failed")
    for _ in range(10):
        process.wake()
    assert len(starts) == 1


def test_a_program_that_is_missing_does_not_raise_into_the_scheduler(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.airflow_plugin.spawning.sys.executable", "/no/such/python")
    SenderProcess(outbox.directory).wake()


def emitted(number: int, *, extra: dict[str, Any] | None = None) -> EmittedEvent:
    document = AssetEventDocument(uri="s3://lake/orders", run_id=f"run_{number}", timestamp=NOON, extra=extra or {})
    return EmittedEvent(asset=document, event_id=new_event_id(document), environment="default")


def asset_events(store: EtcdStore, keys: Keys) -> list[KeyValue]:
    return store.list(keys.every("asset", "default")).items


@pytest.mark.promise("assets")
def test_asset_events_arrive_once_though_etcd_is_away_and_the_sender_killed(
    outbox: Outbox, start: Start, own_etcd: EmbeddedEtcd, keys: Keys
) -> None:
    events = [emitted(number) for number in range(5)]
    own_etcd.kill()
    for one in events[:3]:
        outbox.put(one)
    sender = start(client=os.getpid())
    eventually(lambda: wake_up(outbox.directory, client=os.getpid()), "the sender listens")
    sender.kill()
    sender.wait()
    own_etcd.start()
    for one in events[3:]:
        outbox.put(one)
    assert start().wait(DEADLINE) == 0
    with closing(connect(EtcdSettings(endpoints=[own_etcd.endpoint]))) as store:
        before = asset_events(store, keys)
        assert [item.key.rpartition("/")[2] for item in before] == sorted(one.event_id for one in events)
        outbox.put(events[0])  # as after a crash of the machine, which brings a removed file back
        assert start().wait(DEADLINE) == 0
        assert asset_events(store, keys) == before
    assert outbox.pending() == []


@pytest.mark.promise("assets")
@pytest.mark.usefixtures("pointed_at_etcd")
def test_an_asset_event_that_is_too_large_is_parked_and_holds_up_no_other(
    outbox: Outbox, start: Start, etcd: EtcdStore, keys: Keys
) -> None:
    large, good = emitted(1, extra={"text": "x" * bounds.ASSET_EXTRA}), emitted(2)
    name = outbox.put(large)
    outbox.put(good)
    assert start().wait(DEADLINE) == 1, "something is parked"
    assert [item.key.rpartition("/")[2] for item in asset_events(etcd, keys)] == [good.event_id]
    assert outbox.parked.names() == [name]
    assert f"expected at most {bounds.ASSET_EXTRA}" in outbox.parked.why(name).reason
    assert outbox.read_parked(name) == large
