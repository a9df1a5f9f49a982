"""What etcd answers and will not write (too large, or no right to) concerns its own partition, and is tried slowly."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog

from coordinator.controller.dispatch.dispatcher import EnvironmentLimits
from coordinator.store.port import AccessDenied, Committed, Put, Transaction
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION, target


def refuse_record_of(world: SimulatedWorld, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(world, world.keys.trigger(target(name)), monkeypatch)


def refuse(world: SimulatedWorld, key: str, monkeypatch: pytest.MonkeyPatch, *, of: bytes = b"") -> list[float]:
    """etcd refuses what a watcher writes there, if this is part of it. Returns when it did, as that goes on."""
    assert world.watcher is not None
    commit, refused = world.watcher._store.commit, list[float]()

    def refusing(transaction: Transaction) -> Committed:
        for one in transaction.then:
            if one.key == key and of in (one.value if isinstance(one, Put) else of):
                refused.append(world.clock.seconds)
                raise AccessDenied(f"permission denied: {key}")
        return commit(transaction)

    monkeypatch.setattr(world.watcher._store, "commit", refusing)
    return refused


def test_a_missed_partition_that_cannot_be_given_up_keeps_nobody_else_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "A", "catchup": "none"}, "F": "E"})
    world.stop_watcher()
    world.comes("A", PARTITION)
    world.live_until(world.clock.now() + timedelta(hours=2))
    world.start_watcher()
    refuse_record_of(world, "D", monkeypatch)
    world.live_until(world.clock.now() + timedelta(minutes=1))
    world.comes("E", PARTITION)
    world.live_until(world.clock.now() + timedelta(minutes=1))
    assert (world.runs("F"), world.runs("D")) == (1, 0)


@pytest.mark.parametrize("comes_again", [False, True])
def test_a_missed_partition_that_cannot_be_given_up_at_first_is_given_up_later(comes_again: bool) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": {"upstream": "A", "catchup": "none"}})
    world.stop_watcher()
    world.comes("A", PARTITION)
    world.live_until(world.clock.now() + timedelta(hours=2))
    world.start_watcher()
    with pytest.MonkeyPatch.context() as patch:
        refuse_record_of(world, "D", patch)
        world.live_until(world.clock.now() + timedelta(seconds=20))
        if comes_again:
            world.rerun("A")
    world.live_until(world.clock.now() + timedelta(minutes=2))
    record = world.record("D")
    assert record is not None
    assert record.skipped
    assert world.runs("D") == 0


def test_an_intent_that_is_refused_is_tried_again_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a look, too, which has a time of its own after which its asker is woken."""
    world = SimulatedWorld()
    world.dependencies({"D": "A"})
    refuse_record_of(world, "D", monkeypatch)
    with structlog.testing.capture_logs() as logs:
        world.comes("A", PARTITION)
        world.live_until(world.clock.now() + timedelta(minutes=10))
    assert world.runs("D") == 0
    assert 10 <= len([line for line in logs if line["event"] == "etcd.refused"]) <= 12
    assert world.watcher is not None
    (problem,) = world.watcher.reconciler.cache.problems.items()
    assert problem[0] == world.keys.trigger(target("D"))
    assert "etcd refuses to write it: permission denied" in problem[1]


def seconds_until_run(world: SimulatedWorld, names: list[str], *, runs: int) -> float:
    began = world.clock.seconds
    world.settle_until(lambda: all(world.runs(name) == runs for name in names), "all have run")
    return world.clock.seconds - began


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "refused_part"),
    [
        (EnvironmentLimits(), b""),
        (EnvironmentLimits(), b'"sent"'),
        (EnvironmentLimits(requests=1), b'"sent"'),
        (EnvironmentLimits(requests=1, max_runs_in_flight=1), b""),
        (EnvironmentLimits(requests=1, max_starts_per_minute=2), b""),
        (EnvironmentLimits(requests=1, max_starts_per_minute=2), b'"sent"'),
    ],
    ids=lambda one: str(one) if isinstance(one, EnvironmentLimits) else f"part {one.decode()}",
)
def test_a_record_that_is_refused_again_and_again_holds_up_none_that_is_due_beside_it(
    limits: EnvironmentLimits, refused_part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its intent nor its outcome. (An intent that stands keeps its place among the runs in flight.)"""
    others, took = [f"E{number}" for number in range(12)], dict[bool, list[float]]()
    for is_refused in (False, True):
        world = SimulatedWorld(environment_limits={"default": limits})
        world.dependencies(dict.fromkeys(["D", *others], "A"))
        key = world.keys.trigger(target("D" if is_refused else "nobody"))
        refused = refuse(world, key, monkeypatch, of=refused_part)
        world.comes("A", PARTITION)
        took[is_refused] = [seconds_until_run(world, others, runs=1)]
        world.live_until(world.clock.now() + timedelta(minutes=5))
        world.rerun("A")
        took[is_refused].append(seconds_until_run(world, others, runs=2))
        assert bool(refused) is is_refused
    for without, beside in zip(took[False], took[True], strict=True):
        assert beside <= without + 1, took


@pytest.mark.parametrize("others_look", [False, True])
def test_a_state_that_cannot_be_written_delays_its_pipeline_for_one_pause_at_most(
    others_look: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its newest run was not reported, and is seen whenever somebody looks: those below it, and itself."""
    world = SimulatedWorld()
    world.dependencies({"U": "R", "D": ["U", "X"]})
    world.first_run("R")
    world.delay_reports("U")
    world.clear("U")
    world.live_until(world.clock.now() + timedelta(minutes=2))
    refused = refuse(world, world.keys.state(target("U")), monkeypatch)
    if others_look:
        world.comes("X", PARTITION)
        world.settle_until(lambda: bool(refused), "who waits for it has looked")
    world.rerun("R")
    began, requests = world.clock.seconds, world.requests("U")
    world.settle_until(lambda: world.requests("U") > requests, "it is started")
    assert refused
    assert world.clock.seconds - began < 5 + (world.settings.blocked_retry if others_look else 0)


def test_a_state_that_cannot_be_written_is_not_tried_again_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that is to be cleared goes on, and is looked at until it has ended."""
    world = SimulatedWorld()
    world.dependencies({"U": "R"})
    world.first_run("R")
    world.delay_reports("U")
    world.by_hand("U")
    world.clear("U")
    world.start("U")
    refused = refuse(world, world.keys.state(target("U")), monkeypatch)
    world.rerun("R")
    world.live_until(world.clock.now() + timedelta(minutes=10))
    assert 9 <= len(refused) <= 12


def test_nothing_starts_on_an_input_that_was_seen_to_run_again_and_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = SimulatedWorld()
    world.dependencies({"D": ["U", "X"]})
    world.first_run("U", "X")
    assert world.runs("D") == 1
    world.delay_reports("U")
    world.clear("U")  # silently
    world.live_until(world.clock.now() + timedelta(minutes=2))
    refused = refuse(world, world.keys.state(target("U")), monkeypatch)
    world.rerun("X")
    world.live_until(world.clock.now() + timedelta(minutes=10))
    assert 2 <= len(refused) <= 12, "it is looked at again, slowly"
    assert world.runs("D") == 1, "its input runs again"
    world.start("U")
    world.finish("U")
    world.deliver_reports("U")
    world.live_until(world.clock.now() + timedelta(minutes=2))
    assert world.runs("D") == 2, "for both, and once"


def test_what_was_refused_is_tried_at_once_on_other_inputs() -> None:
    """Its upstream runs again meanwhile: it waits for that, and for nothing else any more."""
    world = SimulatedWorld()
    world.dependencies({"U": "R", "D": "U"})
    with pytest.MonkeyPatch.context() as patch:
        refuse_record_of(world, "D", patch)
        world.comes("R", PARTITION)
        world.live_until(world.clock.now() + timedelta(seconds=20))
        assert (world.runs("U"), world.requests("D")) == (1, 0)
    world.rerun("R")
    assert seconds_until_run(world, ["D"], runs=1) < 5
