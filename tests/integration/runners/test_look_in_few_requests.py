"""A look costs one list request as a rule, and is exact whatever the list answers."""

from __future__ import annotations

import pytest

from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.airflow.listing import PAGE
from coordinator.runners.port import EnvironmentUnavailable, RequestRefused, RunRef
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

PARTITION = "coordinator__2026-11-20T00:00:00Z__1"


def trigger_all(airflow: StandInAirflow, refs: list[RunRef]) -> list[RunRef]:
    for ref in refs:
        if ref.dag_id not in airflow.world.dags:
            airflow.dag(ref.dag_id)
        airflow.trigger_by_hand(ref.dag_id, ref.run_id)
    return refs


def counts(airflow: StandInAirflow) -> tuple[int, int]:
    """How many list requests, and how many for single runs."""
    return len(airflow.requests_of("list")), len(airflow.requests_of("get"))


def test_nothing_to_look_at_asks_nothing(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    assert runner.look([], timeout=5) == {}
    assert airflow.requests == []


def test_a_single_run_is_asked_for_by_its_address(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    refs = trigger_all(airflow, [RunRef("slow", PARTITION)])
    assert runner.look(refs, timeout=5) == {refs[0]: airflow.run(*refs[0])}
    assert counts(airflow) == (0, 1)


@pytest.mark.parametrize(
    "refs",
    [
        [RunRef(f"dag_{number:02}", PARTITION) for number in range(PAGE)],
        [RunRef("dag", f"coordinator__2026-11-{day:02}T00:00:00Z__1") for day in range(1, 31)],
        [RunRef("first", PARTITION), RunRef("second", "scheduled__2026-11-20T00:00:00+00:00")],
    ],
    ids=["one partition of many DAGs", "many partitions of one DAG", "anything"],
)
def test_many_runs_take_one_request(airflow: StandInAirflow, runner: AirflowRunner, refs: list[RunRef]) -> None:
    trigger_all(airflow, refs)
    trigger_all(airflow, [RunRef("dag_00", f"{PARTITION}0"), RunRef("other", PARTITION)])
    assert runner.look(refs, timeout=5) == {ref: airflow.run(*ref) for ref in refs}
    assert counts(airflow) == (1, 0)


def test_more_runs_than_fit_take_a_few_requests(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """An address holds some thousand characters, a page a hundred runs."""
    refs = [
        RunRef(f"dag_{number}", f"coordinator__2026-11-{day:02}T00:00:00Z__1")
        for number in range(40)
        for day in range(1, 11)
    ]
    trigger_all(airflow, refs)
    assert runner.look(refs, timeout=20) == {ref: airflow.run(*ref) for ref in refs}
    lists, singles = counts(airflow)
    assert lists <= 12
    assert singles == 0


def test_long_names_do_not_make_an_address_too_long(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """Proxies refuse an address of more than 8 KiB: names of DAGs count, and what ``:`` becomes when it is encoded."""
    refs = [RunRef(f"dag_{number}", f"{number:03}" + ":" * 240 + "1") for number in range(30)]
    refs += [RunRef(f"{number:03}" + "x" * 240, "same") for number in range(90)]
    trigger_all(airflow, refs)
    assert runner.look(refs, timeout=20) == {ref: airflow.run(*ref) for ref in refs}
    assert counts(airflow)[1] == 0
    assert max(request.size for request in airflow.requests) < 7000


def test_a_run_that_the_list_lacks_is_asked_for_by_itself(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """Pages shift while they are read, so a list never proves that a run does not exist."""
    refs = trigger_all(airflow, [RunRef("slow", f"run_{number}") for number in range(3)])
    airflow.faults.next("list", Fault.answer(200, {"dag_runs": [], "total_entries": 3}))
    assert runner.look(refs, timeout=5) == {ref: airflow.run(*ref) for ref in refs}
    assert counts(airflow) == (1, 3)


def test_an_airflow_that_ignores_the_filters_is_not_read_from_end_to_end(
    airflow: StandInAirflow, runner: AirflowRunner
) -> None:
    """An older one does not know them, and answers with its whole history."""
    refs = trigger_all(airflow, [RunRef("slow", "x"), RunRef("quick", "x")])
    other = airflow.trigger_by_hand("slow", "other")
    assert other.queued_at is not None
    entry = {
        "dag_id": "slow",
        "dag_run_id": "other",
        "state": "success",
        "queued_at": other.queued_at.isoformat(),
    }
    airflow.faults.always("list", Fault.answer(200, {"dag_runs": [entry] * 50, "total_entries": 1_000_000}))
    assert runner.look(refs, timeout=5) == {ref: airflow.run(*ref) for ref in refs}
    assert counts(airflow) == (1, 2)


def test_a_look_that_is_not_allowed_is_a_refusal(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    for kind, refs in (("list", [RunRef("slow", "x"), RunRef("quick", "x")]), ("get", [RunRef("slow", "x")])):
        airflow.faults.next(kind, Fault.answer(403, {"detail": "Forbidden"}))
        with pytest.raises(RequestRefused, match="Forbidden") as caught:
            runner.look(refs, timeout=5)
        assert caught.value.status == 403


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_look_without_an_answer_is_no_look(airflow: StandInAirflow, runner: AirflowRunner, status: int) -> None:
    for kind, refs in (("list", [RunRef("slow", "x"), RunRef("quick", "x")]), ("get", [RunRef("slow", "x")])):
        airflow.faults.next(kind, Fault.answer(status))
        with pytest.raises(EnvironmentUnavailable):
            runner.look(refs, timeout=5)


def test_a_404_about_the_address_is_not_taken_for_a_deleted_run(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """A url that points somewhere else: taking every run for deleted would undo what stands in etcd."""
    airflow.faults.next(
        "get", Fault.answer(404, {"error": "API route not found"}), Fault.answer(404, {"detail": "Not Found"})
    )
    for _ in range(2):
        with pytest.raises(RequestRefused):
            runner.look([RunRef("slow", "x-1")], timeout=5)


def test_a_check_of_many_dags_takes_few_requests(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    dag_ids = [f"dag_{number:03}" for number in range(150)]
    for dag_id in dag_ids:
        airflow.dag(dag_id, paused=dag_id == "dag_007")
    report = runner.check([*dag_ids, "nowhere"])
    assert (report.problem, report.missing_dags, report.paused_dags) == (None, ("nowhere",), ("dag_007",))
    assert len(airflow.requests) <= 8


def test_a_check_says_when_nothing_would_run(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    airflow.api.scheduler_healthy = False
    assert "scheduler is unhealthy" in (runner.check(["slow"]).problem or "")
    airflow.down()
    report = runner.check(["slow"])
    assert report.version is None
    assert "no answer" in (report.problem or "")
