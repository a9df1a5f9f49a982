"""A preview is held against the truth: what a watcher that is then started does first."""

from __future__ import annotations

import functools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.trigger import Action, Status
from coordinator.reading.preview import Effect, Preview, preview
from coordinator.reading.reading import read
from tests.worlds.graphs import layered
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import target

DAY = datetime(2026, 11, 20, tzinfo=UTC)
HOURS = [format_instant(DAY + timedelta(hours=hour)) for hour in range(6)]
LONG = timedelta(hours=2)


def foresee(world: SimulatedWorld) -> Preview:
    return preview(
        read(world.store, world.keys, at=world.clock.now()),
        missed_after=world.settings.missed_after,
        environments=world.airflows,
        environment_limits=world.environment_limits,
    )


def of_effect(made: Preview, *effects: Effect) -> set[Target]:
    return {one.target for one in made.foreseen if one.effect in effects}


def complete(world: SimulatedWorld, name: str, *partitions: str) -> None:
    for partition in partitions:
        world.trigger(name, partition=partition)
        world.run(name, partition=partition)


def skipped_records(world: SimulatedWorld) -> set[Target]:
    reading = read(world.store, world.keys, at=world.clock.now())
    return {
        one
        for one in reading.cache.targets()
        if (seen := reading.cache.record(one)) is not None and getattr(seen.value, "skipped", False)
    }


SEEDS = range(24)


@functools.cache
def play(seed: int) -> frozenset[Effect]:
    """Hold the preview of a world against what a watcher then does. Returns the effects that were foreseen.

    Random graphs, catching up, limits: some of it happens under a leader, some while none is there. Whatever is
    started stays queued, so that nothing but the first starts is seen."""
    chance = random.Random(f"preview {seed}")
    graph = layered(seed, layers=(3, 4, 4, 3), mixed=True)
    document: dict[str, dict[str, Any]] = {}
    for name, entry in graph.document.items():
        document[name] = {**(entry if isinstance(entry, dict) else {"upstream": entry})}
        document[name] |= {"catchup": chance.choice(("all", "all", "latest", "none"))}
        if isinstance(document[name]["upstream"], str) and chance.random() < 0.5:
            document[name]["upstream"] = {
                "pipeline": document[name]["upstream"],
                "on": chance.choice(("failure", "done")),
            }
        if chance.random() < 0.3:
            document[name]["max_in_flight"] = chance.randint(1, 3)
    world = SimulatedWorld(
        environment_limits={"team_b": EnvironmentLimits(max_runs_in_flight=chance.choice((None, 2, 5)))}
    )
    world.dependencies(document)
    done = {source: [hour for hour in HOURS if chance.random() < 0.3] for source in graph.sources}
    for source in graph.sources:
        complete(world, source, *done[source])
    world.settle()  # everything below runs, and ends
    world.by_hand(*graph.sources, *graph.document)
    for source in graph.sources:
        if done[source] and chance.random() < 0.5:
            world.clear(source, partition=done[source][0])
            world.run(source, partition=done[source][0])
    world.settle()  # something is in flight, and stays so
    world.stop_watcher()
    for source in graph.sources:
        complete(world, source, *(hour for hour in HOURS if chance.random() < 0.4 and hour not in done[source]))
    world.live_until(world.clock.now() + chance.choice((timedelta(seconds=30), LONG)))

    made = foresee(world)
    revision = world.store.list(world.keys.root).revision
    before = {name: Counter(airflow.effects) for name, airflow in world.airflows.items()}
    given_up = skipped_records(world)
    world.start_watcher()
    world.settle()
    started = {
        Target(PipelineRef(name, dag_id), partition)
        for name, airflow in world.airflows.items()
        for dag_id, partition in Counter(airflow.effects) - before[name]
    }
    assert started == of_effect(made, Effect.START)
    assert skipped_records(world) - given_up == of_effect(made, Effect.SKIP)
    for one in made.foreseen:
        if one.effect is Effect.START:
            record = world.record(str(one.target.pipeline), partition=one.target.partition)
            assert record is not None
            assert (record.action, record.wave) == (one.action, one.wave)
    assert world.store.list(world.keys.root).revision > revision or not (started or of_effect(made, Effect.SKIP))

    world.by_itself(*graph.sources, *graph.document)
    world.settle()
    started_in_all = {
        Target(PipelineRef(name, dag_id), partition)
        for name, airflow in world.airflows.items()
        for dag_id, partition in Counter(airflow.effects) - before[name]
    }
    assert started_in_all - of_effect(made, Effect.START, Effect.WAIT) == {*made.follow}
    return frozenset(one.effect for one in made.foreseen)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_foreseen_is_what_is_started_first(seed: int) -> None:
    play(seed)


@pytest.mark.slow
def test_the_seeds_saw_starts_waits_and_skips() -> None:
    for effect in (Effect.START, Effect.WAIT, Effect.SKIP):
        assert sum(effect in play(seed) for seed in SEEDS) >= 5, effect


def test_every_effect_is_foreseen_and_looking_changes_nothing() -> None:
    world = SimulatedWorld(environment_limits={"team_b": EnvironmentLimits(max_runs_in_flight=1)})
    world.dependencies(
        {
            "D": {"upstream": "R", "catchup": "latest"},
            "team_b/E": "R",
            "F": "D",
            "nowhere/G": "R",
            "I": {"upstream": "R", "rerun": "ignore"},
            "L": {"upstream": ["R", "S"], "deadline": "01:00", "on_late": "skip"},
            "K": "I",
        }
    )
    complete(world, "R", HOURS[0])
    world.settle()
    world.stop_watcher()
    world.clear("R", partition=HOURS[0])
    world.run("R", partition=HOURS[0])
    complete(world, "R", *HOURS[1:5])
    world.live_until(world.clock.now() + LONG)

    revision = world.store.list(world.keys.root).revision
    made = foresee(world)
    assert world.store.list(world.keys.root).revision == revision
    effects = {(str(one.target.pipeline), one.target.partition): one for one in made.foreseen}
    assert effects["D", HOURS[0]].effect is Effect.START
    assert effects["D", HOURS[0]].action is Action.CLEAR
    assert effects["D", HOURS[0]].why == "new: R"
    assert effects["D", HOURS[4]].action is Action.CREATE
    assert {effects["D", hour].effect for hour in HOURS[1:4]} == {Effect.SKIP}
    assert effects["team_b/E", HOURS[0]].effect is Effect.START
    assert {effects["team_b/E", hour].effect for hour in HOURS[1:5]} == {Effect.WAIT}
    assert effects["nowhere/G", HOURS[4]].effect is Effect.BLOCK
    assert effects["I", HOURS[0]].effect is Effect.CONSUME
    assert {effects["L", hour].effect for hour in HOURS[1:5]} == {Effect.SKIP}
    assert ("F", HOURS[4]) not in effects
    followers = {("F", HOURS[0]), ("F", HOURS[4]), *(("K", hour) for hour in HOURS[1:5])}
    assert {(str(one.pipeline), one.partition) for one in made.follow} == followers


def test_a_failure_handler_is_not_counted_among_those_that_follow() -> None:
    world = SimulatedWorld()
    world.dependencies(
        {
            "load": "extract",
            "publish": "load",
            "alert": {"upstream": {"pipeline": "load", "on": "failure"}},
            "escalate": "alert",
            "tidy": {"upstream": {"pipeline": "load", "on": "done"}},
        }
    )
    world.by_hand("load")
    complete(world, "extract", HOURS[0])
    world.settle()
    world.start("load", partition=HOURS[0])
    world.settle()
    made = foresee(world)
    assert {str(one.pipeline) for one in made.follow} == {"publish", "tidy"}
    assert made.if_failed == len(["alert", "escalate"])
    assert made.held_up == made.stuck == 0


def test_what_waits_for_an_environment_that_is_not_configured_does_not_follow() -> None:
    world = SimulatedWorld()
    world.dependencies({"nowhere/load": "extract", "publish": "nowhere/load"})
    world.stop_watcher()  # before it is known to be blocked
    complete(world, "extract", HOURS[0])
    made = foresee(world)
    assert of_effect(made, Effect.BLOCK) == {target("nowhere/load", HOURS[0])}
    assert made.follow == ()
    assert made.held_up == len(["publish"])


def test_an_intent_of_a_predecessor_is_taken_over() -> None:
    world = SimulatedWorld()
    world.dependencies({"D": "R"})
    world.kill_before_request("D")
    partition = "2026-11-20T00:00:00Z"
    complete(world, "R", partition)
    world.settle()
    record = world.record("D")
    assert record is not None
    assert record.status is Status.INTENT
    (one,) = foresee(world).foreseen
    assert (one.target, one.effect, one.action) == (target("D"), Effect.RESUME, Action.CREATE)
