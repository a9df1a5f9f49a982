"""Cases of what people ask for: orders to run again, releases of a partition, marks."""

from __future__ import annotations

import pytest

from coordinator.model.runstate import RunState, State
from coordinator.model.trigger import Status
from tests.worlds.cases import Case
from tests.worlds.world import PARTITION, World

OTHER = "2026-11-21T00:00:00Z"


@pytest.mark.promise("orders")
def case_rerun_of_a_source(world: World) -> None:
    """A -> D, and nothing stands above A. A rerun of A is ordered, twice before it is carried out: A is cleared once,
    and D follows once."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.by_itself("A")
    world.stop_watcher()
    world.order("A", "rerun")
    world.order("A", "rerun")
    world.start_watcher()
    world.settle()
    assert (world.runs("A"), world.requests("A"), world.runs("D")) == (2, 1, 2)
    assert len(world.all_runs("A")) == 1


def case_rerun_where_nothing_has_run(world: World) -> None:
    """A -> D. A rerun of A is ordered in a partition that nobody has heard of: a run is created, and D follows."""
    world.dependencies({"D": "A"})
    world.order("A", "rerun", partition=OTHER)
    world.settle()
    assert (world.runs("A", partition=OTHER), world.runs("D", partition=OTHER)) == (1, 1)
    assert world.all_runs("A", partition=OTHER)[0].run_id == f"coordinator__{OTHER}__1"


def case_rerun_in_mid_graph(world: World) -> None:
    """R -> A -> D, R -> D. A rerun of A is ordered: A and D run once more, R does not; the next wave runs each once."""
    world.dependencies({"A": "R", "D": ["A", "R"]})
    world.first_run("R")
    world.order("A", "rerun")
    world.settle()
    assert (world.runs("R"), world.runs("A"), world.runs("D")) == (1, 2, 2)
    world.rerun("R")
    world.settle()
    assert (world.runs("R"), world.runs("A"), world.runs("D")) == (2, 3, 3)


@pytest.mark.promise("orders")
def case_rerun_during_a_flight(world: World) -> None:
    """A -> D. D is running, as the coordinator started it, when a rerun is ordered: it ends, then runs once more."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.by_hand("D")
    world.rerun("A")
    world.settle()
    world.start("D")
    world.order("D", "rerun")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (2, 2)
    world.finish("D")
    world.settle()
    world.run("D")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (3, 3)


@pytest.mark.promise("orders")
def case_rerun_killed_before_its_request(world: World) -> None:
    """A -> D. The coordinator is killed between the intent of an ordered rerun and its request: D runs once more."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.kill_before_request("D")
    world.order("D", "rerun")
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (1, 1)
    world.start_watcher()
    world.settle()
    assert (world.runs("D"), world.requests("D")) == (2, 2)


@pytest.mark.promise("orders")
def case_rerun_of_a_source_by_a_frozen_leader(world: World) -> None:
    """The leader is frozen between the intent of an ordered rerun and its request; its successor carries it out; the
    old leader wakes: A was cleared once."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.by_itself("A")
    world.freeze_before_request("A")
    world.order("A", "rerun")
    world.settle()
    world.start_watcher()
    world.settle()
    world.thaw()
    world.settle()
    assert (world.runs("A"), world.requests("A"), world.runs("D")) == (2, 1, 2)


@pytest.mark.promise("orders")
def case_rerun_ordered_again_while_away(world: World) -> None:
    """A -> D. D's environment is away; a rerun is ordered, and again once the request waits: D runs once more, not
    twice, for nothing had happened yet."""
    world.dependencies({"team_b/D": "A"})
    world.first_run("A")
    world.kill_before_request("team_b/D")
    world.order("team_b/D", "rerun")
    world.settle()
    world.down("team_b")
    world.start_watcher()
    world.settle()
    record = world.record("team_b/D")
    assert record is not None
    assert record.status is Status.INTENT
    world.order("team_b/D", "rerun")
    world.settle()
    world.up("team_b")
    world.settle()
    assert (world.runs("team_b/D"), world.requests("team_b/D")) == (2, 2)


@pytest.mark.promise("orders")
def case_rerun_taken_back_while_away(world: World) -> None:
    """A -> D. D's environment is away; a rerun is ordered, and taken back while its intent waits: D does not run for
    it, and runs as ever when A has."""
    world.dependencies({"team_b/D": "A"})
    world.first_run("A")
    world.kill_before_request("team_b/D")
    world.order("team_b/D", "rerun")
    world.settle()
    world.down("team_b")
    world.start_watcher()
    world.settle()
    world.cancel("team_b/D")
    world.settle()
    world.up("team_b")
    world.settle()
    assert (world.runs("team_b/D"), world.requests("team_b/D")) == (1, 1)
    world.rerun("A")
    world.settle()
    assert (world.runs("team_b/D"), world.requests("team_b/D")) == (2, 2)


def case_upstream_changes_under_an_order(world: World) -> None:
    """A -> D. A rerun of D waits for its environment; meanwhile A is cleared and runs: the intent is withdrawn, the
    order is not lost, and D runs once, after A."""
    world.dependencies({"team_b/D": "A"})
    world.first_run("A")
    world.kill_before_request("team_b/D")
    world.order("team_b/D", "rerun")
    world.settle()
    world.down("team_b")
    world.start_watcher()
    world.settle()
    world.clear("A")
    world.start("A")
    world.settle()
    world.up("team_b")
    world.settle()
    assert world.runs("team_b/D") == 1
    world.finish("A")
    world.settle()
    assert (world.runs("team_b/D"), world.requests("team_b/D")) == (2, 2)


@pytest.mark.promise("orders")
def case_rerun_outlives_its_withdrawn_intent(world: World) -> None:
    """A -> D. A rerun of D waits for its environment; meanwhile A's state is deleted, so that the intent stands on
    nothing any more and is withdrawn: D runs all the same, for that is what was ordered."""
    world.dependencies({"team_b/D": "A"})
    world.first_run("A")
    world.kill_before_request("team_b/D")
    world.order("team_b/D", "rerun")
    world.settle()
    world.down("team_b")
    world.start_watcher()
    world.delete_state("A")
    world.settle()
    world.up("team_b")
    world.settle()
    assert (world.runs("team_b/D"), world.requests("team_b/D")) == (2, 2)


@pytest.mark.promise("orders")
def case_rerun_of_a_held_pipeline(world: World) -> None:
    """A -> D, D held. A rerun of D is ordered: it runs once the hold is released."""
    world.dependencies({"D": "A"})
    world.first_run("A")
    world.hold("D")
    world.order("D", "rerun")
    world.settle()
    assert world.runs("D") == 1
    world.release("D")
    world.settle()
    assert world.runs("D") == 2


def case_rerun_of_one_that_ignores(world: World) -> None:
    """A -> D (rerun ``ignore``) -> E. What the policy does not do by itself a person may order, once."""
    world.dependencies({"D": {"upstream": "A", "rerun": "ignore"}, "E": "D"})
    world.first_run("A")
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (1, 1)
    world.order("D", "rerun")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (2, 2)
    world.rerun("A")
    world.settle()
    assert (world.runs("D"), world.runs("E")) == (2, 2)


@pytest.mark.promise("orders")
def case_release_of_one_partition(world: World) -> None:
    """A -> D (rerun ``hold``) -> E. A is cleared in two partitions: D waits in both; a release of one lets it run
    there, once, and not in the other; the next wave waits again."""
    world.dependencies({"D": {"upstream": "A", "rerun": "hold"}, "E": "D"})
    world.by_hand("A")
    for partition in (PARTITION, OTHER):
        world.trigger("A", partition=partition)
        world.run("A", partition=partition)
    world.settle()
    for partition in (PARTITION, OTHER):
        world.clear("A", partition=partition)
        world.run("A", partition=partition)
    world.settle()
    assert [world.runs("D", partition=partition) for partition in (PARTITION, OTHER)] == [1, 1]
    world.order("D", "release", partition=OTHER)
    world.settle()
    assert [world.runs("D", partition=partition) for partition in (PARTITION, OTHER)] == [1, 2]
    assert [world.runs("E", partition=partition) for partition in (PARTITION, OTHER)] == [1, 2]
    world.clear("A", partition=OTHER)
    world.run("A", partition=OTHER)
    world.settle()
    assert world.runs("D", partition=OTHER) == 2


def case_marked_success(world: World) -> None:
    """A -> D. A has failed and is marked as a success: D runs, and what Airflow shows of A changes nothing; A is
    cleared, and its newer attempt counts again."""
    world.dependencies({"D": "A"})
    world.by_hand("A")
    world.trigger("A")
    world.run("A", "failed")
    world.settle()
    assert world.runs("D") == 0
    world.mark("A", "success")
    world.pass_time()
    world.settle()
    assert world.runs("D") == 1
    assert _state(world, "A") == (State.SUCCESS, True)
    world.rerun("A", "failed")
    world.settle()
    assert (_state(world, "A"), world.runs("D")) == ((State.FAILED, False), 1)


@pytest.mark.promise("orders")
def case_late_report_of_a_marked_run(world: World) -> None:
    """A -> D, C = on failure of A. A is marked as failed while its success is under way: C runs, D does not, and the
    success that arrives late changes nothing."""
    world.dependencies({"D": "A", "C": {"upstream": {"pipeline": "A", "on": "failure"}}})
    world.by_hand("A")
    world.trigger("A")
    world.start("A")
    world.delay_reports("A")
    world.finish("A")
    world.mark("A", "failed")
    world.settle()
    world.deliver_reports("A")
    world.pass_time()
    world.settle()
    assert _state(world, "A") == (State.FAILED, True)
    assert (world.runs("C"), world.runs("D")) == (1, 0)


def case_marked_without_a_state(world: World) -> None:
    """A -> D. Nothing is known of A, and it is marked as a success: D runs; the first report of A counts again."""
    world.dependencies({"D": "A"})
    world.mark("A", "success")
    world.settle()
    assert world.runs("D") == 1
    world.first_run("A")
    assert (_state(world, "A"), world.runs("D")) == ((State.SUCCESS, False), 2)


def _state(world: World, name: str) -> tuple[State, bool]:
    state = world.state(name)
    assert isinstance(state, RunState)
    return state.state, state.marked


CASES: dict[str, Case] = {name: script for name, script in globals().items() if name.startswith("case_")}

ON_REAL_ETCD = [
    "case_rerun_of_a_source",
    "case_rerun_during_a_flight",
    "case_rerun_killed_before_its_request",
    "case_rerun_of_a_source_by_a_frozen_leader",
    "case_rerun_ordered_again_while_away",
    "case_upstream_changes_under_an_order",
    "case_release_of_one_partition",
    "case_marked_success",
    "case_late_report_of_a_marked_run",
]
