"""What several runs emit of an asset, and when it is told of, as scripts in a simulated world: what is late, of another
attempt, of another pipeline, of the past, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.model.assets.completions import AssetCompletion, read_completion
from coordinator.model.assets.names import asset_of
from coordinator.model.references import Target
from coordinator.store.port import Delete
from tests.worlds.asset_wave_cases import NEXT_DAY, ORDERS, X, diamond
from tests.worlds.simulated import SimulatedWorld
from tests.worlds.world import PARTITION

AssetEmissionCase = Callable[[SimulatedWorld], None]

FIXED = {**X, "partition": {"mapper": "fixed_key", "downstream_key": "model"}}


def waits(world: SimulatedWorld, upstream: object = None, **more: object) -> None:
    """D waits for the asset, which U and V emit."""
    world.dependencies({"D": {"upstream": X if upstream is None else upstream, **more}})
    world.by_hand("U", "V")


def emits(world: SimulatedWorld, name: str, *, partition: str = PARTITION, run_id: str | None = None) -> None:
    """A run begins, emits and ends."""
    world.trigger(name, partition=partition, run_id=run_id)
    world.start(name, partition=partition, run_id=run_id)
    world.emit(name, ORDERS, partition=partition)
    world.finish(name, partition=partition)


def emits_again(world: SimulatedWorld, name: str) -> None:
    """Its run is cleared, emits and ends."""
    world.clear(name)
    world.start(name)
    world.emit(name, ORDERS)
    world.finish(name)


def is_silent(world: SimulatedWorld, name: str, state: str = "success") -> None:
    """Its run is cleared, and ends without an event."""
    world.clear(name)
    world.run(name, state)


def lives(world: SimulatedWorld, seconds: float) -> None:
    """So much time passes, in which everything goes on."""
    until = world.clock.seconds + seconds
    while world.clock.seconds < until:
        world.tick_once()


@pytest.mark.promise("asset-upstreams")
def case_overtaken_before_its_run_is_known(world: SimulatedWorld) -> None:
    """What V emits is counted before what U emitted, because nobody knows of U's run; the leader changes; U's run
    becomes known: D runs for it."""
    waits(world)
    world.delay_reports("U")
    emits(world, "U")
    world.settle()
    emits(world, "V")
    world.settle()
    assert world.runs("D") == 1
    world.stop_watcher()
    world.deliver_reports("U")
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("not-for-the-past")
def case_overtaken_and_of_the_past(world: SimulatedWorld) -> None:
    """U emitted before D waited for it, which becomes known after V has emitted: it starts nothing."""
    world.dependencies({"E": {"upstream": X}})
    world.by_hand("U", "V")
    world.delay_reports("U")
    emits(world, "U")
    world.settle()
    world.dependencies({"E": {"upstream": X}, "D": {"upstream": X}})
    world.settle()
    emits(world, "V")
    world.settle()
    assert world.runs("D") == 1
    world.deliver_reports("U")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (1, 2)


@pytest.mark.promise("asset-upstreams")
def case_of_a_run_that_was_there_when_its_dependency_came(world: SimulatedWorld) -> None:
    """An attempt emits before D waits for it, and once more afterwards: D runs."""
    world.dependencies({"other": ["nothing"]})
    world.by_hand("U")
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS)
    world.settle()
    world.dependencies({"D": {"upstream": X}})
    later = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 0
    later()
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("asset-upstreams")
def case_of_a_run_whose_place_was_taken(world: SimulatedWorld) -> None:
    """A run emits; before that is told, another run takes its place in the partition, and emits nothing: D runs."""
    waits(world)
    world.trigger("U")
    world.start("U")
    late = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.settle()
    world.trigger("U", run_id="another")
    world.run("U")
    late()
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("asset-upstreams")
def case_of_a_run_whose_place_was_taken_while_no_watcher_ran(world: SimulatedWorld) -> None:
    """The same while no watcher runs."""
    waits(world)
    world.stop_watcher()
    emits(world, "U")
    world.trigger("U", run_id="another")
    world.run("U")
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_late_event_of_a_run_whose_place_was_taken(world: SimulatedWorld) -> None:
    """Two runs of one partition emit twice each; the later events are told afterwards: D runs once for each run."""
    waits(world)
    first = world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS)
    late = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.settle()
    world.trigger("U", run_id="another")
    world.start("U", run_id="another")
    world.emit("U", ORDERS, run_id="another")
    later = world.emit("U", ORDERS, run_id="another", told=False)
    world.finish("U", run_id="another")
    world.settle()
    assert (first != "another", world.runs("D")) == (True, 2)
    late()
    later()
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once", "asset-upstreams")
def case_late_event_after_a_clear(world: SimulatedWorld) -> None:
    """An event of the first attempt is told after the second one has ended without any: it starts nothing. One of the
    second attempt that is told still later does."""
    waits(world)
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS)
    late = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.settle()
    world.clear("U")
    world.start("U")
    later = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.settle()
    late()
    world.settle()
    assert world.runs("D") == 1
    later()
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_late_event_of_an_attempt_before_the_last(world: SimulatedWorld) -> None:
    """An event of the second attempt is told when the third one has begun, which emits nothing: D runs for it."""
    waits(world)
    emits(world, "U")
    world.settle()
    world.clear("U")
    world.start("U")
    late = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.settle()
    is_silent(world, "U")
    late()
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once", "not-early")
def case_with_a_key_before_its_run_is_known(world: SimulatedWorld) -> None:
    """Events with a ``partition_key`` come before the state of their run: they wait for that for ten seconds, and for
    the end of the run then; together they start D once."""
    waits(world)
    world.delay_reports("U")
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS, key="eu")
    world.pass_time()
    world.tick_once()
    world.emit("U", ORDERS, key="eu")
    world.tick_once()
    world.deliver_reports("U")
    world.settle()
    assert world.runs("D", partition="eu") == 0, "the run goes on"
    world.emit("U", ORDERS, key="eu")
    world.finish("U")
    world.settle()
    assert world.runs("D", partition="eu") == 1


@pytest.mark.promise("asset-upstreams")
def case_with_a_key_of_a_run_that_nobody_reports(world: SimulatedWorld) -> None:
    """Nobody ever knows of its run: the event counts after ten seconds; that its run is known at last is no news."""
    waits(world)
    world.delay_reports("U")
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS, key="eu")
    world.settle()
    assert world.runs("D", partition="eu") == 1
    world.finish("U")
    world.deliver_reports("U")
    world.settle()
    assert world.runs("D", partition="eu") == 1


@pytest.mark.promise("not-early")
def case_one_of_two_producers_fails(world: SimulatedWorld) -> None:
    """U and V emit the asset, both below R. R runs again, V emits, and U fails before it does: D waits for U's repair,
    also where V was the last one to emit it before."""
    world.dependencies({"U": "R", "V": "R", "D": {"upstream": ["R", X]}})
    world.by_hand("R", "U", "V")
    world.trigger("R")
    world.run("R")
    world.settle()
    for name in ("U", "V"):
        world.start(name)
    for name in ("U", "V"):
        world.emit(name, ORDERS)
        world.finish(name)
    world.settle()
    before = world.runs("D")
    world.rerun("R")
    world.settle()
    world.start("U")
    world.start("V")
    world.emit("V", ORDERS)
    world.finish("V")
    world.finish("U", "failed")
    world.settle()
    assert world.runs("D") == before
    emits_again(world, "U")
    world.settle()
    assert world.runs("D") == before + 1


@pytest.mark.promise("once")
def case_event_of_one_of_two_producers_is_on_its_way(world: SimulatedWorld) -> None:
    """The same, and U's event comes after its end: D waits for it, as it would for V's, and runs once."""
    world.dependencies({"U": "R", "V": "R", "D": {"upstream": ["R", X]}})
    world.by_hand("R", "U", "V")
    world.trigger("R")
    world.run("R")
    world.settle()
    for name in ("U", "V"):
        world.start(name)
    for name in ("U", "V"):
        world.emit(name, ORDERS)
        world.finish(name)
    world.settle()
    before = world.runs("D")
    world.rerun("R")
    world.settle()
    world.start("U")
    world.start("V")
    world.emit("V", ORDERS)
    world.finish("V")
    late = world.emit("U", ORDERS, told=False)
    world.finish("U")
    lives(world, 5)
    late()
    world.settle()
    assert world.runs("D") == before + 1


@pytest.mark.promise("not-early")
def case_another_producer_is_cleared_silently(world: SimulatedWorld) -> None:
    """U and V have emitted, V last; D is held. A person clears U, which nothing reports: D, released, waits for U."""
    waits(world)
    world.hold("D")
    emits(world, "U")
    emits(world, "V")
    world.settle()
    world.clear("U")
    world.release("D")
    world.settle()
    assert world.runs("D") == 0
    world.start("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_end_that_is_heard_of_late(world: SimulatedWorld) -> None:
    """The end of U is told long after it, and its event soon after that: ten seconds begin when the end is known."""
    diamond(world)
    world.rerun("R")
    world.settle()
    world.start("U")
    world.settle()
    world.delay_reports("U")
    late = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.stop_watcher()
    world.clock.seconds += 60
    world.deliver_reports("U")
    world.start_watcher()
    lives(world, 5)
    assert world.runs("D") == 1
    late()
    world.settle()
    assert world.runs("D") == 2


def case_run_that_emits_nothing_any_more(world: SimulatedWorld) -> None:
    """U has emitted the asset once, and does not any more: D, due because of R too, runs ten seconds after U."""
    diamond(world)
    world.rerun("R")
    world.settle()
    world.run("U")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once")
def case_end_of_a_test_run(world: SimulatedWorld) -> None:
    """``airflow dags test`` gives its run no ``queued_at``: what it emits is not of an attempt before its end."""
    waits(world)
    world.test_by_hand("U")
    world.emit("U", ORDERS)
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("asset-upstreams")
def case_handed_on_by_another_clock(world: SimulatedWorld) -> None:
    """An event that was handed on has the time of its consumer, which is two hours ahead: a clear of its run is told
    from the attempt before all the same, and a late event is not taken for a new one."""
    waits(world, {**X, "environment": "team_b"})
    world.trigger("U")
    world.start("U")
    world.emit("U", ORDERS, handed_on_to="team_b")
    late = world.emit("U", ORDERS, handed_on_to="team_b", told=False)
    world.finish("U")
    world.settle()
    late()
    world.settle()
    assert world.runs("D") == 1
    world.clear("U")
    world.start("U")
    world.emit("U", ORDERS, handed_on_to="team_b")
    world.finish("U")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_newest_of_an_event_that_waited(world: SimulatedWorld) -> None:
    """D uses the newest completion. An event that came before the used one, and is counted after it, starts D."""
    waits(world, FIXED)
    world.delay_reports("U")
    emits(world, "U", partition=NEXT_DAY)
    world.settle()
    emits(world, "V")
    world.settle()
    assert world.runs("D", partition="model") == 1
    world.deliver_reports("U")
    world.settle()
    assert world.runs("D", partition="model") == 2


@pytest.mark.promise("asset-upstreams")
def case_newest_beside_a_late_event(world: SimulatedWorld) -> None:
    """D uses the newest completion, and runs on that of one day. The next day is emitted; then another event of the
    first attempt is told: the next day stays the newest one."""
    waits(world, FIXED)
    world.by_hand("D")
    for partition in (PARTITION, NEXT_DAY):
        world.trigger("U", partition=partition)
        world.start("U", partition=partition)
    world.emit("U", ORDERS)
    late = world.emit("U", ORDERS, told=False)
    world.finish("U")
    world.settle()
    world.start("D", partition="model")
    world.settle()
    world.emit("U", ORDERS, partition=NEXT_DAY)
    world.finish("U", partition=NEXT_DAY)
    world.settle()
    late()
    world.settle()
    world.finish("D", partition="model")
    world.settle()
    assert world.requests("D", partition="model") == 2


@pytest.mark.promise("asset-upstreams")
def case_waiting_while_others_are_removed(world: SimulatedWorld) -> None:
    """D waits for a gate in one partition, for what was told first and counted last; another partition, which was
    counted before, is removed: D runs once the gate opens."""
    waits(world, [X, {"pipeline": "A", "trigger": False}])
    world.by_hand("A")
    world.delay_reports("U")
    emits(world, "U", partition=NEXT_DAY)
    world.settle()
    world.trigger("A")
    world.run("A")
    emits(world, "V")
    world.settle()
    world.deliver_reports("U")
    world.settle()
    world.retain(max_age="1 second", every="0.2 seconds", min_age="0 seconds")
    world.settle()
    assert world.record("D") is None
    world.trigger("A", partition=NEXT_DAY)
    world.run("A", partition=NEXT_DAY)
    world.settle()
    assert world.runs("D", partition=NEXT_DAY) == 1


@pytest.mark.promise("once")
def case_state_that_is_removed(world: SimulatedWorld) -> None:
    """The state of the asset is deleted; a new leader makes it again from the events: that is no other completion."""
    waits(world)
    emits(world, "U")
    world.settle()
    emits_again(world, "U")
    world.settle()
    assert world.runs("D") == 2
    world.write(Delete(world.keys.state(Target(asset_of("default", ORDERS), PARTITION))))
    world.settle()
    world.stop_watcher()
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_missed_while_no_watcher_ran(world: SimulatedWorld) -> None:
    """Three partitions are emitted while no watcher runs for ten minutes: with ``latest``, the newest is started."""
    days = [PARTITION, NEXT_DAY, "2026-11-22T00:00:00Z"]
    waits(world, catchup="latest")
    world.settle()
    world.stop_watcher()
    for day in days:
        emits(world, "U", partition=day)
    world.clock.seconds += 600
    world.start_watcher()
    world.settle()
    assert [world.runs("D", partition=day) for day in days] == [0, 0, 1]


@pytest.mark.promise("not-early")
def case_many_producers(world: SimulatedWorld) -> None:
    """Twenty pipelines emit the asset in a partition: each of them is waited for."""
    names = [f"U{number:02}" for number in range(20)]
    world.dependencies({**dict.fromkeys(names, "R"), "D": {"upstream": ["R", X]}})
    world.by_hand("R", *names)
    world.trigger("R")
    world.run("R")
    world.settle()
    for does in (world.start, lambda name: world.emit(name, ORDERS), world.finish):
        for name in names:
            does(name)
    world.settle()
    before = world.runs("D")
    world.rerun("R")
    world.settle()
    for name in names:
        world.start(name)
    for name in names[1:]:
        world.emit(name, ORDERS)
        world.finish(name)
    world.settle()
    assert world.runs("D") == before
    world.emit(names[0], ORDERS)
    world.finish(names[0])
    world.settle()
    assert world.runs("D") == before + 1


@pytest.mark.promise("asset-upstreams")
def case_attempt_between_two_others(world: SimulatedWorld) -> None:
    """While no watcher runs, U is cleared and emits, and is cleared again and emits nothing: D runs for the second
    attempt."""
    waits(world)
    emits(world, "U")
    world.settle()
    world.stop_watcher()
    emits_again(world, "U")
    is_silent(world, "U")
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_attempts_that_are_heard_of_together(world: SimulatedWorld) -> None:
    """The same under a watcher, which hears of both attempts only after their event."""
    waits(world)
    emits(world, "U")
    world.settle()
    world.delay_reports("U")
    emits_again(world, "U")
    world.settle()
    is_silent(world, "U")
    world.deliver_reports("U")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_runs_that_are_heard_of_together(world: SimulatedWorld) -> None:
    """An event waits for its run. That of another run of the partition is told together with it: D runs."""
    waits(world)
    world.delay_reports("U")
    emits(world, "U")
    world.settle()
    world.trigger("U", run_id="another")
    world.run("U")
    world.deliver_reports("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_two_dependencies_on_one_asset(world: SimulatedWorld) -> None:
    """D waits for one partition of an asset by two dependencies, of which one is newer than an event that is counted
    late: D runs once more, and not for ever."""
    world.dependencies({"D": {"upstream": X}})
    world.by_hand("U", "V")
    world.delay_reports("U")
    emits(world, "U")
    world.settle()
    world.dependencies({"D": {"upstream": {"any": [X, {**X, "partition": "start_of_day"}]}}})
    world.settle()
    emits(world, "V")
    world.settle()
    assert world.requests("D") == 1
    world.deliver_reports("U")
    world.settle()
    assert world.requests("D") == 2


@pytest.mark.promise("once")
def case_late_event_beside_many_partitions(world: SimulatedWorld) -> None:
    """D stands on the assets of forty partitions, more than a record names in full. A late event of an attempt that was
    used starts nothing."""
    keys = [f"k{number:02}" for number in range(40)]
    segments = {"mapper": "segments", "segments": keys, "downstream_key": "all"}
    world.dependencies({"D": {"upstream": {**X, "partition": segments}}})
    world.by_hand("U", "V")
    for name in ("U", "V"):
        world.trigger(name)
        world.start(name)
        for key in keys:
            world.emit(name, ORDERS, key=key)
    late = world.emit("U", ORDERS, key="k00", told=False)
    for name in ("U", "V"):
        world.finish(name)
    world.settle()
    assert world.runs("D", partition="all") == 1
    late()
    world.settle()
    assert world.runs("D", partition="all") == 1


@pytest.mark.promise("once")
def case_renewed_dependency_and_a_late_event(world: SimulatedWorld) -> None:
    """U and V emit; the dependency is taken out and put back, as a new one; a late event of V's attempt is told: D has
    run for that."""
    waits(world)
    emits(world, "U")
    world.trigger("V")
    world.start("V")
    world.emit("V", ORDERS)
    late = world.emit("V", ORDERS, told=False)
    world.finish("V")
    world.settle()
    before = world.runs("D")
    world.dependencies({"other": ["nothing"]})
    world.settle()
    world.dependencies({"other": ["nothing"], "D": {"upstream": X}})
    world.settle()
    late()
    world.settle()
    assert world.runs("D") == before


@pytest.mark.promise("once")
def case_more_emissions_than_are_kept(world: SimulatedWorld) -> None:
    """U emits one partition of the asset in more runs than are kept: each starts D, and at rest nothing is written."""
    waits(world)
    for number in range(70):
        day = f"p{number}"
        world.trigger("U", partition=day, run_id=day)
        world.start("U", partition=day, run_id=day)
        world.emit("U", ORDERS, partition=day, key="eu")
        world.finish("U", partition=day, run_id=day)
        world.settle()
    assert world.runs("D", partition="eu") == 70
    world.stop_watcher()
    world.start_watcher()
    world.settle()
    assert world.runs("D", partition="eu") == 70
    revision = world.store.list(world.keys.leader).revision
    world.settle()
    assert world.store.list(world.keys.leader).revision - revision < 20


def case_events_by_hand_at_one_moment(world: SimulatedWorld) -> None:
    """Two events that people emit at the same moment, by the clock, are two."""
    waits(world)
    world.by_hand("D")
    moment = world.now()
    world.now = lambda: moment  # type: ignore[method-assign]
    world.emit("U", ORDERS, key="eu", by_hand=True)
    del world.now
    world.settle()
    world.start("D", partition="eu")
    world.finish("D", partition="eu")
    world.settle()
    world.now = lambda: moment  # type: ignore[method-assign]
    world.emit("U", ORDERS, key="eu", by_hand=True)
    del world.now
    world.settle()
    assert world.requests("D", partition="eu") == 2


@pytest.mark.promise("asset-upstreams")
def case_many_emissions_with_long_names(world: SimulatedWorld) -> None:
    """Names of 250 characters: 80 runs emit one partition of the asset while no watcher runs. All of them start D once,
    and what is kept of them stays readable."""
    producer = "U" * 250
    waits(world)
    world.by_hand(producer)
    world.settle()
    world.stop_watcher()
    for number in range(80):
        name = f"{number:03}{'r' * 247}"
        world.trigger(producer, partition=name, run_id=name)
        world.start(producer, partition=name, run_id=name)
        world.emit(producer, ORDERS, partition=name, key="eu")
        world.finish(producer, partition=name, run_id=name)
    world.start_watcher()
    world.settle()
    assert world.runs("D", partition="eu") == 1
    found = world.store.get(world.keys.state(Target(asset_of("default", ORDERS), "eu")))
    assert found is not None
    assert isinstance(read_completion(found.value), AssetCompletion)
    world.settle()
    assert world.store.get(world.keys.state(Target(asset_of("default", ORDERS), "eu"))) == found


@pytest.mark.promise("asset-upstreams")
def case_listed_again_all_the_time(world: SimulatedWorld) -> None:
    """The watch begins anew every eight seconds. That U has emitted nothing is known ten seconds after its end all the
    same."""
    diamond(world)
    world.rerun("R")
    world.settle()
    world.run("U")
    for _ in range(5):
        lives(world, 8)
        assert world.watcher is not None
        world.watcher.list_again()
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_edited_all_the_time(world: SimulatedWorld) -> None:
    """The same where the asset of another pipeline comes and goes."""
    diamond(world)
    world.rerun("R")
    world.settle()
    world.run("U")
    graph = {"U": "R", "D": {"upstream": ["R", X]}}
    for number in range(6):
        other = {"E": {"upstream": {"asset": "s3://another", "environment": "default"}}}
        world.publish(graph | (other if number % 2 else {}))
        lives(world, 8)
    assert world.runs("D") == 2


@pytest.mark.promise("asset-upstreams")
def case_run_id_that_is_used_again(world: SimulatedWorld) -> None:
    """A run is deleted. While no watcher runs, another one gets its run_id, in a partition before: what that emits is
    in its own partition."""
    waits(world)
    emits(world, "U", partition=NEXT_DAY, run_id="manual")
    world.settle()
    world.delete_run("U", partition=NEXT_DAY)
    world.settle()
    world.stop_watcher()
    emits(world, "U", run_id="manual")
    world.start_watcher()
    world.settle()
    assert (world.runs("D", partition=NEXT_DAY), world.runs("D")) == (1, 1)


CASES: dict[str, AssetEmissionCase] = {name: case for name, case in globals().items() if name.startswith("case_")}
