"""Under a backlog: what is fresh does not wait behind it, and it does not wait for ever behind what is fresh.

Told by the order in which requests arrive, not by time. The real reconciler on an etcd in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.controller.dispatch.admission import Admission
from coordinator.controller.dispatch.dispatcher import PREFETCH, EnvironmentLimits
from coordinator.controller.dispatch.jobs import EffectDone, LookDone
from coordinator.controller.reconciler import SLICE
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.store.port import Changes, Put, Transaction
from tests.worlds.simulated import EPOCH, REQUESTS, SimulatedWatcher, SimulatedWorld
from tests.worlds.simulated_airflow import logical_date_of

pytestmark = pytest.mark.promise("slow")

BACKLOG = 1_500
FRESH = format_instant(EPOCH)
PAST = [format_instant(EPOCH - timedelta(hours=hour)) for hour in range(1, BACKLOG + 1)]
DOCUMENT = {"D": "A", "team_b/E": "team_b/B"}
SLOTS = REQUESTS * PREFETCH
"""What an environment of these worlds has on its way at once."""


def far_behind(limits: EnvironmentLimits | None = None) -> tuple[SimulatedWorld, SimulatedWatcher]:
    """A completed in so many partitions while no watcher ran; now one leads, and the first runs are on their way."""
    world = SimulatedWorld(environment_limits={"default": limits} if limits is not None else None)
    world.dependencies(DOCUMENT)
    world.stop_watcher()
    world.clock.seconds += 3600
    for first in range(0, BACKLOG, 100):
        puts = tuple(completion(world, "A", partition) for partition in PAST[first : first + 100])
        world.store.commit(Transaction((), puts))
    world.clock.seconds += 3600
    world.start_watcher()
    assert world.watcher is not None
    turn_until(world, lambda: requests(world) >= 3)
    for _ in range(3):  # what comes right after a list is not taken for live
        world.clock.seconds += 0.5
        world.watcher.turn()
    return world, world.watcher


def completion(world: SimulatedWorld, name: str, partition: str) -> Put:
    """The run has been there and has ended; this reports it."""
    airflow, dag_id = world._of(name)
    run = airflow.create(dag_id, f"scheduled__{partition}", logical_date=logical_date_of(partition))
    airflow.runs[dag_id, run.run_id] = replace(run, state=State.SUCCESS)
    document = RunStateDocument(
        state=State.SUCCESS, run_id=run.run_id, queued_at=run.queued_at, observed_at=run.queued_at
    )
    return Put(world.keys.state(Target(PipelineRef.parse(name), partition)), document.to_value())


def complete(world: SimulatedWorld, name: str, partition: str) -> None:
    world.write(completion(world, name, partition))


def requests(world: SimulatedWorld, environment: str = "default") -> int:
    return len(world.airflows[environment].effects)


def admission(watcher: SimulatedWatcher, environment: str = "default") -> Admission:
    dispatcher = watcher.dispatchers.get(environment)
    assert dispatcher is not None
    return dispatcher.admission


def take_all_slots(world: SimulatedWorld, watcher: SimulatedWatcher) -> None:
    turn_until(world, lambda: admission(watcher).slots_taken == SLOTS)


def turn_until(world: SimulatedWorld, holds: Callable[[], bool], *, most: int = 100_000) -> int:
    """Let the watcher turn; runs do not go on. Where there is nothing to do, time passes. Returns how many turns."""
    assert world.watcher is not None
    for turns in range(most):
        if holds():
            return turns
        if not world.watcher.turn():
            world.clock.seconds += 0.5
    raise AssertionError("it does not come to that")


@pytest.mark.slow
def test_a_fresh_completion_of_another_environment_does_not_wait_for_the_backlog() -> None:
    world, watcher = far_behind()
    assert admission(watcher).waiting + len(watcher.reconciler.queue) > 30 * SLICE
    complete(world, "team_b/B", FRESH)
    turns = turn_until(world, lambda: requests(world, "team_b") == 1)
    assert turns <= SLOTS + 4, "the jobs of these worlds run one after the other, one in each turn"
    turn_until(world, lambda: requests(world) == BACKLOG)
    assert len(set(world.airflows["default"].effects)) == BACKLOG, "each once"


def test_in_the_same_environment_it_takes_turns_with_the_backlog() -> None:
    world, watcher = far_behind()
    take_all_slots(world, watcher)
    before = requests(world)
    complete(world, "A", FRESH)
    turn_until(world, lambda: ("D", FRESH) in world.airflows["default"].effects)
    waited = world.airflows["default"].effects[before:].index(("D", FRESH))
    assert waited <= SLOTS + 2, "who has a slot goes out before it, and one whose turn it is"


def test_a_stream_of_fresh_completions_does_not_starve_the_backlog() -> None:
    world, watcher = far_behind()
    take_all_slots(world, watcher)
    effects = world.airflows["default"].effects
    before = len(effects)
    for number in range(100):
        complete(world, "A", format_instant(EPOCH + timedelta(hours=number)))
    turn_until(world, lambda: len(effects) >= before + 200)
    fresh = [partition not in PAST for _, partition in effects[before:]]
    assert 80 <= sum(fresh[:200]) <= 110, "half of the turns are theirs, more or less"


@pytest.mark.promise("slow")
@pytest.mark.slow
def test_no_more_intents_pile_up_in_an_environment_that_is_slow_and_a_fresh_one_gets_its_turn_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each request waits there for longer than it may, and has to be looked at again before it goes out."""
    world, watcher = far_behind()
    held: deque[Callable[[], EffectDone]] = deque()
    monkeypatch.setattr(watcher, "effect", lambda _, job: held.append(job))
    most = 0

    def pass_seconds(seconds: int) -> None:
        nonlocal most
        for _ in range(2 * seconds):
            while watcher.turn():
                most = max(most, len(watcher.reconciler.reconcile.requests))
            world.clock.seconds += 0.5
            if held:
                watcher._jobs.append(held.popleft())

    pass_seconds(100)
    assert 0 < most <= SLOTS
    before = requests(world)
    complete(world, "A", FRESH)
    pass_seconds(30)
    effects = world.airflows["default"].effects[before:]
    assert len(effects) > 2 * SLOTS
    assert ("D", FRESH) in effects[: 2 * SLOTS + 2]


@pytest.mark.slow
def test_the_limits_of_an_environment_are_kept_and_fresh_completions_get_their_turn_there_too() -> None:
    world, watcher = far_behind(EnvironmentLimits(max_runs_in_flight=10))
    airflow = world.airflows["default"]
    most = 0

    def goes_on() -> None:
        """One run at a time ends, so that a place becomes free."""
        nonlocal most
        waiting = airflow.unfinished()
        most = max(most, len(waiting))
        if len(waiting) >= 10:
            run = waiting[0]
            airflow.begin(run.dag_id, run.run_id)
            airflow.end(run.dag_id, run.run_id, State.SUCCESS)
        if not watcher.turn():
            world.clock.seconds += 0.5

    while len(airflow.effects) < 30:
        goes_on()
    before = len(airflow.effects)
    complete(world, "A", FRESH)
    for _ in range(10_000):
        if ("D", FRESH) in airflow.effects:
            break
        goes_on()
    assert airflow.effects[before:].index(("D", FRESH)) <= 3, "every other turn is for what is fresh"
    assert most == 10


@pytest.mark.slow
def test_the_starts_of_a_minute_are_kept_while_it_catches_up() -> None:
    world, _ = far_behind(EnvironmentLimits(max_starts_per_minute=60))
    airflow = world.airflows["default"]
    began, before = world.clock.seconds, len(airflow.effects)
    complete(world, "team_b/B", FRESH)
    turn_until(world, lambda: requests(world, "team_b") == 1)
    assert world.clock.seconds - began < 1.0, "the other environment knows nothing of it"
    turn_until(world, lambda: world.clock.seconds - began >= 120.0)
    assert 100 <= len(airflow.effects) - before <= 130


@pytest.mark.slow
def test_what_waits_for_its_turn_has_no_intent_and_no_decision_in_memory() -> None:
    world, watcher = far_behind()
    reconciler = watcher.reconciler
    world.down("default")
    turn_until(world, lambda: not reconciler.queue, most=2_000)
    assert len(reconciler.reconcile.requests) <= SLOTS
    assert admission(watcher).waiting > BACKLOG - 3 * SLOTS
    world.up("default")
    turn_until(world, lambda: requests(world) == BACKLOG)
    assert len(set(world.airflows["default"].effects)) == BACKLOG, "each once"


def test_a_step_is_short_however_much_there_is_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    world, watcher = far_behind()
    examined = 0
    examine = watcher.reconciler.reconcile.examine

    def counted(*given: object) -> None:
        nonlocal examined
        examined += 1
        examine(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(watcher.reconciler.reconcile, "examine", counted)
    watcher.reconciler._reexamine_at = 0.0  # everything is to be examined again
    steps = 0
    while not steps or watcher.reconciler.queue:
        examined, steps = 0, steps + 1
        watcher.reconciler.step([Changes((), watcher.reconciler.cache.revision)])
        assert examined <= SLICE
    assert steps > BACKLOG / SLICE
    assert (watcher.reconciler.wake_at() or 0.0) > world.clock.seconds, "and then it rests"


@pytest.mark.slow
def test_what_waits_at_a_new_limit_has_no_slot_that_others_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are slots have got one, and look; then a limit is set that lets one of them go on."""
    world, watcher = far_behind()
    reconciler = watcher.reconciler
    held: list[Callable[[], LookDone]] = []
    monkeypatch.setattr(watcher, "look", lambda _, job: held.append(job))
    for _ in range(300):
        watcher.turn()
    assert admission(watcher).slots_taken == SLOTS
    world.dependencies({**DOCUMENT, "D": {"upstream": "A", "max_in_flight": 1}})
    for _ in range(300):
        watcher.turn()
    assert admission(watcher).slots_taken <= 1
    pending = [
        partition for partition in PAST if reconciler._checks.is_pending(Target(PipelineRef.parse("D"), partition))
    ]
    assert len(pending) <= 1, "what was looked at for the others would be old when their turn comes"
