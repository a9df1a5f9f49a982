"""Dependencies on tasks: the rule, on facts that are set by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.model.conditions import Condition, Dependency, On, all_of, any_of, leaves
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.dependencies import Downstream
from coordinator.model.graph import Graph, Node
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.tasks import is_to_be_confirmed
from coordinator.model.taskstate import TaskInstance, TaskState, dump_task_state, read_task_state, task_state_of
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import Readiness, SeenRecord, SeenState
from tests.unit.model.facts import Facts

R, U, D = (PipelineRef("default", name) for name in "RUD")
LOAD = U._replace(task="load")
K = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class World:
    """Facts, and what the rule says about them."""

    def __init__(self, waits: dict[PipelineRef, Condition], *, since: int = 0, at: datetime | None = None) -> None:
        self.facts = Facts()
        self.revision = since
        nodes = []
        for pipeline, condition in waits.items():
            found = tuple(leaves(condition))
            active_at = {leaf: at for leaf in found if at is not None}
            nodes.append(Node(Downstream(pipeline, condition), dict.fromkeys(found, since), active_at))
        self.propagation = Propagation(Graph(nodes), self.facts)

    def run(self, pipeline: PipelineRef, state: State, attempt: int = 1, run_id: str | None = "r") -> int:
        """A report. :param attempt: hours after noon at which it was queued."""
        queued_at = NOON + timedelta(hours=attempt)
        return self._put(pipeline, RunState(state, Attempt(run_id, queued_at if run_id else None)))

    def task(
        self, state: State, *, ids: str, attempt: int = 1, ended: datetime | None = None, run_ended: bool = False
    ) -> int:
        """What a look at ``load`` has shown while the run was in an attempt."""
        number = int.from_bytes(ids.encode())
        run = Attempt("r", NOON + timedelta(hours=attempt))
        found = TaskState(state, Attempt("r", None, number), run=run, run_ended=run_ended, ended_at=ended)
        return self._put(LOAD, found)

    def record(self, pipeline: PipelineRef, inputs: Iterable[PipelineRef], status: Status = Status.DONE) -> None:
        used = {}
        for one in inputs:
            seen = self.facts.states[Target(one, K)]
            assert isinstance(seen.value, RunState)
            used[Target(one, K)] = Consumed(seen.revision, seen.value.attempt, seen.value.state)
        self.revision += 1
        record = TriggerRecord(status, 1, Action.CREATE, "d", "t", 1, consumed=Consumption.of(used))
        self.facts.records[Target(pipeline, K)] = SeenRecord(record, self.revision)
        self.propagation.refresh(recorded=[Target(pipeline, K)])

    def fires(self, pipeline: PipelineRef = D) -> bool:
        return self.propagation.decide(Target(pipeline, K)).fires

    def readiness(self, pipeline: PipelineRef) -> Readiness:
        return self.propagation.readiness(Target(pipeline, K))

    def _put(self, pipeline: PipelineRef, value: RunState) -> int:
        self.revision += 1
        self.facts.states[Target(pipeline, K)] = SeenState(value, self.revision)
        self.propagation.refresh([Target(pipeline, K)])
        return self.revision


def test_fires_before_the_run_has_ended() -> None:
    world = World({D: Dependency(LOAD)})
    world.run(U, State.RUNNING)
    assert world.readiness(LOAD) is Readiness.BUSY
    assert not world.fires()
    world.task(State.RUNNING, ids="a")
    assert not world.fires()
    world.task(State.SUCCESS, ids="a")
    assert world.readiness(LOAD) is Readiness.SETTLED
    assert world.fires()
    world.record(D, [LOAD])
    world.run(U, State.SUCCESS)
    assert not world.fires()


def test_a_task_that_ended_before_its_run_was_cleared_does_not_count() -> None:
    world = World({D: Dependency(LOAD)})
    world.run(U, State.SUCCESS)
    world.task(State.SUCCESS, ids="a")
    world.record(D, [LOAD])
    world.run(U, State.RUNNING, attempt=2)
    assert world.readiness(LOAD) is Readiness.BUSY
    assert not world.fires()
    world.task(State.QUEUED, ids="b", attempt=2)
    assert not world.fires()
    world.task(State.SUCCESS, ids="b", attempt=2)
    assert world.fires()


def test_a_clear_of_other_tasks_leaves_it_completed_and_not_new() -> None:
    world = World({D: Dependency(LOAD)})
    world.run(U, State.SUCCESS)
    world.task(State.SUCCESS, ids="a")
    world.record(D, [LOAD])
    world.run(U, State.RUNNING, attempt=2)
    world.task(State.SUCCESS, ids="a", attempt=2)
    assert world.readiness(LOAD) is Readiness.SETTLED
    assert not world.fires()


def test_a_run_that_is_due_again_keeps_its_tasks_busy() -> None:
    """R is cleared while U runs on: U will run again after it, and its task with it."""
    world = World({D: Dependency(LOAD), U: Dependency(R)})
    world.run(R, State.SUCCESS)
    world.run(U, State.RUNNING)
    world.record(U, [R], Status.SENT)
    world.task(State.SUCCESS, ids="a")
    assert world.fires()
    world.run(R, State.RUNNING, attempt=3)
    assert world.readiness(LOAD) is Readiness.BUSY
    assert not world.fires()


def test_a_deleted_run_means_not_yet() -> None:
    world = World({D: Dependency(LOAD)})
    world.run(U, State.SUCCESS)
    world.task(State.SUCCESS, ids="a")
    del world.facts.states[Target(U, K)]
    world.propagation.refresh([Target(U, K)])
    assert world.readiness(LOAD) is Readiness.SETTLED
    assert not world.fires()


def test_a_task_counts_although_its_run_failed_elsewhere() -> None:
    world = World({D: Dependency(LOAD)})
    world.run(U, State.FAILED)
    assert world.readiness(LOAD) is Readiness.BUSY, "it has not been looked at"
    world.task(State.SUCCESS, ids="a")
    assert world.fires()


@pytest.mark.parametrize(
    ("on", "state", "fires"),
    [
        (On.SUCCESS, State.SUCCESS, True),
        (On.SUCCESS, State.FAILED, False),
        (On.SUCCESS, State.SKIPPED, False),
        (On.FAILURE, State.FAILED, True),
        (On.FAILURE, State.SKIPPED, False),
        (On.DONE, State.SKIPPED, True),
        (On.SKIPPED, State.SKIPPED, True),
        (On.SKIPPED, State.SUCCESS, False),
    ],
)
def test_which_end_counts(on: On, state: State, fires: bool) -> None:
    world = World({D: Dependency(LOAD, on)})
    world.run(U, State.SUCCESS)
    world.task(state, ids="a")
    assert world.fires() is fires
    stuck = on is On.SUCCESS and state is State.FAILED
    assert world.readiness(D) is (Readiness.BUSY if fires else Readiness.STUCK if stuck else Readiness.SETTLED)


def test_any_of_a_run_and_its_task_fires_once() -> None:
    """``any`` waits for the run that is still coming."""
    world = World({D: any_of(Dependency(U), Dependency(LOAD))})
    world.run(U, State.RUNNING)
    world.task(State.SUCCESS, ids="a")
    assert not world.fires()
    world.run(U, State.SUCCESS)
    assert world.fires()


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILED])
def test_a_task_that_had_ended_is_to_be_confirmed_after_its_run_and_holds_nothing_back(state: State) -> None:
    world = World({D: all_of(Dependency(LOAD, on=On.DONE), Dependency(R))})
    load = Target(LOAD, K)
    world.run(U, State.RUNNING)
    world.task(state, ids="a")
    assert not is_to_be_confirmed(world.facts, load)
    world.run(U, State.SUCCESS)
    assert is_to_be_confirmed(world.facts, load)
    assert world.readiness(LOAD) is Readiness.SETTLED
    world.run(R, State.SUCCESS)
    assert world.fires(), "its environment may be away"
    world.record(D, [LOAD, R])
    world.task(state, ids="a", run_ended=True)
    assert not is_to_be_confirmed(world.facts, load)
    assert not world.fires(), "that nothing has changed is nothing new"


def test_a_run_that_ended_without_the_task_leaves_it_unmet() -> None:
    """Somebody has set the run to success by hand. What a look had shown before is not the last word."""
    world = World({D: Dependency(LOAD)})
    world.run(U, State.RUNNING)
    world.task(State.QUEUED, ids="a")
    world.run(U, State.SUCCESS)
    assert world.readiness(LOAD) is Readiness.BUSY
    world.task(State.QUEUED, ids="a", run_ended=True)
    assert world.readiness(LOAD) is Readiness.SETTLED
    assert not world.fires()


@pytest.mark.parametrize("is_looked_at", [False, True])
def test_a_new_dependency_does_not_fire_for_the_past(is_looked_at: bool) -> None:
    world = World({D: Dependency(LOAD)}, since=100)
    world.facts.states[Target(U, K)] = SeenState(RunState(State.SUCCESS, Attempt("r", NOON)), 50)
    world.propagation.refresh([Target(U, K)])
    assert world.readiness(LOAD) is Readiness.SETTLED
    if is_looked_at:
        world.task(State.SUCCESS, ids="a", attempt=0)
    assert not world.fires()
    assert world.readiness(D) is Readiness.SETTLED


def test_a_task_of_the_past_is_asked_about_once_another_input_is_new() -> None:
    world = World({D: all_of(Dependency(R), Dependency(LOAD))}, since=100)
    world.facts.states[Target(U, K)] = SeenState(RunState(State.SUCCESS, Attempt("r", NOON)), 50)
    world.propagation.refresh([Target(U, K)])
    world.run(R, State.SUCCESS)
    assert world.readiness(D) is Readiness.BUSY
    assert not world.fires()
    world.task(State.SUCCESS, ids="a", attempt=0)
    assert world.fires()


def test_a_task_that_ended_before_the_dependency_became_active_is_not_new() -> None:
    """Another task of its run is cleared later: only then is it looked at for the first time."""
    world = World({D: Dependency(LOAD)}, since=100, at=NOON)
    world.run(U, State.RUNNING, attempt=1)
    world.task(State.SUCCESS, ids="a", attempt=1, ended=NOON - timedelta(hours=1))
    assert not world.fires()
    world.task(State.SUCCESS, ids="b", attempt=1, ended=NOON + timedelta(hours=1))
    assert world.fires()


def test_a_state_without_a_run_cannot_be_asked_about() -> None:
    world = World({D: Dependency(LOAD)})
    world.run(U, State.SUCCESS, run_id=None)
    assert world.readiness(LOAD) is Readiness.SETTLED
    assert not world.fires()


RUN = Attempt("r", NOON)


@pytest.mark.parametrize(
    ("states", "together"),
    [
        ([None], State.QUEUED),
        (["queued"], State.QUEUED),
        (["running"], State.RUNNING),
        (["up_for_retry"], State.RUNNING),
        (["deferred"], State.RUNNING),
        (["success"], State.SUCCESS),
        (["failed"], State.FAILED),
        (["upstream_failed"], State.FAILED),
        (["skipped"], State.SKIPPED),
        (["success", "skipped"], State.SUCCESS),
        (["success", "failed", "skipped"], State.FAILED),
        (["failed", None], State.RUNNING),
        (["skipped", "skipped"], State.SKIPPED),
        (["success", "removed"], State.SUCCESS),
        (["removed"], None),  # which is a problem: it never ends
        ([], None),
    ],
)
def test_instances_together(states: list[str | None], together: State | None) -> None:
    instances = [TaskInstance(number, f"id{number}", state, 1) for number, state in enumerate(states)]
    found = task_state_of(instances, run=RUN, observed_at=NOON)
    assert found.missing is (together is None)
    assert found.state is (together or State.QUEUED)
    assert read_task_state(dump_task_state(found, reported_by="w")) == found


def test_an_attempt_is_the_ids_of_all_instances() -> None:
    def attempt(*instances: TaskInstance) -> int | None:
        return task_state_of(instances, run=RUN, observed_at=NOON).attempt.number

    one, two = TaskInstance(0, "x", "success", 1), TaskInstance(1, "y", "success", 1)
    assert attempt(one, two) == attempt(two, one)
    assert attempt(one, two) != attempt(one, two._replace(id="z"))
    assert attempt(one) == attempt(one._replace(state="running", try_number=2)), "the ids alone count"
    old = TaskInstance(-1, None, "success", 1, NOON)
    assert attempt(old) != attempt(old._replace(try_number=2, start_date=NOON + timedelta(hours=1)))
