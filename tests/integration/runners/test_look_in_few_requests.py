"""A look costs one list request as a rule, and is exact whatever the list answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.model import bounds
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.airflow.listing import PAGE
from coordinator.runners.port import BEGINNING, EnvironmentUnavailable, ListPlace, Looked, RequestRefused, RunRef
from coordinator.runners.testing import create, some_date
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

PARTITION = "coordinator__2026-11-20T00:00:00Z__1"


def trigger_all(airflow: StandInAirflow, refs: list[RunRef]) -> list[RunRef]:
    for ref in refs:
        if ref.dag_id not in airflow.model.dags:
            airflow.dag(ref.dag_id)
        airflow.trigger_by_hand(ref.dag_id, ref.run_id)
    return refs


def counts(airflow: StandInAirflow) -> tuple[int, int]:
    """How many list requests, and how many for single runs."""
    return len(airflow.requests_of("list")), len(airflow.requests_of("get"))


def test_nothing_to_look_at_asks_nothing(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    assert runner.look([], timeout=5) == Looked()
    assert airflow.requests == []


def test_a_single_run_is_asked_for_by_its_address(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    refs = trigger_all(airflow, [RunRef("slow", PARTITION)])
    assert runner.look(refs, timeout=5).seen == {refs[0]: airflow.run(*refs[0])}
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
    assert runner.look(refs, timeout=5).seen == {ref: airflow.run(*ref) for ref in refs}
    assert counts(airflow) == (1, 0)


def test_more_runs_than_fit_take_a_few_requests(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """An address holds some thousand characters, a page a hundred runs."""
    refs = [
        RunRef(f"dag_{number}", f"coordinator__2026-11-{day:02}T00:00:00Z__1")
        for number in range(40)
        for day in range(1, 11)
    ]
    trigger_all(airflow, refs)
    assert runner.look(refs, timeout=20).seen == {ref: airflow.run(*ref) for ref in refs}
    lists, singles = counts(airflow)
    assert lists <= 12
    assert singles == 0


def test_long_names_do_not_make_an_address_too_long(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """Proxies refuse an address of more than 8 KiB: names of DAGs count, and what ``:`` becomes when it is encoded."""
    refs = [RunRef(f"dag_{number}", f"{number:03}" + ":" * 240 + "1") for number in range(30)]
    refs += [RunRef(f"{number:03}" + "x" * 240, "same") for number in range(90)]
    trigger_all(airflow, refs)
    assert runner.look(refs, timeout=20).seen == {ref: airflow.run(*ref) for ref in refs}
    assert counts(airflow)[1] == 0
    assert max(request.size for request in airflow.requests) < 7000


def test_a_run_that_the_list_lacks_is_asked_for_by_itself(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """Pages shift while they are read, so a list never proves that a run does not exist."""
    refs = trigger_all(airflow, [RunRef("slow", f"run_{number}") for number in range(3)])
    airflow.faults.next("list", Fault.answer(200, {"dag_runs": [], "total_entries": 3}))
    assert runner.look(refs, timeout=5).seen == {ref: airflow.run(*ref) for ref in refs}
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
    assert runner.look(refs, timeout=5).seen == {ref: airflow.run(*ref) for ref in refs}
    assert counts(airflow) == (1, 2)


def test_a_look_that_is_not_allowed_is_a_refusal(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    for kind, refs in (("list", [RunRef("slow", "x"), RunRef("quick", "x")]), ("get", [RunRef("slow", "x")])):
        airflow.faults.next(kind, Fault.answer(403, {"detail": "Forbidden"}))
        looked = runner.look(refs, timeout=5)
        assert set(looked.refused) == set(refs)
        assert all(refusal.status == 403 and "Forbidden" in str(refusal) for refusal in looked.refused.values())
        assert looked.error in looked.refused.values()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_look_without_an_answer_is_no_look(airflow: StandInAirflow, runner: AirflowRunner, status: int) -> None:
    for kind, refs in (("list", [RunRef("slow", "x"), RunRef("quick", "x")]), ("get", [RunRef("slow", "x")])):
        airflow.faults.next(kind, Fault.answer(status))
        looked = runner.look(refs, timeout=5)
        assert isinstance(looked.error, EnvironmentUnavailable)
        assert looked.unanswered == set(refs)


def test_a_404_about_the_address_is_not_taken_for_a_deleted_run(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """A url that points somewhere else: taking every run for deleted would undo what stands in etcd."""
    airflow.faults.next(
        "get", Fault.answer(404, {"error": "API route not found"}), Fault.answer(404, {"detail": "Not Found"})
    )
    for _ in range(2):
        assert set(runner.look([RunRef("slow", "x-1")], timeout=5).refused) == {RunRef("slow", "x-1")}


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


def many_runs(dags: int, partitions: int) -> list[RunRef]:
    return [
        RunRef(f"dag_{dag:03}", f"coordinator__2026-11-20T{hour // 60:02}:{hour % 60:02}:00Z__1")
        for hour in range(partitions)
        for dag in range(dags)
    ]


@pytest.mark.parametrize(
    ("refs", "most"),
    [
        (many_runs(1, 1000), 10),
        (many_runs(1000, 1), 10),
        (many_runs(40, 25), 13),
        (many_runs(25, 40), 10),
        ([run for number, run in enumerate(many_runs(60, 60)) if number % 61 == 0], 6),
    ],
    ids=["of one DAG", "of one partition", "40 DAGs", "25 DAGs", "a diagonal"],
)
def test_runs_share_requests_whatever_they_have_in_common(
    airflow: StandInAirflow, runner: AirflowRunner, refs: list[RunRef], most: int
) -> None:
    """A filter for DAGs and one for run ids bring every combination: those must not crowd out what was asked for."""
    if len(refs) == 60:
        trigger_all(airflow, many_runs(60, 60))
    else:
        trigger_all(airflow, refs)
    assert runner.look(refs, timeout=20).seen == {ref: airflow.run(*ref) for ref in refs}
    lists, singles = counts(airflow)
    assert singles == 0
    assert lists <= most


@pytest.mark.promise("following")
def test_what_was_answered_in_time_is_kept(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """1,500 runs take fifteen requests of 0.2 s each, and a look has 2 s: a part of them must be seen by each look."""
    refs = trigger_all(airflow, [RunRef("slow", f"run_{number:04}") for number in range(1500)])
    airflow.faults.always("list", Fault.delay(0.2))
    left, looks = refs, 0
    while left:
        looked = runner.look(left, timeout=2.0)
        looks += 1
        assert looked.error is None, "it answers, if slowly"
        assert looked.seen, "no progress"
        assert set(looked.seen) | looked.unanswered == set(left)
        assert set(looked.seen) == set(left[: len(looked.seen)]), "those that were asked about first, first"
        left = [ref for ref in left if ref in looked.unanswered]
    assert looks <= 3
    assert len(airflow.requests_of("get")) == 0


def test_what_was_answered_before_it_failed_is_kept(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    refs = trigger_all(airflow, [RunRef("slow", f"run_{number:04}") for number in range(300)])
    airflow.faults.next("list", Fault.delay(0), Fault.answer(429, "", headers={"Retry-After": "1000000"}))
    looked = runner.look(refs, timeout=5)
    assert set(looked.seen) == set(refs[:100])
    assert looked.unanswered == set(refs[100:])
    assert isinstance(looked.error, EnvironmentUnavailable)
    assert looked.error.retry_after == bounds.RETRY_AFTER
    assert counts(airflow) == (2, 0), "nothing more is asked of an environment that wants to be left alone"


def test_runs_that_no_list_has_do_not_wait_behind_those_that_one_has(
    airflow: StandInAirflow, runner: AirflowRunner
) -> None:
    gone = [RunRef("slow", f"gone_{number}") for number in range(5)]
    refs = trigger_all(airflow, [RunRef("slow", f"run_{number:04}") for number in range(300)])
    airflow.faults.always("list", Fault.delay(0.9))
    looked = runner.look([*gone, *refs], timeout=1.5)
    assert [looked.seen[run] for run in gone] == [None] * 5
    assert looked.unanswered


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """Three runs with a megabyte of conf each fit, a hundred do not."""
    airflow.dag("large")
    refs = [RunRef("large", f"run_{number:02}") for number in range(16)]
    for ref in refs:
        airflow.trigger_by_hand(*ref, conf={"text": "x" * bounds.MIB})
    looked = runner.look(refs, timeout=30)
    assert set(looked.seen) == set(refs)
    assert all(run is not None for run in looked.seen.values())


def test_a_run_that_is_too_large_to_be_read_says_nothing_against_its_environment(
    airflow: StandInAirflow, runner: AirflowRunner
) -> None:
    """A person's, on the logical date of ours: only this one is asked about slowly."""
    date = some_date()
    airflow.trigger_by_hand("slow", logical_date=date, conf={"text": "x" * (bounds.ANSWER + 1)})
    with pytest.raises(RequestRefused, match="answered with more than"):
        runner.start(create("slow", date=date))
    airflow.trigger_by_hand("slow", "r", conf={"text": "x" * (bounds.ANSWER + 1)})
    with pytest.raises(RequestRefused, match="answered with more than"):
        runner.ask(create("slow", run_id="r"))


def test_a_run_that_is_too_large_hides_no_other_one(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    airflow.dag("large")
    refs = trigger_all(airflow, [RunRef("large", f"run_{number:02}") for number in range(16)])
    largest = RunRef("large", "run_largest")
    airflow.trigger_by_hand(*largest, conf={"text": "x" * (bounds.ANSWER + 1)})
    looked = runner.look([largest, *refs], timeout=30)
    assert looked.seen == {ref: airflow.run(*ref) for ref in refs}
    assert set(looked.refused) == {largest}
    assert "answered with more than" in str(looked.refused[largest])
    assert looked.error is None


def test_changed_runs_are_read_past_what_is_too_large(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """Pages that are too large are asked for in smaller ones; a run that is too large hides no other one."""
    airflow.dag("large")
    now = runner.changed_runs(None, place=BEGINNING, timeout=30).made_at
    assert now is not None
    since = now - timedelta(minutes=1)
    largest = RunRef("large", "run_05_largest")
    refs = [RunRef("large", f"run_{number:02}") for number in range(16)]
    for ref in sorted([*refs, largest]):
        size = bounds.ANSWER + 1 if ref == largest else bounds.MIB
        airflow.trigger_by_hand(*ref, conf={"text": "x" * size})
    seen: set[RunRef] = set()
    place: ListPlace | None = BEGINNING
    while place is not None:
        changed = runner.changed_runs(since, place=place, timeout=30)
        assert changed.error is None
        seen |= {RunRef(run.dag_id, run.run_id) for run in changed.runs}
        place = changed.next
    assert seen == set(refs)
