"""Timeouts: whom the leader asks to stop, when, and how often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from coordinator.controller.dispatch.jobs import STOPPING, Effect, EffectDone
from coordinator.controller.reconcile.timeouts import AGAIN_AFTER, REFUSED_AFTER, Timeouts
from coordinator.model.decide import Decision
from coordinator.model.runstate import State
from coordinator.model.trigger import TriggerRecord
from coordinator.model.view import Readiness
from coordinator.runners.port import Happened, NotHappened, ObservedRun, Refused
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target

pytestmark = pytest.mark.promise("timeouts")

D = target("D")


@pytest.fixture
def world() -> SimulatedWorld:
    """D has been started, runs, and may take ten minutes."""
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "A", "timeout": "10 minutes", "retries": 3}})
    world.by_hand("D")
    world.first_run("A")
    world.start("D")
    return world


class Asked:
    """The timeouts of a leader, with their requests noted instead of sent."""

    def __init__(self, world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        assert world.watcher is not None
        self.reconciler = world.watcher.reconciler
        self.timeouts: Timeouts = self.reconciler._timeouts
        self.stopped: list[datetime | None] = []
        dispatcher = world.watcher.dispatchers.of(D)

        def stop(*_: Any, before: datetime | None) -> None:
            self.stopped.append(before)

        monkeypatch.setattr(dispatcher, "stop", stop)

    def pass_time(self, duration: timedelta) -> Decision:
        """Decide again so much later, without anything else that a leader does."""
        propagation = self.reconciler.propagation
        propagation.now += duration
        decision = propagation.decide(D)
        self.timeouts.note(decision)
        return decision


def _attempt(world: SimulatedWorld) -> datetime | None:
    (run,) = world.all_runs("D")
    return run.queued_at


def test_it_is_asked_for_once_the_limit_has_passed_and_again(
    world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(world, monkeypatch)
    assert asked.pass_time(timedelta(minutes=1)).stops_at is not None
    asked.timeouts.ask(0.0)
    assert (asked.stopped, asked.timeouts.next_at()) == ([], None)
    asked.pass_time(timedelta(minutes=10))
    asked.timeouts.ask(0.0)
    asked.timeouts.ask(1.0)
    assert asked.stopped == [_attempt(world)]
    (run,) = world.all_runs("D")
    asked.timeouts.answered(EffectDone("default", D, STOPPING, Effect.STOP, Happened(run)), 2.0)
    assert asked.timeouts.next_at() == 2.0 + AGAIN_AFTER
    asked.timeouts.ask(2.0 + AGAIN_AFTER)
    assert len(asked.stopped) == 2
    asked.timeouts.clear()  # another term
    asked.timeouts.ask(8.0)
    assert len(asked.stopped) == 3


def test_an_attempt_that_has_begun_since_the_decision_is_not_stopped(
    world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(world, monkeypatch)
    asked.pass_time(timedelta(minutes=11))
    cache, seen = asked.reconciler.cache, asked.reconciler.cache.record(D)
    assert seen is not None
    assert isinstance(seen.value, TriggerRecord)
    later = replace(seen.value, attempt=asked.reconciler.propagation.now, when=asked.reconciler.propagation.now)
    monkeypatch.setattr(cache, "record", lambda _: replace(seen, value=later))
    asked.timeouts.ask(0.0)
    assert asked.stopped == []


@pytest.mark.parametrize(
    ("outcome", "pause"),
    [
        (lambda _: Refused(403, "Forbidden"), REFUSED_AFTER),
        (lambda _: NotHappened("it is in another attempt by now"), AGAIN_AFTER),
        (Happened, AGAIN_AFTER),
    ],
)
def test_when_it_is_asked_for_again(
    world: SimulatedWorld,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Callable[[ObservedRun], Any],
    pause: float,
) -> None:
    asked = Asked(world, monkeypatch)
    asked.pass_time(timedelta(minutes=11))
    asked.timeouts.ask(0.0)
    (run,) = world.all_runs("D")
    asked.timeouts.answered(EffectDone("default", D, STOPPING, Effect.STOP, outcome(run)), 3.0)
    assert asked.timeouts.next_at() == 3.0 + pause


def test_the_end_is_reported_with_the_reason_where_nobody_reports_it(world: SimulatedWorld) -> None:
    world.silence("default")
    world.by_hand("D")
    world.settle_until(lambda: world.requests("D") == 2, "it is stopped, and started again")
    assert world.watcher is not None
    assert world.watcher.reconciler.counters.stopped == 1
    world.start("D")
    world.hold("D")  # so that its failure stays to be seen
    world.settle_until(
        lambda: world.all_runs("D")[0].state is State.FAILED and _note(world) is not None, "it is stopped again"
    )
    world.settle()
    assert _note(world) == "stopped after 10 minutes, its timeout"
    assert world.watcher.reconciler.propagation.readiness(D) is Readiness.STUCK


def _note(world: SimulatedWorld) -> str | None:
    state = world.state("D", partition=PARTITION)
    return getattr(state, "note", None)
