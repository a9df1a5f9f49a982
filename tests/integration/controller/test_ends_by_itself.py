"""A watcher that ends: when it is told to, or by itself at a limit; at once, with nothing half done."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from time import monotonic

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.trigger import Status
from coordinator.store.embedded import EmbeddedEtcd, free_port
from coordinator.store.presence import read_presence
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.standin.faults import Fault
from tests.worlds.world import PARTITION

CHAIN = {"A": "R", "team_b/B": "A", "C": "team_b/B", "D": ["R", "A", "C"]}
BELOW = ("A", "team_b/B", "C", "D")
LIMIT = 5.0
"""Seconds. An end waits for requests under way, of 1 s at most, and for a lease to be revoked."""
WITHOUT_ETCD = 15.0
"""Seconds. It also waits for a write (1 s), for the election's thread in a request to etcd (2 s), for the revocation
and for the watch to end (1 s each): some 6 s, and the rest is for a busy machine."""


def _ended_in_order(world: ServedWorld, watcher: Service) -> None:
    assert watcher.wait(LIMIT) == 0, watcher.log()
    assert world.store.get(world.keys.leader) is None, "its lease is revoked"
    assert not [item.key for item in world.store.list(world.keys.root + "watchers/").items]
    assert '"level": "error"' not in watcher.log()
    assert "Traceback" not in watcher.log()


@pytest.mark.promise("shutdown")
@pytest.mark.parametrize(
    ("number", "doing"),
    [
        (signal.SIGINT, "nothing"),
        (signal.SIGTERM, "a request"),
        (signal.SIGTERM, "a request that hangs"),
        (signal.SIGTERM, "waiting for an environment"),
    ],
)
def test_a_signal_ends_it_with_what_is_under_way_written_down(
    served: ServedWorld, number: signal.Signals, doing: str
) -> None:
    served.dependencies(CHAIN)
    watcher = served.serve()
    default = served.airflows["default"]
    match doing:
        case "a request":
            default.faults.next("trigger", Fault.delay(0.7))
        case "a request that hangs":
            default.faults.next("trigger", Fault.delay(2.0))  # longer than a request's time-out
        case "waiting for an environment":
            default.faults.always("trigger", Fault.answer(503))
    if doing != "nothing":
        served.complete("R")
        until(lambda: _status(served, "A") is Status.INTENT, "a request is under way")
    watcher.process.send_signal(number)
    _ended_in_order(served, watcher)
    if doing == "a request":
        assert _status(served, "A") in (Status.SENT, Status.DONE)
    default.faults.clear()
    if doing != "nothing":
        served.serve()
        served.until_done(*BELOW, runs=1)
        served.settle()
        assert served.counts(*BELOW) == dict.fromkeys(BELOW, 1)


@pytest.mark.promise("shutdown")
def test_it_ends_though_etcd_is_away(served: ServedWorld) -> None:
    """Nothing can be revoked then; the lease ends by itself."""
    served.dependencies(CHAIN)
    unreachable = served.settings.etcd.model_copy(update={"endpoints": ["127.0.0.1:9"], "timeout": 1.0})
    served.settings = served.settings.model_copy(update={"etcd": unreachable})
    watcher = served.launch()
    until(lambda: bool(watcher.events("watcher.started")), "it has started")
    watcher.terminate()
    assert watcher.wait(LIMIT) == 0
    assert "Traceback" not in watcher.log()


@pytest.mark.promise("shutdown")
@pytest.mark.parametrize("answer", ["in time", "never"])
def test_it_ends_though_etcd_went_away_with_a_request_under_way_whose_effect_its_successor_finds_out(
    tmp_path: Path, answer: str
) -> None:
    """The run is there, and nobody can write it down: the intent stands in etcd for whoever comes next."""
    etcd = EmbeddedEtcd(tmp_path / "etcd", port=free_port())
    settings = EtcdSettings(endpoints=[etcd.endpoint], timeout=1.0)
    with etcd, ServedWorld(settings, tmp_path) as world:
        world.by_hand("A")
        world.dependencies(CHAIN)
        watcher = world.serve()
        answers = threading.Event()
        held = Fault.withhold(answers)
        world.airflows["default"].faults.next("trigger", held)
        try:
            world.complete("R")
            assert held.met.wait(20)
            until(lambda: bool(world.all_runs("A")) and world.airflows_rest(), "the run is there, and reported")
            assert _status(world, "A") is Status.INTENT
            etcd.kill()
            watcher.terminate()
            if answer == "in time":
                answers.set()
            assert watcher.wait(WITHOUT_ETCD) == 0, watcher.log()
        finally:
            answers.set()
        assert "Traceback" not in watcher.log()
        etcd.start()
        assert _status(world, "A") is Status.INTENT
        successor = world.serve()
        until(lambda: bool(successor.events("trigger.taken_over")), "it has found the intent")
        until(lambda: _status(world, "A") is Status.SENT, "it has found out that the run is there")
        world.run("A")
        world.until_done(*BELOW, runs=1)
        world.settle()
        assert world.counts(*BELOW) == dict.fromkeys(BELOW, 1)
        assert [run.dag_id for run in world.airflows["default"].requests_of("trigger")].count("A") == 1


@pytest.mark.promise("shutdown")
def test_max_runtime_ends_it_in_mid_wave_and_further_runs_finish_the_wave(served: ServedWorld) -> None:
    served.takes = 0.3
    served.dependencies(CHAIN)
    served.serve().kill()
    partitions = [f"2026-11-{day}T00:00:00Z" for day in (20, 21, 22)]
    for partition in partitions:
        served.complete("R", partition=partition)
    watchers = []
    until_all = monotonic() + 60
    while not _all_done(served, partitions):
        assert monotonic() < until_all
        watcher = served.launch("--max-runtime", "1.2")
        assert watcher.wait(20) == 0, watcher.log()
        assert watcher.events("watcher.limit_reached")
        leader = served.store.get(served.keys.leader)  # the one that was killed may still have its lease
        assert leader is None or read_presence(leader.value).id != watcher.watcher_id
        watchers.append(watcher)
    assert len(watchers) > 1, "one run must not be enough for a wave that takes longer"
    for partition in partitions:
        assert served.counts(*BELOW, partition=partition) == dict.fromkeys(BELOW, 1)


@pytest.mark.promise("shutdown")
def test_max_events_ends_it_by_itself_and_further_runs_catch_up(served: ServedWorld) -> None:
    """As the watcher DAG does it: one bounded run after the other. What is there already is no event."""
    served.dependencies(CHAIN)
    served.serve().kill()
    served.complete("R")
    ended_by: list[str] = []
    gave_it_back: list[bool] = []
    while not _all_done(served, [PARTITION]):
        assert len(ended_by) < 12, "each run must do what it finds to be done"
        watcher = served.launch("--max-events", "1", "--max-runtime", "2.5")
        assert watcher.wait(25) == 0, watcher.log()
        (reached,) = watcher.events("watcher.limit_reached")
        ended_by += reached.keys() & {"max_events", "max_runtime"}
        left = served.store.get(served.keys.leader)
        # The first one comes after a leader that was killed. If it ends while it waits for that one's last request, it
        # leaves the wait, with its lease, to the next one.
        assert left is None or read_presence(left.value).took_over
        gave_it_back.append(left is None)
    assert "max_events" in ended_by
    assert any(gave_it_back)
    assert served.counts(*BELOW) == dict.fromkeys(BELOW, 1)


def _all_done(world: ServedWorld, partitions: list[str]) -> bool:
    return all(
        (record := world.record(name, partition=partition)) is not None and record.status is Status.DONE
        for name in BELOW
        for partition in partitions
    )


def _status(world: ServedWorld, name: str) -> Status | None:
    record = world.record(name)
    return None if record is None else record.status
