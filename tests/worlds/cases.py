"""The cases that shaped the rule, as scripts. Each says what happens, and asserts what must be seen.

The numbers are those of the design's list of cases. ``ON_REAL_ETCD`` are the ones that are also played on a real
etcd with HTTP servers in place of Airflow.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Status
from tests.worlds.world import PARTITION, World

NEXT = "2026-11-21T00:00:00Z"

Case = Callable[[World], None]


@pytest.mark.promise("not-early")
def case_01_unequal_ends(world: World) -> None:
    """R -> A -> D, X -> D. R and X are cleared by hand and both run; X ends first: D runs once, after A."""
    world.dependencies({"A": "R", "D": ["A", "X"]})
    world.first_run("R", "X")
    assert world.runs("D") == 1
    world.clear("R")
    world.clear("X")
    world.start("R")
    world.start("X")
    world.finish("X")
    world.settle()
    assert world.runs("D") == 1
    world.by_hand("A")
    world.finish("R")
    world.settle()
    assert world.runs("D") == 1
    world.run("A")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("not-early")
def case_02_environment_away(world: World) -> None:
    """R -> A -> D, R -> D. R is cleared and succeeds while A's environment is down: D waits for A; once in all."""
    world.dependencies({"team_b/A": "R", "D": ["team_b/A", "R"]})
    world.first_run("R")
    assert world.runs("D") == 1
    world.down("team_b")
    world.rerun("R")
    world.settle()
    assert world.runs("D") == 1
    world.up("team_b")
    world.settle()
    assert (world.runs("team_b/A"), world.runs("D")) == (2, 2)


@pytest.mark.promise("not-early")
def case_03_failure_on_the_way(world: World) -> None:
    """R -> A -> B -> D, R -> D. R succeeds, A fails; later A is cleared and succeeds: D once in all, after B."""
    world.dependencies({"A": "R", "B": "A", "D": ["B", "R"]})
    world.first_run("R")
    world.by_hand("A", "B")
    world.rerun("R")
    world.settle()
    world.run("A", "failed")
    world.settle()
    assert (world.runs("B"), world.runs("D")) == (1, 1)
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 1
    world.run("B")
    world.settle()
    assert (world.runs("B"), world.runs("D")) == (2, 2)


def case_04_one_that_ignores(world: World) -> None:
    """R -> A (rerun ``ignore``) -> D, R -> D. R is cleared: A does not run; D runs once."""
    world.dependencies({"A": {"upstream": "R", "rerun": "ignore"}, "D": ["A", "R"]})
    world.first_run("R")
    for wave in (2, 3):
        world.rerun("R")
        world.settle()
        assert (world.runs("A"), world.runs("D")) == (1, wave)
    # It has consumed what it ignored: clearing it again from now on does not make up for the past.
    world.dependencies({"A": "R", "D": ["A", "R"]})
    world.settle()
    assert (world.runs("A"), world.runs("D")) == (1, 3)
    world.rerun("R")
    world.settle()
    assert (world.runs("A"), world.runs("D")) == (2, 4)


def case_05_branch_without_news(world: World) -> None:
    """D = any(all(A, B), C), has run for C with B failed. A is cleared and succeeds: D does not run."""
    _any_of_all(world)
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_06_unused_news_does_not_unsettle(world: World) -> None:
    """As in `case_05_branch_without_news`, and E = all(D, X). Then X is cleared: E runs once."""
    _any_of_all(world)
    assert world.runs("E") == 1
    world.rerun("A")
    world.rerun("X")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (1, 2)


def _any_of_all(world: World) -> None:
    world.dependencies({"D": {"upstream": {"any": [["A", "B"], "C"]}}, "E": ["D", "X"]})
    world.by_hand("A", "B", "C", "X")
    for name, state in (("B", "failed"), ("A", "success"), ("C", "success"), ("X", "success")):
        world.trigger(name)
        world.run(name, state)
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("not-early")
def case_07_any_waits_for_what_comes(world: World) -> None:
    """R -> A, R -> B, D = any(A, B). R is cleared; A ends well before B: D runs once, after both."""
    world.dependencies({"A": "R", "B": "R", "D": {"upstream": {"any": ["A", "B"]}}})
    world.first_run("R")
    assert world.runs("D") == 1
    world.by_hand("A", "B")
    world.rerun("R")
    world.settle()
    world.run("A")
    world.settle()
    assert world.runs("D") == 1
    world.run("B")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("not-for-the-past")
def case_08_removed_and_added_again_later(world: World) -> None:
    """D = all(A, B). The dependency on A is removed; A is rerun; it is added again, too late to resume: nothing for
    the past."""
    world.resume_within("0 seconds")
    world.dependencies({"D": ["A", "B"]})
    world.first_run("A", "B")
    world.dependencies({"D": ["B"]})
    world.rerun("A")
    world.settle()
    world.dependencies({"D": ["A", "B"]})
    world.settle()
    assert world.runs("D") == 1
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 2


def case_08_taken_out_and_put_back_in_time(world: World) -> None:
    """D = all(A, B). The dependency on A is taken out; A is rerun; it is put back: D runs once for that, and for
    nothing that it had consumed before. Taken out and put back with nothing in between: nothing runs."""
    world.dependencies({"D": ["A", "B"]})
    world.first_run("A", "B")
    world.dependencies({"D": ["B"]})
    world.rerun("B")
    world.settle()
    assert world.runs("D") == 2
    world.dependencies({"D": ["A", "B"]})
    world.settle()
    assert world.runs("D") == 2
    world.dependencies({"D": ["B"]})
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 2
    world.dependencies({"D": ["A", "B"]})
    world.settle()
    assert world.runs("D") == 3


def case_08_taken_out_while_it_waits(world: World) -> None:
    """D = all(A, B), E -> D. A has completed and B has not, and in another wave D is due; D's entry is taken out and
    put back, twice: nothing of that is lost, and nothing runs twice."""
    world.dependencies({"D": ["A", "B"], "E": "D"})
    world.first_run("A")
    for _ in range(2):
        world.dependencies({"E": "D"})
        world.dependencies({"D": ["A", "B"], "E": "D"})
    world.first_run("B")
    assert (world.runs("D"), world.runs("E")) == (1, 1)
    world.hold("D")
    world.rerun("A")
    world.settle()
    world.dependencies({})
    world.release("D")
    world.settle()
    assert world.runs("D") == 1
    world.dependencies({"D": ["A", "B"], "E": "D"})
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (2, 2)


def case_08_a_wrong_name_for_an_hour(world: World) -> None:
    """A -> D. A's name is misspelt; A completes; the name is corrected: D runs for what A completed meanwhile, once."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.dependencies({"D": "AA"})
    world.rerun("A")
    world.comes("A", NEXT)
    world.settle()
    assert (world.runs("D"), world.runs("D", partition=NEXT)) == (1, 0)
    world.dependencies({"D": "A"})
    world.settle()
    assert (world.runs("D"), world.runs("D", partition=NEXT)) == (2, 1)


@pytest.mark.promise("not-for-the-past")
def case_09_same_document_again(world: World) -> None:
    """D = all(A, B). A and B succeed while no watcher runs; the same document is published again: D runs once."""
    world.dependencies({"D": ["A", "B"]})
    world.stop_watcher()
    world.by_hand("A", "B")
    for name in ("A", "B"):
        world.trigger(name)
        world.run(name)
    world.dependencies({"D": ["A", "B"]})
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("late-reports")
def case_10_success_before_running(world: World) -> None:
    """A's ``success`` arrives before its ``running``: D runs once; A's state stays ``success``."""
    world.dependencies({"D": "A"})
    world.by_hand("A")
    world.trigger("A")
    world.delay_reports("A")
    world.start("A")
    late = world.take_delayed("A")
    world.deliver_reports("A")
    world.finish("A")
    world.settle()
    late()
    world.settle()
    state = world.state("A")
    assert isinstance(state, RunState)
    assert state.state is State.SUCCESS
    assert world.runs("D") == 1


@pytest.mark.promise("late-reports")
def case_11_late_end_of_an_older_attempt(world: World) -> None:
    """R -> A -> D, R -> D. A was cleared by hand, its reports delayed; the coordinator clears A for R; now the
    delayed success arrives: D waits for A's newest attempt; once in all."""
    world.dependencies({"A": "R", "D": ["A", "R"]})
    world.first_run("R")
    world.by_hand("A")
    world.delay_reports("A")
    world.rerun("A")
    late = world.take_delayed("A")
    world.deliver_reports("A")
    world.rerun("R")
    world.settle()
    assert world.requests("A") == 2
    late()
    world.settle()
    assert world.runs("D") == 1
    world.run("A")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("kill")
def case_12_killed_between_intent_and_request(world: World) -> None:
    """A -> D. D was cleared by hand, its reports delayed; the coordinator is killed between intent and request:
    D still gets an attempt queued after A's end."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.by_hand("D")
    world.delay_reports("D")
    world.rerun("D")
    world.kill_before_request("D")
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (2, 1)
    world.start_watcher()
    world.settle()
    world.run("D")
    world.deliver_reports("D")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (3, 2)


def case_13_another_life(world: World) -> None:
    """A -> D. Record and states are gone from etcd; the run is still in Airflow. A is cleared: D runs, in it."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.delete_record("D")
    world.delete_state("D")
    world.delete_state("A")
    world.settle()
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 2
    record = world.record("D")
    assert record is not None
    assert record.run_id == "coordinator__2026-11-20T00:00:00Z__1"


def case_14_another_run_in_a_dated_partition(world: World) -> None:
    """D has rerun ``new_run`` in a dated partition. A is cleared: D has two runs; the second has no logical date and
    the same partition."""
    world.dependencies({"D": {"upstream": "A", "rerun": "new_run"}, "E": "D"})
    world.first_run("A")
    world.rerun("A")
    world.settle()
    first, second = world.all_runs("D")
    assert (first.run_id, second.run_id) == (f"coordinator__{PARTITION}__1", f"coordinator__{PARTITION}__2")
    assert (first.logical_date is None, second.logical_date is None) == (False, True)
    assert (world.runs("D"), world.runs("E")) == (2, 2)


def case_new_run_beside_a_persons(world: World) -> None:
    """A -> D with rerun ``new_run``; a person's run stands on the logical date: ours runs beside it, once."""
    world.dependencies({"D": {"upstream": "A", "rerun": "new_run"}})
    world.by_hand("D", "A")
    world.trigger("D")
    world.run("D")
    world.by_itself("D")
    world.trigger("A")
    world.run("A")
    world.settle()
    persons, ours = world.all_runs("D")
    assert (persons.logical_date is None, ours.logical_date is None) == (False, True)
    assert world.runs("D") == 2


@pytest.mark.promise("following")
def case_15_never_reports(world: World) -> None:
    """D's environment never reports. A is cleared, twice: D has been started three times in all."""
    world.dependencies({"team_b/D": "A", "E": "team_b/D"})
    world.silence("team_b")
    world.first_run("A")
    for _ in range(2):
        world.rerun("A")
        world.settle()
    assert (world.runs("team_b/D"), world.runs("E")) == (3, 3)


@pytest.mark.promise("not-early", "kill")
def case_16_upstream_reruns_meanwhile(world: World) -> None:
    """D's environment goes down after the intent; meanwhile A is cleared and runs; it comes back: D does not
    start while A runs; once in all, after A."""
    world.dependencies({"team_b/D": "A"})
    world.first_run("A")
    world.kill_before_request("team_b/D")
    world.rerun("A")
    world.settle()
    world.down("team_b")
    world.start_watcher()
    world.settle()
    record = world.record("team_b/D")
    assert record is not None
    assert record.status is Status.INTENT
    world.clear("A")
    world.start("A")
    world.settle()
    world.up("team_b")
    world.settle()
    assert world.runs("team_b/D") == 1
    world.finish("A")
    world.settle()
    assert world.runs("team_b/D") == 2


def case_16_many_wait_for_the_same_environment(world: World) -> None:
    """A -> D0 ... D11, all in one environment that goes down before the first request: so do those that have to wait
    for others to be tried first. A is cleared and runs; it comes back: none of them starts while A runs; each once."""
    names = [f"team_b/D{number}" for number in range(12)]
    world.dependencies(dict.fromkeys(names, "A"))
    world.by_hand("A")
    world.trigger("A")
    world.down("team_b")
    world.run("A")
    world.settle()
    world.clear("A")
    world.start("A")
    world.settle()
    world.up("team_b")
    world.settle()
    assert [world.runs(name) for name in names] == [0] * 12
    world.finish("A")
    world.settle()
    assert [world.runs(name) for name in names] == [1] * 12


@pytest.mark.promise("leader-only")
def case_17_frozen_leader(world: World) -> None:
    """The leader is frozen between intent and request for longer than its lease; its successor clears D; the old
    leader wakes: D was cleared once."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.freeze_before_request("D")
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 1
    world.start_watcher()
    world.settle()
    assert world.runs("D") == 2
    world.thaw()
    world.settle()
    assert world.runs("D") == 2


def case_18_state_key_deleted(world: World) -> None:
    """D's state key is deleted after its end. Then A is cleared: D runs once."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.delete_state("D")
    world.settle()
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("not-early")
def case_19_silent_clear(world: World) -> None:
    """D = all(A, B). Both are cleared together; A runs at once, B waits in the queue, unreported: D once, after B."""
    world.dependencies({"D": ["A", "B"]})
    world.first_run("A", "B")
    world.pass_time()
    world.clear("B")
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 1
    world.run("B")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once")
def case_21_set_by_hand_and_back(world: World) -> None:
    """A is set by hand to failed, then to success again, same attempt: D does not run."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.set_state("A", "failed")
    world.settle()
    world.set_state("A", "success")
    world.settle()
    assert world.runs("D") == 1


@pytest.mark.promise("once")
def case_22_late_data(world: World) -> None:
    """D = at_least 2 of 3. Two arrive, D runs, then the third: D runs again, once."""
    world.dependencies({"D": {"upstream": {"at_least": 2, "of": ["A", "B", "C"]}}})
    world.first_run("A", "B")
    assert world.runs("D") == 1
    world.first_run("C")
    assert world.runs("D") == 2


@pytest.mark.promise("once")
def case_23_two_runs_in_one_partition(world: World) -> None:
    """A is also triggered by hand in the same partition while its scheduled run is running; the older one ends
    last: D runs once."""
    world.dependencies({"D": "A"})
    world.by_hand("A")
    older = world.trigger("A", run_id="scheduled")
    world.start("A", run_id=older)
    newer = world.trigger("A", run_id="manual")
    world.start("A", run_id=newer)
    world.settle()
    world.finish("A", run_id=newer)
    world.settle()
    world.finish("A", run_id=older)
    world.settle()
    assert world.runs("D") == 1


def case_24_started_by_hand(world: World) -> None:
    """D has been started by hand and is running when A completes: it is left to finish, then runs again once."""
    world.dependencies({"D": "A"})
    world.by_hand("A", "D")
    world.trigger("D")
    world.start("D")
    world.trigger("A")
    world.run("A")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (1, 0)
    world.finish("D")
    world.settle()
    world.run("D")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (2, 1)


@pytest.mark.promise("once", "not-early")
def case_25_held_branch_is_not_needed(world: World) -> None:
    """U = any(A, B), R -> B, B held; E = all(U, X). R is cleared, X is cleared: E runs once."""
    world.dependencies({"B": "R", "U": {"upstream": {"any": ["A", "B"]}}, "E": ["U", "X"]})
    world.first_run("A", "R", "X")
    runs = world.runs("U"), world.runs("E")
    world.hold("B")
    world.rerun("R")
    world.settle()
    world.rerun("X")
    world.settle()
    assert (world.runs("U"), world.runs("E")) == (runs[0], runs[1] + 1)


@pytest.mark.promise("slow")
def case_silent_clear_while_many_wait(world: World) -> None:
    """A -> D0 ... D11, all in one environment that goes down before the first request. A is cleared by hand and waits
    in the queue, unreported; it comes back: what waited is looked at again, none starts before A; each once."""
    names = [f"team_b/D{number}" for number in range(12)]
    world.dependencies(dict.fromkeys(names, "A"))
    world.by_hand("A")
    world.trigger("A")
    world.down("team_b")
    world.run("A")
    world.settle()
    world.clear("A")
    world.settle()
    world.up("team_b")
    world.settle()
    assert [world.runs(name) for name in names] == [0] * 12
    world.run("A")
    world.settle()
    assert [world.runs(name) for name in names] == [1] * 12


@pytest.mark.promise("not-early")
def case_own_run_waits_silently(world: World) -> None:
    """A -> D. D is cleared by hand and waits in the queue, unreported; A is cleared and ends: D is left to finish,
    then runs again once (docs/architecture.md#look: about D's own run)."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.by_hand("D")
    world.clear("D")
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (1, 1)
    world.run("D")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (2, 2)
    world.run("D")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (3, 2)


def case_end_reported_before_airflow_shows_it(world: World) -> None:
    """A -> D. D's ``success`` arrives before Airflow has committed it (its listeners run first); A is cleared and
    ends meanwhile: D is not cleared while Airflow still shows it running, and then once."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.by_hand("D")
    world.clear("D")
    world.start("D")
    world.report_end_early("D")
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (2, 1)
    world.finish("D")
    world.settle()
    world.run("D")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (3, 2)


@pytest.mark.promise("following")
def case_cleaned_up_behind_a_success(world: World) -> None:
    """D = all(A, B). B's run has been deleted since its success (``db clean``). Then A is cleared: D runs once."""
    world.dependencies({"D": ["A", "B"]})
    world.first_run("A", "B")
    world.delete_run("B")
    world.pass_time()
    world.rerun("A")
    world.settle()
    assert world.runs("D") == 2


@pytest.mark.promise("once")
def case_tested_by_hand(world: World) -> None:
    """D = U. ``airflow dags test`` runs U: its run has no queued_at. D runs once; and once more for another test, of
    the same run_id and the same start."""
    world.dependencies({"D": "U"})
    world.by_hand("U")
    for runs in (1, 2):
        world.test_by_hand("U")
        world.settle()
        assert world.runs("D") == runs - 1
        world.finish("U")
        world.settle()
        world.settle()
        assert (world.runs("D"), world.requests("D")) == (runs, runs)


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = [name for name in CASES if name[5:7] in {"01", "02", "03", "11", "12", "16", "17", "19"}]
ON_REAL_ETCD.append("case_tested_by_hand")
