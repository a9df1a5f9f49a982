"""Two watchers: one leads, the other takes over, and nothing happens twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.model.trigger import Status
from tests.command_line import Cli
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.standin.faults import Fault
from tests.worlds.real import PATIENCE

CHAIN = {"A": "R", "team_b/B": "A", "C": "team_b/B", "D": ["R", "A", "C"]}
BELOW = ("A", "team_b/B", "C", "D")
LONG_LEASE = 60
"""Seconds. What happens within a fraction of it does not wait for the lease to run out."""

AT_ONCE = 0.5
"""Seconds from a leader's resignation to its successor's term. Hundredths on a machine with much else to do."""


@pytest.fixture
def long_lease(etcd_settings: EtcdSettings, tmp_path: Path) -> Iterator[ServedWorld]:
    with ServedWorld(etcd_settings, tmp_path) as world:
        watcher = world.settings.watcher.model_copy(update={"lease_ttl": LONG_LEASE})
        world.settings = world.settings.model_copy(update={"watcher": watcher})
        yield world


@pytest.mark.promise("once")
def test_two_watchers_at_once_run_everything_once_and_the_other_takes_over_when_the_leader_is_killed(
    served: ServedWorld,
) -> None:
    served.dependencies(CHAIN)
    first, second = served.serve(), served.serve(leads=False)
    served.complete("R")
    served.settle()
    assert served.counts(*BELOW) == dict.fromkeys(BELOW, 1)
    assert not second.events("trigger.intent"), "only the leader decides"

    # The leader dies in mid-wave, between an intent and the answer to its request.
    served.airflows["team_b"].faults.next("clear", Fault.delay(1.0))
    served.complete("R", wave=2)
    until(lambda: _status(served, "team_b/B") is Status.INTENT, "a request is under way")
    first.kill()
    until(second.leads, "the other leads")
    served.until_done(*BELOW, runs=2)
    served.settle()
    assert served.counts(*BELOW) == dict.fromkeys(BELOW, 2)
    assert second.events("trigger.taken_over")
    assert [request.status for request in served.airflows["team_b"].requests_of("clear")] == [200], "cleared once"


@pytest.mark.promise("leader-only")
def test_a_leader_that_was_asleep_for_longer_than_its_lease_sends_nothing_more(served: ServedWorld) -> None:
    """It is frozen at rest: it finds out when it wakes, and the next waves run once."""
    served.dependencies(CHAIN)
    first, second = served.serve(), served.serve(leads=False)
    arrives = threading.Event()
    held = Fault.hang(arrives)
    served.airflows["default"].faults.next("trigger", held)
    try:
        served.complete("R")
        assert held.met.wait(PATIENCE), "a request is under way: it falls asleep in mid-wave"
        first.freeze()
    finally:
        arrives.set()
    until(second.leads, "the other leads")
    served.until_done(*BELOW, runs=1)
    assert second.events("trigger.taken_over")
    first.thaw()
    until(lambda: bool(first.events("leader.stopped")) and first.is_ready(), "the first has found out", limit=PATIENCE)
    served.complete("R", wave=2)
    served.until_done(*BELOW, runs=2)
    served.settle()
    assert served.counts(*BELOW) == dict.fromkeys(BELOW, 2)
    assert second.leads()
    assert not first.leads()
    dag_ids = [request.dag_id for request in served.airflows["default"].requests_of("trigger")]
    assert sorted(dag_id or "" for dag_id in dag_ids) == ["A", "C", "D"], "each was asked for once"


@pytest.mark.promise("leader-only", "shutdown", "takeover")
def test_a_leader_that_is_terminated_writes_down_what_is_under_way_and_its_successor_leads_at_once(
    long_lease: ServedWorld,
) -> None:
    world = long_lease
    world.dependencies(CHAIN)
    first = world.serve()
    second = world.serve(leads=False)
    world.airflows["default"].faults.next("trigger", Fault.delay(0.7))
    world.complete("R")
    until(lambda: _status(world, "A") is Status.INTENT, "a request is under way")
    first.terminate()
    until(second.leads, "the other leads", limit=LONG_LEASE / 6)
    assert first.wait(5) == 0
    assert _between(first, "leader.lost", second, "leader.started") < AT_ONCE
    assert _status(world, "A") is not Status.INTENT, "the answer was waited for, and written down"
    world.until_done(*BELOW, runs=1)
    world.settle()
    assert world.counts(*BELOW) == dict.fromkeys(BELOW, 1)
    assert not second.events("trigger.taken_over")
    triggers = world.airflows["default"].requests_of("trigger")
    assert sorted(request.dag_id or "" for request in triggers) == ["A", "C", "D"]


@pytest.mark.promise("shutdown", "takeover")
def test_a_successor_is_warm_it_lists_nothing_and_decides_at_once_what_came_meanwhile(long_lease: ServedWorld) -> None:
    world = long_lease
    world.dependencies({**CHAIN, "Y": "X"})
    first = world.serve()
    second = world.serve(leads=False)
    world.airflows["default"].faults.next("trigger", Fault.delay(0.9))
    world.complete("R")
    until(lambda: _status(world, "A") is Status.INTENT, "a request is under way")
    first.terminate()
    world.complete("X")  # the leader waits for an answer, and begins nothing more
    world.until_done("Y", runs=1)
    assert first.wait(5) == 0
    assert not [event for event in first.events("trigger.intent") if event["pipeline"] == "Y"]
    assert len(second.events("etcd.listed")) == 1, "once, when it came"
    (listed,), (began,) = second.events("etcd.listed"), second.events("leader.started")
    assert listed["timestamp"] < began["timestamp"]
    (intent,) = [event for event in second.events("trigger.intent") if event["pipeline"] == "Y"]
    written = world.record("Y")
    assert written is not None
    assert written.consumed.newest_revision() < began["term"], "it had been read before"
    assert intent["timestamp"] > began["timestamp"]
    world.settle()


def test_a_watcher_that_has_just_come_leaves_the_lead_to_one_that_has_read_everything(served: ServedWorld) -> None:
    served.dependencies(CHAIN)
    watcher = served.serve()
    assert watcher.events("etcd.listed")[0]["timestamp"] < watcher.events("leader.elected")[0]["timestamp"]


@pytest.mark.promise("takeover")
def test_status_shows_who_leads_and_that_the_others_are_ready(served: ServedWorld, cli: Cli) -> None:
    served.dependencies(CHAIN)
    first, second = served.serve(), served.serve(leads=False)
    served.complete("R")
    served.until_done(*BELOW, runs=1)

    def replicas() -> dict[str, dict[str, Any]]:
        said = json.loads(cli("status", "-c", served.config(), "--json").stdout)
        assert said["leader"]["id"] == first.watcher_id
        return {one["id"]: one for one in said["watchers"]}

    def all_read() -> bool:
        shown = replicas()
        return len(shown) == 2 and all(one["warm"] and one["lag"] == 0 for one in shown.values())

    until(all_read, "both say that they have read everything")
    shown = replicas()
    assert {name: one["leads"] for name, one in shown.items()} == {first.watcher_id: True, second.watcher_id: False}
    assert shown[second.watcher_id]["pid"] == second.process.pid
    leader = json.loads(cli("status", "-c", served.config(), "--json").stdout)["leader"]
    assert datetime.fromisoformat(leader["since"]) <= datetime.now(UTC)


def _between(first: Service, event: str, second: Service, then: str) -> float:
    """Seconds between what two watchers of one machine have logged."""
    until(lambda: bool(first.events(event) and second.events(then)), "both are logged")
    (one,), (other,) = first.events(event), second.events(then)
    return (datetime.fromisoformat(other["timestamp"]) - datetime.fromisoformat(one["timestamp"])).total_seconds()


def _status(world: ServedWorld, name: str) -> Status | None:
    record = world.record(name)
    return None if record is None else record.status
