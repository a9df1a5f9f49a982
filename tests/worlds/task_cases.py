"""Dependencies on tasks, as scripts: the rows of the table in ``docs/dependencies.md`` that are about them."""

from __future__ import annotations

import pytest

from coordinator.model.runstate import RunState, State
from tests.worlds.cases import Case
from tests.worlds.world import World

LOAD = {"pipeline": "U", "task": "load"}


def _begun(world: World, *states: str | None, waits: object = None) -> None:
    """U has the tasks extract -> load -> check, D waits for ``load``, and U runs with ``load`` in these states."""
    world.dependencies({"D": {"upstream": LOAD if waits is None else waits}})
    world.has_tasks("U", extract="load", load="check", check="")
    world.by_hand("U")
    world.trigger("U")
    world.start("U")
    world.settle()
    assert world.runs("D") == 0
    if states:
        world.task("U", "load", *states)
        world.settle()


@pytest.mark.promise("not-early")
def case_task_before_the_run_has_ended(world: World) -> None:
    """D runs once ``load`` has ended, while U goes on; the end of U starts nothing."""
    _begun(world, "running")
    assert world.runs("D") == 0
    world.task("U", "load", "success")
    world.settle()
    assert world.runs("D") == 1
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("not-early")
def case_task_ended_before_its_run_was_cleared(world: World) -> None:
    """U is cleared: what ``load`` did before does not count, and D runs once more when it has ended again."""
    _begun(world, "success")
    world.finish("U")
    world.settle()
    world.clear("U")
    world.start("U")
    world.settle()
    assert world.runs("D") == 1
    world.task("U", "load", "success")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once")
def case_task_beside_a_clear_of_others(world: World) -> None:
    """``check`` alone is cleared: ``load`` stays completed, and D does not run again."""
    _begun(world, "success")
    world.finish("U")
    world.settle()
    world.clear_tasks("U", "check")
    world.start("U")
    world.settle()
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


def case_task_cleared_in_a_running_run(world: World) -> None:
    """``load`` is cleared while U runs, after D has used it: D runs again once it has ended again."""
    _begun(world, "success")
    assert world.runs("D") == 1
    world.clear_tasks("U", "load")
    world.settle()
    assert world.runs("D") == 1
    world.task("U", "load", "success")
    world.finish("U")
    world.settle()
    assert world.runs("D") == 2


def case_task_of_a_deleted_run(world: World) -> None:
    """U's run is deleted while ``load`` has not ended: that means "not yet"; another run counts."""
    _begun(world, "running")
    world.delete_run("U")
    world.settle()
    assert world.runs("D") == 0
    world.trigger("U")
    world.start("U")
    world.task("U", "load", "success")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("following")
def case_task_of_a_run_that_is_deleted_when_it_has_ended(world: World) -> None:
    """U ends and is deleted while no watcher runs, so that nobody ever knows of ``load``: D waits for it no more, and
    runs for R. Another run of U counts."""
    world.dependencies({"D": {"upstream": {"any": [LOAD, "R"]}}})
    world.has_tasks("U", extract="load", load="check", check="")
    world.by_hand("U")
    world.trigger("U")
    world.start("U")
    world.settle()
    world.stop_watcher()
    world.finish("U")
    world.delete_run("U")
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 0
    world.trigger("R")
    world.settle()
    assert world.runs("D") == 1
    world.trigger("U")
    world.run("U")
    world.settle()
    assert world.runs("D") == 2


def case_task_mapped(world: World) -> None:
    """``load`` is mapped: all of its instances must have ended, and one failure is a failure."""
    _begun(world, "success", "running")
    assert world.runs("D") == 0
    world.task("U", "load", "success", "failed")
    world.settle()
    assert world.runs("D") == 0
    world.clear_tasks("U", "load")
    world.task("U", "load", "success", "success")
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


def case_task_skipped(world: World) -> None:
    """``load`` is skipped: that is no success; it meets ``skipped`` and ``done``."""
    both = {"any": [{**LOAD, "on": "skipped"}, {**LOAD, "on": "failure"}]}
    _begun_beside(world, {"E": both, "F": {**LOAD, "on": "done"}})
    world.task("U", "load", "skipped")
    world.finish("U")
    world.settle()
    assert (world.runs("D"), world.runs("E"), world.runs("F")) == (0, 1, 1)


def case_task_upstream_failed(world: World) -> None:
    """``load`` never ran, because ``extract`` failed: that is a failure of ``load``."""
    _begun_beside(world, {"E": {**LOAD, "on": "failure"}})
    world.task("U", "extract", "failed")
    world.task("U", "load", "upstream_failed")
    world.finish("U", "failed")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (0, 1)


def case_task_succeeded_in_a_failed_run(world: World) -> None:
    """U fails after ``load``: D runs nevertheless."""
    _begun(world)
    world.task("U", "load", "success")
    world.finish("U", "failed")
    world.settle()
    assert world.runs("D") == 1


def case_task_that_the_dag_does_not_have(world: World) -> None:
    """The DAG has no ``load`` any more: D waits, and once it is deployed and the run cleared, D runs."""
    world.dependencies({"D": {"upstream": LOAD}})
    world.has_tasks("U", extract="")
    world.by_hand("U")
    world.trigger("U")
    world.run("U")
    world.settle()
    assert world.runs("D") == 0
    world.has_tasks("U", extract="load", load="")
    world.delete_run("U")
    world.trigger("U")
    world.run("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_task_or_its_run(world: World) -> None:
    """``any`` of U and ``load``: D waits for the run that is still coming, and runs once."""
    _begun(world, "success", waits={"any": ["U", LOAD]})
    assert world.runs("D") == 0
    world.finish("U")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_task_in_a_diamond(world: World) -> None:
    """R -> U, R -> X, D waits for ``load`` of U and for X: once in each wave."""
    world.dependencies({"U": "R", "X": "R", "D": {"upstream": [LOAD, "X"]}})
    world.has_tasks("U", extract="load", load="check", check="")
    world.first_run("R")
    assert world.runs("D") == 1
    world.by_hand("U")
    world.rerun("R")
    world.settle()
    assert world.runs("D") == 1
    world.start("U")
    world.settle()
    assert world.runs("D") == 1
    world.task("U", "load", "success")
    world.settle()
    assert world.runs("D") == 2
    world.finish("U")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("following")
def case_task_ended_while_no_watcher_ran(world: World) -> None:
    """Nothing depends on having seen the task end."""
    _begun(world)
    world.stop_watcher()
    world.task("U", "load", "success")
    world.finish("U")
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("not-early")
def case_task_of_a_run_that_is_due_again(world: World) -> None:
    """R is cleared and ends while U still runs: U will run again, so its ``load`` is not used."""
    world.dependencies({"U": "R", "D": {"upstream": LOAD}})
    world.has_tasks("U", extract="load", load="check", check="")
    world.by_hand("R", "U")
    world.trigger("R")
    world.run("R")
    world.settle()
    world.start("U")
    world.settle()
    world.rerun("R")
    world.settle()
    world.task("U", "load", "success")
    world.settle()
    assert world.runs("D") == 0
    world.finish("U")
    world.settle()
    assert world.runs("D") == 0
    world.start("U")
    world.task("U", "load", "success")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("not-early")
def case_task_of_a_run_that_is_stuck_afterwards(world: World) -> None:
    """R is set to failed while U still runs for its success: U runs again once R is repaired, so its ``load`` is not
    used, whether it ends before U or after it."""
    world.dependencies({"U": "R", "D": {"upstream": LOAD}})
    world.has_tasks("U", extract="load", load="check", check="")
    world.by_hand("R", "U")
    world.trigger("R")
    world.run("R")
    world.settle()
    world.start("U")
    world.settle()
    world.set_state("R", "failed")
    world.settle()
    world.task("U", "load", "success")
    world.settle()
    assert world.runs("D") == 0
    world.finish("U")
    world.settle()
    assert world.runs("D") == 0
    world.rerun("R")
    world.settle()
    world.start("U")
    world.task("U", "load", "success")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("not-for-the-past")
def case_task_of_the_past(world: World) -> None:
    """D begins to wait for ``load`` after U has run: that starts nothing. With R beside it, the past is met."""
    world.dependencies({"X": "U"})
    world.has_tasks("U", extract="load", load="")
    world.by_hand("U", "R")
    world.trigger("U")
    world.run("U")
    world.settle()
    world.dependencies({"X": "U", "D": {"upstream": LOAD}, "E": {"upstream": ["R", LOAD]}})
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (0, 0)
    world.trigger("R")
    world.run("R")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (0, 1)


def case_task_that_had_ended_when_its_dependency_was_published(world: World) -> None:
    """``load`` has ended, and U's run has not, when D begins to wait for ``load``: it counts as new."""
    world.dependencies({"X": "U"})
    world.has_tasks("U", extract="load", load="check", check="")
    world.by_hand("U")
    world.trigger("U")
    world.start("U")
    world.task("U", "load", "success")
    world.settle()
    world.dependencies({"X": "U", "D": {"upstream": LOAD}})
    world.settle()
    assert (world.runs("D"), world.runs("X")) == (1, 0)
    world.finish("U")
    world.settle()
    assert (world.runs("D"), world.runs("X")) == (1, 1)


def case_task_while_its_environment_is_away(world: World) -> None:
    """What became of the task cannot be seen: D waits until it can."""
    world.dependencies({"D": {"upstream": {"pipeline": "team_b/U", "task": "load"}}})
    world.has_tasks("team_b/U", load="check", check="")
    world.by_hand("team_b/U")
    world.trigger("team_b/U")
    world.start("team_b/U")
    world.settle()
    world.down("team_b")
    world.task("team_b/U", "load", "success")
    world.settle()
    assert world.runs("D") == 0
    world.up("team_b")
    world.settle()
    assert world.runs("D") == 1
    state = world.state("team_b/U")
    assert isinstance(state, RunState)
    assert state.state is State.RUNNING


@pytest.mark.promise("following")
def case_task_marked_by_hand_after_its_run(world: World) -> None:
    """``load`` failed, and so did U. A person marks ``load`` alone as successful: it keeps its id, and U's run is not
    queued again."""
    _begun(world, "failed")
    world.finish("U", "failed")
    world.settle()
    assert world.runs("D") == 0
    world.task("U", "load", "success")
    world.settle_until(lambda: world.runs("D") == 1, "D runs")


@pytest.mark.promise("following")
def case_task_marked_by_hand_while_no_watcher_ran(world: World) -> None:
    """As before, and U is set to success, too; E waits for the whole of U."""
    world.dependencies({"D": {"upstream": LOAD}, "E": "U"})
    world.has_tasks("U", extract="load", load="")
    world.by_hand("U")
    world.trigger("U")
    world.start("U")
    world.task("U", "load", "failed")
    world.finish("U", "failed")
    world.settle()
    world.stop_watcher()
    world.task("U", "load", "success")
    world.set_state("U", "success")
    world.start_watcher()
    world.settle_until(lambda: world.runs("D") == 1, "D runs")
    assert world.runs("E") == 1


@pytest.mark.promise("following")
def case_task_marked_as_failed_while_its_run_goes_on(world: World) -> None:
    """``load`` succeeded, and D has run. A person marks it as failed, and U ends: E, which waits for the failure,
    runs."""
    _begun_beside(world, {"E": {**LOAD, "on": "failure"}})
    world.task("U", "load", "success")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (1, 0)
    world.task("U", "load", "failed")
    world.finish("U", "failed")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (1, 1)


def case_task_of_a_run_that_is_deleted_after_it_was_used(world: World) -> None:
    """U ends and is deleted while no watcher runs, after ``load`` was seen to succeed: that success stays."""
    _begun(world, waits=[LOAD, "R"])
    world.task("U", "load", "success")
    world.settle()
    world.stop_watcher()
    world.finish("U")
    world.delete_run("U")
    world.start_watcher()
    world.settle()
    world.trigger("R")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("following")
def case_task_failed_silently(world: World) -> None:
    """Nothing reports for U. Its ``load`` fails, a person clears U, and it succeeds: D, which waits for ``load``
    alone, runs."""
    world.silence("team_b")
    world.dependencies({"team_b/U": "R", "D": {"upstream": {"pipeline": "team_b/U", "task": "load"}}})
    world.has_tasks("team_b/U", load="")
    world.by_hand("R", "team_b/U")
    world.trigger("R")
    world.run("R")
    world.settle()
    world.start("team_b/U")
    world.task("team_b/U", "load", "failed")
    world.finish("team_b/U", "failed")
    world.settle()
    assert world.runs("D") == 0
    world.clear("team_b/U")
    world.start("team_b/U")
    world.task("team_b/U", "load", "success")
    world.finish("team_b/U")
    world.settle_until(lambda: world.runs("D") == 1, "D runs")


def _begun_beside(world: World, others: dict[str, object]) -> None:
    world.dependencies({"D": {"upstream": LOAD}, **{name: {"upstream": one} for name, one in others.items()}})
    world.has_tasks("U", extract="load", load="check", check="")
    world.by_hand("U")
    world.trigger("U")
    world.start("U")
    world.settle()


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

NEEDS_REPORTS = {"case_task_of_a_run_that_is_deleted_after_it_was_used"}
"""Played in memory only: where nothing reports, that end is never known; Airflow 2 gives task instances no ids, so that
what was seen before the end does not count."""

ON_REAL_ETCD = [name for name in CASES if name not in NEEDS_REPORTS]
