"""A check names the tasks that a DAG does not have, and those that may be meant; Airflow 3 and 2 alike."""

from __future__ import annotations

from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import EnvironmentFault, MissingTask
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault


def test_a_task_with_a_mistyped_name_is_found(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    airflow.model.dag("orders", below={"extract": ("load",), "load": ()})
    report = runner.check(["orders"], tasks={"orders": ["load", "laod", "x"]})
    assert report.problem is None
    assert report.missing_tasks == (MissingTask("orders", "laod", ("load",)), MissingTask("orders", "x", ()))


def test_a_user_who_may_not_read_tasks_lacks_rights(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    airflow.model.dag("orders", below={"load": ()})
    airflow.faults.always("tasks_of_dag", Fault.answer(403, {"detail": "Forbidden"}))
    report = runner.check(["orders"], tasks={"orders": ["load"]})
    assert report.fault is EnvironmentFault.RIGHTS


def test_a_check_is_repeated_where_the_server_fails_for_a_moment(
    airflow: StandInAirflow, runner: AirflowRunner
) -> None:
    """As Airflow on SQLite does, also for a list of tasks: it writes each of these requests to its audit log."""
    airflow.model.dag("orders", below={"load": ()})
    locked = Fault.answer(500, {"detail": "Internal Server Error"})
    airflow.faults.next("tasks_of_dag", locked, locked)
    assert runner.check(["orders"], tasks={"orders": ["load"]}).problem is None
    airflow.faults.always("tasks_of_dag", locked)
    assert "answered 500" in (runner.check(["orders"], tasks={"orders": ["load"]}).problem or "")
