"""A look at tasks takes few requests, and takes a task for missing only where its run has none."""

from __future__ import annotations

import pytest

from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.airflow.listing import PAGE
from coordinator.runners.port import ObservedTask, RequestRefused, TaskRef
from tests.airflow_model import bodies
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

RUN = "coordinator__2026-11-20T00:00:00Z__1"


def has_run(airflow: StandInAirflow, dag_id: str, *tasks: str) -> list[TaskRef]:
    airflow.dag(dag_id)
    airflow.model.dag(dag_id, below=dict.fromkeys(tasks, ()))
    airflow.trigger_by_hand(dag_id, RUN)
    airflow.start(dag_id, RUN)
    return [TaskRef(dag_id, RUN, task) for task in tasks]


def states(looked: object) -> list[str | None]:
    assert isinstance(looked, ObservedTask)
    return [one.state for one in looked.instances]


def test_tasks_of_many_dags_take_one_request(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    refs = [ref for number in range(20) for ref in has_run(airflow, f"dag_{number:02}", "load", "check")]
    airflow.model.set_task("dag_03", RUN, "load", "success")
    asked = [ref for ref in refs if ref.task_id == "load"]
    looked = runner.look(asked, timeout=5)
    assert looked.seen.keys() == {*asked}
    assert states(looked.seen[TaskRef("dag_03", RUN, "load")]) == ["success"]
    assert states(looked.seen[TaskRef("dag_04", RUN, "load")]) == [None]
    assert [len(airflow.requests_of(kind)) for kind in ("list", "tasks", "tasks_of_run")] == [1, 1, 0]
    first = looked.seen[asked[0]]
    assert isinstance(first, ObservedTask)
    assert first.run == airflow.run(asked[0].dag_id, RUN)


def test_a_mapped_task_is_read_page_by_page(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    (ref,) = has_run(airflow, "dag", "load")
    airflow.model.set_task("dag", RUN, "load", *["success"] * (2 * PAGE + 1))
    looked = runner.look([ref], timeout=5).seen[ref]
    assert states(looked) == ["success"] * (2 * PAGE + 1)
    assert len(airflow.requests_of("tasks")) == 3


def test_pages_that_change_while_they_are_read_are_read_again(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    refs = [*has_run(airflow, "first", "load"), *has_run(airflow, "second", "load")]
    for dag_id in ("first", "second"):
        airflow.model.set_task(dag_id, RUN, "load", *["success"] * PAGE)
    run = airflow.model.get("first", RUN)
    same = bodies.task_body(run, "load", run.tasks["load"][0])  # again and again: others have moved to another page
    page = [same] * PAGE
    airflow.faults.next("tasks", Fault.answer(200, {"task_instances": page, "total_entries": 2 * PAGE}))
    looked = runner.look(refs, timeout=5)
    assert [len(states(looked.seen[ref])) for ref in refs] == [PAGE, PAGE]


def test_a_task_that_the_run_does_not_have_has_no_instances(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    has_run(airflow, "dag", "load")
    ref = TaskRef("dag", RUN, "gone")
    assert states(runner.look([ref], timeout=5).seen[ref]) == []
    assert len(airflow.requests_of("tasks_of_run")) == 1


def test_tasks_that_may_not_be_read_are_not_taken_for_missing(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """The list leaves them out, and says nothing of it."""
    known, hidden = has_run(airflow, "dag", "load")[0], TaskRef("dag", RUN, "hidden")
    airflow.faults.next("tasks_of_run", Fault.answer(403, {"detail": "Forbidden"}))
    airflow.faults.next("tasks_of_run", Fault.answer(403, {"detail": "Forbidden"}))
    looked = runner.look([known, hidden], timeout=5)
    assert looked.seen.keys() == {known}
    assert [type(why) for why in looked.refused.values()] == [RequestRefused]


def test_a_task_of_a_run_that_does_not_exist(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    airflow.dag("dag")
    ref = TaskRef("dag", RUN, "load")
    assert runner.look([ref], timeout=5).seen == {ref: None}
    assert airflow.requests_of("tasks") == []


@pytest.mark.parametrize("fault", [Fault.cut_before(), Fault.answer(502, "bad gateway"), Fault.answer(200, "rubbish")])
def test_what_was_not_answered_stays_unanswered(airflow: StandInAirflow, runner: AirflowRunner, fault: Fault) -> None:
    refs = has_run(airflow, "dag", "load")
    for _ in range(3):
        airflow.faults.next("tasks", fault)
    looked = runner.look(refs, timeout=5)
    assert looked.unanswered == {*refs}
    assert looked.error is not None


def test_the_run_is_read_before_its_tasks(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """The run is cleared between the two requests: the old attempt with new tasks is harmless, not the reverse."""
    (ref,) = has_run(airflow, "dag", "load")
    runner.look([ref], timeout=5)
    kinds = [one.kind for one in airflow.requests if one.kind in ("get", "list", "tasks")]
    assert kinds == ["get", "tasks"]
