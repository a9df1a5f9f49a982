"""A real etcd, several environments, and more to do than can be done: each delays its own pipelines only.

Told by the order of events where that is possible; a time is only ever compared with a generous multiple of another.
"""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.controller.inbox import BOUND
from coordinator.controller.messages import Message
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.port import Put, Transaction
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import FaultyWorld
from tests.standin.airflow import Recorded, StandInAirflow
from tests.standin.faults import KINDS, Fault

DAY = datetime(2026, 11, 20, tzinfo=UTC)
SICK = 300
"""Completions in each sick environment."""

ROUNDS = 10
SLOW = 0.9
"""Seconds for each answer, of one that is allowed."""

BACKLOG = 5_000


@pytest.fixture
def three(etcd_settings: EtcdSettings, tmp_path: Path) -> Iterator[FaultyWorld]:
    """Three environments: ``default``, ``team_b`` and ``team_c``."""
    with FaultyWorld(etcd_settings, tmp_path) as world:
        world.add_environment("team_c")
        yield world


def hour(number: int) -> str:
    return format_instant(DAY - timedelta(hours=number))


def complete_many(world: FaultyWorld, name: str, partitions: list[str]) -> None:
    """Their runs have ended, somewhere; a hundred are reported at once."""
    pipeline, now = PipelineRef.parse(name), datetime.now(UTC)
    for first in range(0, len(partitions), 100):
        puts = []
        for partition in partitions[first : first + 100]:
            state = RunStateDocument(state=State.SUCCESS, run_id=f"r {partition}", queued_at=now, observed_at=now)
            puts.append(Put(world.keys.state(Target(pipeline, partition)), state.to_value()))
        revision = world.store.commit(Transaction((), tuple(puts))).revision
        world.watermark = max(world.watermark, revision)


def triggers(airflow: StandInAirflow, dag_id: str = "") -> list[Recorded]:
    return [one for one in airflow.requests_of("trigger") if not dag_id or one.dag_id == dag_id]


def chains(world: FaultyWorld, first: int) -> list[float]:
    """Let the healthy chain run in some partitions, one after the other. Returns how long each took."""
    took = []
    for number in range(first, first + ROUNDS):
        began = time.monotonic()
        complete_many(world, "R", [hour(number)])
        until(lambda number=number: world.runs("Y", partition=hour(number)) == 1, "Y runs", every=0.002)  # type: ignore[misc]
        took.append(time.monotonic() - began)
    return took


@pytest.mark.promise("slow")
def test_a_slow_environment_and_one_that_is_down_delay_only_their_own(three: FaultyWorld) -> None:
    world, slow = three, three.airflows["team_b"]
    world.by_hand("R", "team_b/S", "team_c/T")
    world.dependencies({"X": "R", "Y": "X", "team_b/U": "team_b/S", "team_c/V": "team_c/T"})
    alone = chains(world, 0)
    for kind in KINDS:
        slow.faults.always(kind, Fault.delay(SLOW))
    world.down("team_c")
    complete_many(world, "team_b/S", [hour(number) for number in range(SICK)])
    complete_many(world, "team_c/T", [hour(number) for number in range(SICK)])
    until(lambda: len(triggers(slow)) >= 1, "the slow one has answered")
    before = len(triggers(slow))
    beside = chains(world, ROUNDS)
    assert len(triggers(slow)) < SICK, "the slow one was not done before"
    answered_meanwhile = len(triggers(slow)) - before
    rounds_of_slow = sum(beside) / SLOW * world.settings.environments["team_b"].max_in_flight
    assert answered_meanwhile <= rounds_of_slow + 2 * world.settings.environments["team_b"].max_in_flight
    print(f"a chain of two, alone {statistics.median(alone):.3f} s, beside sick ones {statistics.median(beside):.3f} s")
    assert statistics.median(beside) < SLOW, "not one of them waits for an answer of the slow one"
    assert statistics.median(beside) < 3 * statistics.median(alone) + 0.1
    slow.faults.clear()
    world.up("team_c")
    for name in ("team_b/U", "team_c/V"):
        airflow, dag_id = world._of(name)
        until(lambda airflow=airflow, dag_id=dag_id: len(airflow.runs(dag_id)) == SICK, f"{name} catches up", limit=60)  # type: ignore[misc]
    world.settle()


@pytest.mark.promise("slow")
def test_five_thousand_that_waited_hold_nothing_fresh_back(three: FaultyWorld) -> None:
    """Far behind in one environment, of which no more than so many runs may be in flight: fresh ones elsewhere know
    nothing of it, and those of the same environment take turns with what has waited."""
    world, most = three, 50
    limited = world.settings.environments["team_b"].model_copy(update={"max_runs_in_flight": most})
    environments = {**world.settings.environments, "team_b": limited}
    world.settings = world.settings.model_copy(update={"environments": environments})
    world.by_hand("R", "team_b/S", "team_b/U")  # its runs go on when the test says so
    world.dependencies({"X": "R", "team_b/U": "team_b/S"})
    world.stop_watcher()
    behind = world.airflows["team_b"]
    complete_many(world, "team_b/S", [hour(number) for number in range(1, BACKLOG + 1)])
    world.start_watcher()
    until(lambda: len(triggers(behind)) == most, "as many runs are in flight as may be", limit=60)
    world.pass_time()  # what comes right after a list is not taken for live
    complete_many(world, "R", [hour(0)])
    until(lambda: world.runs("X", partition=hour(0)) == 1, "the fresh one of the other environment runs")
    assert len(triggers(behind)) == most
    complete_many(world, "team_b/S", [hour(0)])
    assert world.watcher is not None
    dispatcher = world.watcher._dispatchers.get("team_b")
    assert dispatcher is not None
    waiting = dispatcher.admission
    fresh = Target(PipelineRef("team_b", "U"), hour(0))
    until(lambda: waiting.knows(fresh), "the fresh one waits in line")
    for ended in range(5):
        _end_one(behind, "U")
        until(lambda ended=ended: len(triggers(behind)) == most + ended + 1, "another one starts")  # type: ignore[misc]
    in_order = [run.logical_date for run in behind.runs("U")]
    assert DAY in in_order[most : most + 2], "every other turn is for what is fresh"
    old = sorted(one for one in in_order if one is not None and one != DAY)
    oldest_first = [DAY - timedelta(hours=BACKLOG - number) for number in range(len(old))]
    assert old == oldest_first, "and of what has waited the oldest come first"


@pytest.mark.promise("slow")
def test_what_is_reported_while_the_watcher_stands_still_waits_in_etcd(
    three: FaultyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded: the reflector waits for room, gRPC holds etcd back, and afterwards nothing is missing.
    Changes are counted; memory is printed only."""
    world = three
    world.dependencies({"X": "R"})
    watcher = world.watcher
    assert watcher is not None
    inbox, going_on, stands = watcher._inbox, threading.Event(), threading.Event()
    take = inbox.take

    def stand_still(timeout: float, *, updates: bool = True) -> list[Message]:
        stands.set()
        assert going_on.wait(60)
        return take(timeout, updates=updates)

    monkeypatch.setattr(inbox, "take", stand_still)
    assert stands.wait(10)
    before = _resident()
    complete_many(world, "nobody_asks", [f"p{number}" for number in range(3 * BOUND)])
    until(lambda: inbox._waiting >= BOUND, "its room is used up", limit=60)
    _stays(lambda: inbox._waiting <= BOUND + 1000)
    print(f"while {3 * BOUND} changes wait: {(_resident() - before) / 2**20:.0f} MiB more")
    going_on.set()
    monkeypatch.undo()
    until(lambda: len(watcher.reconciler.cache) >= 3 * BOUND, "it has read them all", limit=60)
    complete_many(world, "R", [hour(0)])
    until(lambda: world.runs("X", partition=hour(0)) == 1, "and goes on as ever")
    watcher._inbox.wake()


def _stays(holds: Callable[[], bool]) -> None:
    """Look again and again while the reflector could put more, if it did not wait."""
    for _ in range(50):
        assert holds()
        threading.Event().wait(0.01)


def _resident() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _end_one(airflow: StandInAirflow, dag_id: str) -> None:
    run = next(run for run in airflow.runs(dag_id) if not run.state.is_terminal)
    airflow.start(dag_id, run.run_id)
    airflow.finish(dag_id, run.run_id)
