"""Sensors that are cleared when what they waited for completes again (``rerun="clear"``), as scripts."""

from __future__ import annotations

import pytest

from tests.worlds.cases import Case
from tests.worlds.wait_cases import has_failed
from tests.worlds.world import World

BEFORE = "2026-11-19T00:00:00Z"


def with_sensor(world: World, **dependencies: object) -> None:
    """D has the tasks before -> sensor -> below, and U and D have run: the sensor waited for U."""
    world.dependencies({"X": ["U", "R"], **dependencies})
    _d_has_a_sensor(world)
    world.by_hand("U", "R")
    world.trigger("R")
    world.run("R")
    world.settle()
    if "U" not in dependencies:
        world.trigger("U")
    world.run("U")
    world.settle()
    world.trigger("D")
    _d_runs(world)
    world.settle()


def with_deferred_sensor(world: World) -> None:
    """A run of D goes on, whose sensor is deferred, and has not written its wait yet; X waits for U."""
    world.dependencies({"X": "U"})
    world.has_tasks("D", sensor="below", below="")
    world.by_hand("D", "U")
    world.trigger("D")
    world.start("D")
    world.task("D", "sensor", "deferred")
    world.settle()


def _d_has_a_sensor(world: World) -> None:
    world.has_tasks("D", before="sensor", sensor="below", below="")
    world.by_hand("D")


def _d_runs(world: World, upstream: str = "U") -> None:
    """The run of D, which was created or cleared."""
    world.start("D")
    world.task("D", "before", "success")
    world.passes("D", "sensor", upstream)
    world.finish("D")


@pytest.mark.promise("once")
def case_sensor_is_cleared_once_with_what_is_below_it(world: World) -> None:
    """U is cleared, and succeeds: the sensor and what is below it run again, once; what is above it does not."""
    with_sensor(world)
    before, sensor, below = (world.instances("D", one) for one in ("before", "sensor", "below"))
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 1
    assert world.instances("D", "before") == before
    assert world.instances("D", "sensor") != sensor
    assert world.instances("D", "below") != below
    _d_runs(world)
    world.settle()
    assert (world.requests("D"), world.runs("D"), world.answer("D", "sensor")) == (1, 2, "passed")


def case_sensor_that_ignores_is_not_cleared(world: World) -> None:
    """The sensor says ``rerun="ignore"``, as is the default."""
    world.dependencies({"X": "U"})
    _d_has_a_sensor(world)
    world.by_hand("U")
    world.trigger("U")
    world.run("U")
    world.trigger("D")
    world.start("D")
    world.passes("D", "sensor", "U", rerun="ignore")
    world.finish("D")
    world.settle()
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 0


def case_sensor_where_nobody_follows(world: World) -> None:
    """No dependency names U or D."""
    world.dependencies({"X": "R"})
    _d_has_a_sensor(world)
    world.by_hand("U")
    world.trigger("U")
    world.run("U")
    world.trigger("D")
    _d_runs(world)
    world.settle()
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 1
    _d_runs(world)
    world.settle()
    assert world.requests("D") == 1


@pytest.mark.promise("once")
def case_sensor_below_what_its_downstream_needs(world: World) -> None:
    """R -> U, a sensor of D waits for U, D -> E, R -> E. R is cleared: E once, after U and D."""
    with_sensor(world, U="R", E=["D", "R"])
    assert world.runs("E") == 1
    world.rerun("R")
    world.settle()
    assert world.runs("E") == 1
    world.run("U")
    world.settle()
    assert (world.requests("D"), world.runs("E")) == (1, 1)
    _d_runs(world)
    world.settle()
    assert (world.requests("D"), world.runs("E")) == (1, 2)


@pytest.mark.promise("once")
def case_two_sensors_are_cleared_together(world: World) -> None:
    """R -> U, R -> V; sensors of D wait for U and V, and their branches join: one clear, once both have completed."""
    world.dependencies({"U": "R", "V": "R"})
    world.has_tasks("D", first="join", second="join", join="")
    world.by_hand("R", "U", "V", "D")
    world.trigger("R")
    world.run("R")
    world.settle()
    world.run("U")
    world.run("V")
    world.settle()
    world.trigger("D")
    world.start("D")
    world.passes("D", "first", "U")
    world.passes("D", "second", "V")
    world.finish("D")
    world.settle()
    join = world.instances("D", "join")
    world.rerun("R")
    world.settle()
    world.run("V")
    world.settle()
    assert world.requests("D") == 0
    world.run("U")
    world.settle()
    assert world.requests("D") == 1
    assert world.instances("D", "join") != join
    world.start("D")
    world.passes("D", "first", "U")
    world.passes("D", "second", "V")
    world.finish("D")
    world.settle()
    assert (world.requests("D"), world.runs("D")) == (1, 2)


@pytest.mark.promise("once")
def case_sensor_on_the_upstream_of_a_dependency(world: World) -> None:
    """D depends on U, and a sensor of it waits for U, too: U's completion starts the whole of D, once."""
    world.dependencies({"D": "U"})
    _d_has_a_sensor(world)
    world.by_hand("U")
    world.trigger("U")
    world.run("U")
    world.settle()
    _d_runs(world)
    world.settle()
    before = world.instances("D", "before")
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 2
    assert world.instances("D", "before") != before
    _d_runs(world)
    world.settle()
    assert (world.requests("D"), world.runs("D")) == (2, 2)


def a_loop(world: World) -> None:
    """A sensor of A waits for B's run, one of B for A's. Both have passed; B was cleared since."""
    world.dependencies({"X": ["A", "B"]})
    for name in ("A", "B"):
        world.has_tasks(name, sensor="below", below="")
    world.by_hand("A", "B")
    world.trigger("B")
    world.start("B")
    world.task("B", "sensor", "success")
    world.finish("B")
    world.trigger("A")
    world.start("A")
    world.passes("A", "sensor", "B")
    world.finish("A")
    world.settle()
    world.clear("B")
    world.start("B")
    world.passes("B", "sensor", "A")
    world.finish("B")
    world.settle()


def case_sensors_that_wait_for_each_others_runs(world: World) -> None:
    """A sensor of A waits for B's run, one of B for A's: neither is cleared without a person, who is told of it."""
    a_loop(world)
    assert (world.requests("A"), world.requests("B")) == (0, 0)
    world.order("A", "release")
    world.settle()
    assert (world.requests("A"), world.requests("B")) == (1, 0)
    world.start("A")
    world.passes("A", "sensor", "B")
    world.finish("A")
    world.settle()
    assert (world.requests("A"), world.requests("B")) == (1, 0)


@pytest.mark.promise("once")
def case_sensors_that_wait_for_each_others_tasks(world: World) -> None:
    """A: a1 -> sa -> a2 and B: b1 -> sb -> b2; sa waits for b1, sb for a2. A clear of b1 alone lets sa and a2 run
    again, and then sb and b2, each once."""
    world.dependencies({"X": ["A", "B"]})
    world.has_tasks("A", a1="sa", sa="a2", a2="")
    world.has_tasks("B", b1="sb", sb="b2", b2="")
    world.by_hand("A", "B")
    world.trigger("A")
    world.trigger("B")
    world.start("A")
    world.start("B")
    world.task("A", "a1", "success")
    world.task("B", "b1", "success")
    world.passes("A", "sa", "B", task="b1")
    world.task("A", "a2", "success")
    world.passes("B", "sb", "A", task="a2")
    world.finish("A")
    world.finish("B")
    world.settle()
    assert (world.requests("A"), world.requests("B")) == (0, 0)
    a1, a2 = world.instances("A", "a1"), world.instances("A", "a2")
    world.clear_tasks("B", "b1")  # and sb, and b2
    world.start("B")
    world.task("B", "b1", "success")
    world.settle()
    assert (world.requests("A"), world.requests("B")) == (1, 0)
    assert world.instances("A", "a1") == a1
    assert world.instances("A", "a2") != a2
    world.start("A")
    world.passes("A", "sa", "B", task="b1")
    world.task("A", "a2", "success")
    world.passes("B", "sb", "A", task="a2")
    world.finish("A")
    world.finish("B")
    world.settle()
    assert (world.requests("A"), world.requests("B")) == (1, 0)


def case_mapped_sensors_are_cleared_together(world: World) -> None:
    """The sensor is mapped; each instance waits for another pipeline."""
    world.dependencies({"X": ["U", "V"]})
    _d_has_a_sensor(world)
    world.by_hand("U", "V")
    for name in ("U", "V", "D"):
        world.trigger(name)
    world.run("U")
    world.run("V")
    world.start("D")
    world.task("D", "sensor", "deferred", "deferred")
    world.wait("D", "sensor", "U", rerun="clear", index=0)
    world.wait("D", "sensor", "V", rerun="clear", index=1)
    world.settle()
    assert [world.answer("D", "sensor", index=one) for one in (0, 1)] == ["passed", "passed"]
    world.task("D", "sensor", "success", "success")
    world.finish("D")
    world.settle()
    sensors = world.instances("D", "sensor")
    world.rerun("V")
    world.settle()
    assert world.requests("D") == 1
    assert set(world.instances("D", "sensor")).isdisjoint(sensors)


def case_sensor_of_another_run_in_the_partition(world: World) -> None:
    """A newer run of D has replaced the one whose sensor waited: that one is not cleared any more."""
    with_sensor(world)
    world.trigger("D", run_id="by_hand")
    world.start("D", run_id="by_hand")
    world.finish("D", run_id="by_hand")
    world.settle()
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 0


def case_sensor_that_was_cleared_by_hand(world: World) -> None:
    """A person clears D with its sensor, which is skipped this time: its earlier wait says nothing any more."""
    with_sensor(world)
    world.clear("D")
    world.start("D")
    world.task("D", "sensor", "skipped")
    world.finish("D")
    world.settle()
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 0
    assert world.answer("D", "sensor") is None


def case_sensor_of_a_run_that_was_deleted(world: World) -> None:
    """Nothing is created in its place."""
    with_sensor(world)
    world.delete_run("D")
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 0


def case_sensor_whose_upstream_fails_anew(world: World) -> None:
    """D is out of date, and waits until U is repaired; so does E."""
    with_sensor(world, E=["D", "U"])
    assert world.runs("E") == 1
    world.rerun("U", "failed")
    world.settle()
    assert (world.requests("D"), world.runs("E")) == (0, 1)
    world.rerun("U")
    world.settle()
    assert (world.requests("D"), world.runs("E")) == (1, 1)
    _d_runs(world)
    world.settle()
    assert (world.requests("D"), world.runs("E")) == (1, 2)


def case_sensor_of_a_run_that_goes_on(world: World) -> None:
    """U completes again while D still runs, below its sensor: D is cleared once it has ended."""
    with_sensor(world)
    world.clear("D")
    world.start("D")
    world.task("D", "before", "success")
    world.passes("D", "sensor", "U")
    world.settle()
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 0
    world.finish("D")
    world.settle()
    assert world.requests("D") == 1


def case_sensor_of_a_held_pipeline(world: World) -> None:
    with_sensor(world)
    world.hold("D")
    world.settle()
    world.rerun("U")
    world.settle()
    assert world.requests("D") == 0
    world.release("D")
    world.settle()
    assert world.requests("D") == 1


def case_sensor_on_another_partition(world: World) -> None:
    """The sensor of D waits for U of the day before."""
    world.dependencies({"X": "U"})
    _d_has_a_sensor(world)
    world.comes("U", BEFORE)
    world.trigger("D")
    _d_runs(world, f"U@{BEFORE}")
    world.settle()
    world.rerun("U", partition=BEFORE)
    world.settle()
    assert (world.requests("D"), world.requests("D", partition=BEFORE)) == (1, 0)


def case_sensor_on_the_day_before_of_its_own_pipeline(world: World) -> None:
    """The sensor of D waits for D of the day before, as the rows of a table that is added to: that is no loop."""
    world.dependencies({"X": "D"})
    _d_has_a_sensor(world)
    world.trigger("D", partition=BEFORE)
    world.run("D", partition=BEFORE)
    world.trigger("D")
    _d_runs(world, f"D@{BEFORE}")
    world.settle()
    world.rerun("D", partition=BEFORE)
    world.settle()
    assert (world.requests("D"), world.requests("D", partition=BEFORE)) == (1, 0)


@pytest.mark.promise("kill")
def case_sensor_and_a_watcher_that_is_killed_before_its_request(world: World) -> None:
    with_sensor(world)
    world.kill_before_request("D")
    world.rerun("U")
    world.settle_until(lambda: world.record("D") is not None, "the intent is there")
    world.settle()
    world.start_watcher()
    world.settle()
    assert world.requests("D") == 1
    _d_runs(world)
    world.settle()
    assert world.requests("D") == 1


def case_sensor_while_no_watcher_runs(world: World) -> None:
    with_sensor(world)
    world.stop_watcher()
    world.rerun("U")
    world.start_watcher()
    world.settle()
    assert world.requests("D") == 1


@pytest.mark.promise("following")
def case_sensor_behind_a_run_that_failed_silently(world: World) -> None:
    """Nothing reports for U, which fails, is cleared by a person, and succeeds, while another watcher takes over: D's
    sensor, beside which no dependency names U, is cleared, and E below D runs again."""
    world.silence("team_b")
    world.dependencies({"team_b/U": "R", "E": ["D", "R"]})
    _d_has_a_sensor(world)
    world.by_hand("R", "team_b/U")
    world.trigger("R")
    world.run("R")
    world.settle()
    world.run("team_b/U")
    world.settle()
    world.trigger("D")
    _d_runs(world, "team_b/U")
    world.settle()
    assert world.runs("E") == 1
    world.rerun("R")
    world.settle()
    world.run("team_b/U", "failed")
    world.settle_until(lambda: has_failed(world, "team_b/U"), "the failure is known")
    world.stop_watcher()
    world.clear("team_b/U")
    world.run("team_b/U")
    world.start_watcher()
    world.settle_until(lambda: world.requests("D") == 1, "D's sensor is cleared")
    _d_runs(world, "team_b/U")
    world.settle()
    assert world.runs("E") == 2


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = list(CASES)
