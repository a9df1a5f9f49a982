"""Sensors that wait inside a run, as scripts: the rows of the table in ``docs/dependencies.md`` that are about them."""

from __future__ import annotations

import pytest

from coordinator.model.runstate import RunState, State
from tests.worlds.cases import Case
from tests.worlds.world import World


def _waiting_run(world: World, **dependencies: object) -> None:
    """D has the tasks sensor -> below, and runs; U and R are there."""
    world.dependencies({"X": ["U", "R"], **dependencies})
    world.has_tasks("D", before="sensor", sensor="below", below="")
    world.has_tasks("U", load="check", check="")
    world.by_hand("D", "U", "R", "X")
    world.trigger("D")
    world.start("D")
    world.task("D", "before", "success")
    world.task("D", "sensor", "deferred")
    world.settle()


def has_failed(world: World, name: str) -> bool:
    """Whether that is known of it."""
    state = world.state(name)
    return isinstance(state, RunState) and state.state is State.FAILED


def case_wait_passes_once_its_upstream_has_completed(world: World) -> None:
    _waiting_run(world)
    world.wait("D", "sensor", "U")
    world.settle()
    assert world.answer("D", "sensor") == "waiting"
    world.trigger("U")
    world.start("U")
    world.settle()
    assert world.answer("D", "sensor") == "waiting"
    world.finish("U")
    world.settle()
    assert world.answer("D", "sensor") == "passed"


def case_wait_passes_at_once_where_its_upstream_has_completed(world: World) -> None:
    _waiting_run(world)
    world.trigger("U")
    world.run("U")
    world.settle()
    world.wait("D", "sensor", "U")
    world.settle()
    assert world.answer("D", "sensor") == "passed"


@pytest.mark.promise("not-early")
def case_wait_for_a_pipeline_that_is_due_again(world: World) -> None:
    """R is cleared and ends; U, below it, has still to run again: the sensor does not take U's old completion."""
    _waiting_run(world, U="R")
    world.trigger("R")
    world.run("R")
    world.settle()
    world.run("U")
    world.settle()
    world.rerun("R")
    world.settle()
    world.wait("D", "sensor", "U")
    world.settle()
    assert world.answer("D", "sensor") == "waiting"
    world.run("U")
    world.settle()
    assert world.answer("D", "sensor") == "passed"


@pytest.mark.promise("not-early")
def case_wait_for_a_run_that_was_cleared_silently(world: World) -> None:
    """U has succeeded, and a person has cleared it, which nothing reports until it begins: a look shows it."""
    _waiting_run(world)
    world.trigger("U")
    world.run("U")
    world.settle()
    world.clear("U")
    world.wait("D", "sensor", "U")
    world.settle()
    assert world.answer("D", "sensor") == "waiting"
    world.run("U")
    world.settle()
    assert world.answer("D", "sensor") == "passed"


def case_wait_for_a_failure(world: World) -> None:
    """U fails: that lets a sensor pass that waits for it, and no other one."""
    _waiting_run(world)
    world.wait("D", "sensor", "U", on="failure")
    world.wait("D", "below", "U")
    world.trigger("U")
    world.run("U", "failed")
    world.settle()
    assert (world.answer("D", "sensor"), world.answer("D", "below")) == ("passed", "waiting")
    world.clear("U")
    world.run("U")
    world.settle()
    assert world.answer("D", "below") == "passed"


def case_wait_for_a_task(world: World) -> None:
    """The sensor passes once ``load`` has ended, while U goes on. No dependency names the task."""
    _waiting_run(world)
    world.wait("D", "sensor", "U", task="load")
    world.trigger("U")
    world.start("U")
    world.settle()
    assert world.answer("D", "sensor") == "waiting"
    world.task("U", "load", "success")
    world.settle()
    assert world.answer("D", "sensor") == "passed"


def case_wait_for_a_task_of_a_run_that_has_ended(world: World) -> None:
    """Nobody has asked about the task before."""
    _waiting_run(world)
    world.trigger("U")
    world.run("U")
    world.settle()
    world.wait("D", "sensor", "U", task="load")
    world.settle()
    assert world.answer("D", "sensor") == "passed"


def case_wait_for_a_task_in_no_environment_of_ours(world: World) -> None:
    """Nobody could ever tell what becomes of it."""
    _waiting_run(world)
    world.wait("D", "sensor", "elsewhere/U", task="load")
    world.settle()
    assert world.answer("D", "sensor") == "refused"


def case_wait_of_a_sensor_that_has_ended(world: World) -> None:
    """The sensor was marked as successful by hand: its wait goes."""
    _waiting_run(world)
    world.wait("D", "sensor", "U")
    world.settle()
    world.task("D", "sensor", "success")
    world.settle_until(lambda: world.answer("D", "sensor") is None, "the wait is removed")


def case_wait_of_a_sensor_that_was_cleared(world: World) -> None:
    """The wait of its earlier attempt goes; the sensor writes another one when it runs again."""
    _waiting_run(world)
    world.wait("D", "sensor", "U")
    world.settle()
    world.clear_tasks("D", "sensor")
    world.settle_until(lambda: world.answer("D", "sensor") is None, "the wait is removed")
    world.wait("D", "sensor", "U")
    world.trigger("U")
    world.run("U")
    world.settle()
    assert world.answer("D", "sensor") == "passed"


@pytest.mark.promise("following")
def case_wait_while_no_watcher_runs(world: World) -> None:
    """Nothing depends on having seen the sensor begin, or U end."""
    _waiting_run(world)
    world.stop_watcher()
    world.wait("D", "sensor", "U")
    world.trigger("U")
    world.run("U")
    world.start_watcher()
    world.settle()
    assert world.answer("D", "sensor") == "passed"


@pytest.mark.promise("following")
def case_wait_for_a_task_that_was_marked_by_hand(world: World) -> None:
    """``check``, below which nothing is, fails while U goes on. A person marks it as successful; U ends."""
    _waiting_run(world)
    world.wait("D", "sensor", "U", task="check")
    world.trigger("U")
    world.start("U")
    world.task("U", "load", "success")
    world.task("U", "check", "failed")
    world.settle()
    assert world.answer("D", "sensor") == "waiting"
    world.task("U", "check", "success")
    world.finish("U")
    world.settle_until(lambda: world.answer("D", "sensor") == "passed", "the sensor passes")


@pytest.mark.promise("following")
def case_wait_for_a_run_that_failed_silently(world: World) -> None:
    """Nothing reports for U, which the coordinator started. It fails, a person clears it, and it succeeds. No
    dependency names it."""
    world.silence("team_b")
    world.dependencies({"team_b/U": "R"})
    world.has_tasks("D", sensor="below", below="")
    world.by_hand("D", "R", "team_b/U")
    world.trigger("D")
    world.start("D")
    world.task("D", "sensor", "deferred")
    world.wait("D", "sensor", "team_b/U")
    world.trigger("R")
    world.run("R")
    world.settle()
    world.run("team_b/U", "failed")
    world.settle_until(lambda: has_failed(world, "team_b/U"), "the failure is known")
    world.stop_watcher()
    world.clear("team_b/U")
    world.run("team_b/U")
    world.start_watcher()
    world.settle_until(lambda: world.answer("D", "sensor") == "passed", "the sensor passes")


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = list(CASES)
