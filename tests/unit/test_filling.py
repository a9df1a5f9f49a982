"""Filling gaps beside the real coordinator, on virtual time: each is ordered once, never too many at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from coordinator.commands import fill as filling
from coordinator.commands.acts import Act, Signature, Verb, recorded_acts
from coordinator.commands.fill import Ended, LeftAlone, Ordered
from coordinator.commands.order import cancel_order
from coordinator.controller.state.cache import Cache
from coordinator.model.references import Target
from coordinator.model.runstate import State
from coordinator.store.memory import MemoryStore, MemoryWatch
from coordinator.store.port import Changes
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import target

ANN = Signature("ann", datetime(2026, 11, 22, tzinfo=UTC), "T-123")
DAYS = [f"2026-11-{day}T00:00:00Z" for day in (16, 17, 18, 19)]
GAPS = [target("D", day) for day in DAYS]


class GoesOn(MemoryStore):
    """Whoever waits for etcd lets the world go on."""

    def __init__(self, world: SimulatedWorld) -> None:
        super().__init__(world.etcd)
        self._world = world
        self.waited = 0

    def watch(self, prefix: str, *, from_revision: int) -> MemoryWatch:
        stream = super().watch(prefix, from_revision=from_revision)
        receive = stream.receive

        def received(timeout: float) -> Changes | None:
            self.waited += 1
            assert self.waited < 100, "nothing ends"
            self._world.settle()
            return receive(timeout)

        stream.receive = received  # type: ignore[method-assign]
        return stream


@pytest.fixture
def world() -> SimulatedWorld:
    """A has run on four days before D depended on it."""
    world = SimulatedWorld()
    for day in DAYS:
        world.comes("A", day)
    world.dependencies({"D": "A", "E": "D"})
    world.settle()
    return world


def facts(world: SimulatedWorld) -> Cache:
    cache = Cache(world.keys)
    cache.replace(world.store.list(world.keys.root))
    return cache


def fill(world: SimulatedWorld, store: MemoryStore, seen: Cache, **options: Any) -> Any:
    return filling.fill(store, world.keys, seen, GAPS, ANN, **options)


def runs(world: SimulatedWorld, name: str) -> list[int]:
    return [world.runs(name, partition=day) for day in DAYS]


def test_all_gaps_are_ordered_at_once_and_each_runs_once_with_what_is_below(world: SimulatedWorld) -> None:
    steps = list(fill(world, world.store, facts(world)))  # type: ignore[arg-type]
    assert [step.target for step in steps if isinstance(step, Ordered)] == GAPS
    world.settle()
    assert (runs(world, "D"), runs(world, "E")) == ([1, 1, 1, 1], [1, 1, 1, 1])
    acts = [one.value for one in recorded_acts(world.store, world.keys)]
    assert [(act.verb, act.signature.why) for act in acts if isinstance(act, Act)] == [(Verb.FILL, "T-123")] * 4


@pytest.mark.promise("orders")
@pytest.mark.parametrize("at_a_time", [1, 3])
def test_never_more_than_so_many_are_ordered_and_not_ended(world: SimulatedWorld, at_a_time: int) -> None:
    under_way: set[Target] = set()
    most = 0
    for step in fill(world, GoesOn(world), facts(world), max_in_flight=at_a_time):
        match step:
            case Ordered(ordered):
                under_way.add(ordered)
            case Ended(ended, state):
                under_way.remove(ended)
                assert state is State.SUCCESS
        most = max(most, len(under_way))
    assert (most, runs(world, "D")) == (at_a_time, [1, 1, 1, 1])


@pytest.mark.promise("orders")
def test_a_fill_that_was_interrupted_is_repeated_without_doubling(world: SimulatedWorld) -> None:
    seen = facts(world)
    first = fill(world, GoesOn(world), seen, max_in_flight=2)
    assert [next(first), next(first)] == [Ordered(one, _revision(world, one)) for one in GAPS[:2]]
    first.close()
    again = list(fill(world, GoesOn(world), seen, max_in_flight=2))  # with what was seen before the interruption
    assert [step for step in again if isinstance(step, LeftAlone)] == [LeftAlone(one) for one in GAPS[:2]]
    world.settle()
    assert runs(world, "D") == [1, 1, 1, 1]


def _revision(world: SimulatedWorld, ordered: Target) -> int:
    present = world.store.get(world.keys.order(ordered))
    assert present is not None
    return present.mod_revision


def test_an_order_that_is_taken_back_is_not_waited_for(world: SimulatedWorld) -> None:
    world.hold("D")
    steps = fill(world, GoesOn(world), facts(world), max_in_flight=1)
    for one in GAPS:
        assert next(steps) == Ordered(one, _revision(world, one))
        cancel_order(world.store, world.keys, one, ANN)
        assert next(steps) == Ended(one, None)
    assert list(steps) == []


def test_a_run_that_fails_frees_its_place(world: SimulatedWorld) -> None:
    world.by_hand("D")
    steps = fill(world, GoesOn(world), facts(world), max_in_flight=1)
    assert isinstance(next(steps), Ordered)
    world.settle()
    world.run("D", "failed", partition=DAYS[0])
    assert next(steps) == Ended(GAPS[0], State.FAILED)
    assert next(steps) == Ordered(GAPS[1], _revision(world, GAPS[1]))
