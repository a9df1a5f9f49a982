"""What the runner makes of Airflow's answers; the same on the stand-in and on a real Airflow."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

import pytest
import requests

from coordinator.model.runstate import State
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import (
    Foreign,
    Happened,
    MissingTask,
    NotHappened,
    ObservedRun,
    Outcome,
    Refused,
    RunRef,
    StartRequest,
)
from tests.integration.runners.conftest import AirflowApi, MakeRunner
from tests.integration.runners.requests_to_make import clear, create, some_date

pytestmark = pytest.mark.promise("answers")


@pytest.fixture
def runner(airflow_api: AirflowApi, make_runner: MakeRunner) -> AirflowRunner:
    return make_runner(**airflow_api.settings)


@pytest.fixture
def person(airflow_api: AirflowApi) -> requests.Session:
    """Somebody with the same rights, who does not go through the coordinator."""
    session = requests.Session()
    if airflow_api.is_old:
        session.auth = (airflow_api.username, airflow_api.password)
        return session
    credentials = {"username": airflow_api.username, "password": airflow_api.password}
    answer = session.post(f"{airflow_api.base_url}/auth/token", json=credentials, timeout=10)
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return session


def start(runner: AirflowRunner, request: StartRequest) -> Outcome:
    """Start, and repeat what is known not to have happened: Airflow on SQLite answers an occasional 500."""
    outcome = runner.start(request)
    for _ in range(4):
        if not isinstance(outcome, NotHappened):
            break
        outcome = runner.start(request)
    return outcome


def happened(outcome: object) -> ObservedRun:
    assert isinstance(outcome, Happened), outcome
    return outcome.run


def is_same_attempt(later: ObservedRun, earlier: ObservedRun) -> bool:
    """Whether two looks have shown one attempt. Until it has started, Airflow 2 shows only the moment of the look."""
    assert later.queued_at is not None
    assert earlier.queued_at is not None
    if earlier.is_estimated:
        return later.queued_at >= earlier.queued_at
    return later.queued_at == earlier.queued_at


def wait_for(runner: AirflowRunner, run: ObservedRun, state: State, *, within: float = 60.0) -> ObservedRun:
    ref = RunRef(run.dag_id, run.run_id)
    end = time.monotonic() + within
    while True:
        seen = runner.look([ref], timeout=10).runs[ref]
        if seen is not None and seen.state is state:
            return seen
        assert time.monotonic() < end, f"{ref} is not {state} after {within} s but {seen}"
        time.sleep(0.05)


def test_a_created_run_carries_our_token_and_is_found_again(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    date = some_date()
    request = create(airflow_api.quick, date=date)
    run = happened(start(runner, request))
    assert (run.run_id, run.logical_date, run.token) == (request.run_id, date, request.token)
    assert run.queued_at is not None
    assert is_same_attempt(happened(runner.ask(request)), run)


def test_a_partition_that_is_no_date_gets_a_run_without_a_logical_date(
    runner: AirflowRunner, airflow_api: AirflowApi
) -> None:
    run = happened(start(runner, create(airflow_api.quick)))
    assert (run.logical_date is None) is not airflow_api.is_old, "Airflow 2 gives each run a date"


def test_asking_about_a_request_that_was_never_sent(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    assert isinstance(runner.ask(create(airflow_api.quick)), NotHappened)


def test_the_same_request_again_is_the_same_run(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    request = create(airflow_api.quick, date=some_date())
    first = happened(start(runner, request))
    assert is_same_attempt(happened(start(runner, request)), first)


def test_our_run_id_with_another_token_is_from_another_life(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    request = create(airflow_api.quick, date=some_date())
    run = happened(start(runner, request))
    later = create(airflow_api.quick, date=request.logical_date)
    for outcome in (start(runner, later), runner.ask(later)):
        assert isinstance(outcome, Foreign)
        assert (outcome.run.run_id, outcome.run.token) == (run.run_id, request.token)


def test_a_persons_run_on_our_logical_date_is_foreign(
    runner: AirflowRunner, airflow_api: AirflowApi, person: requests.Session
) -> None:
    request = create(airflow_api.quick, date=some_date())
    assert request.logical_date is not None
    by_hand = f"by_hand_{uuid.uuid4().hex}"
    answer = person.post(
        f"{airflow_api.api}/dags/{airflow_api.quick}/dagRuns",
        json={"dag_run_id": by_hand, "logical_date": request.logical_date.isoformat()},
        timeout=10,
    )
    assert answer.status_code == 200
    outcome = start(runner, request)
    assert isinstance(outcome, Foreign)
    assert outcome.run.run_id == by_hand
    assert outcome.run.token is None


def test_an_unknown_dag_is_refused(runner: AirflowRunner) -> None:
    for request in (create("nowhere"), create("nowhere", date=some_date())):
        outcome = start(runner, request)
        assert isinstance(outcome, Refused)
        assert outcome.status == 404
        assert "nowhere" in outcome.answer


def test_a_run_id_that_airflow_does_not_allow_is_refused(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    outcome = start(runner, create(airflow_api.quick, run_id="a b"))
    if airflow_api.is_old:
        return  # Airflow 2.11 allows it to those who trigger by its API
    assert isinstance(outcome, Refused)
    assert outcome.status == 400
    assert "run_id" in outcome.answer


def test_no_name_can_change_the_address(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    """``..`` and ``/`` would lead elsewhere: another run, or the DAG itself."""
    victim = happened(start(runner, create(airflow_api.quick)))
    for run_id in ("..", ".", f"x/../{victim.run_id}", "", f"{victim.run_id}/clear?", f"{victim.run_id}?x=#"):
        request = replace(clear(victim), run_id=run_id)
        assert isinstance(runner.start(request), Refused | NotHappened), run_id
        assert runner.look([RunRef(victim.dag_id, run_id)], timeout=10).runs == {RunRef(victim.dag_id, run_id): None}
    seen = wait_for(runner, victim, State.SUCCESS)
    assert is_same_attempt(seen, victim)


def test_a_clear_makes_a_new_attempt_of_the_same_run(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    run = happened(start(runner, create(airflow_api.quick, date=some_date())))
    ended = wait_for(runner, run, State.SUCCESS)
    request = clear(ended)
    assert isinstance(runner.ask(request), NotHappened)
    cleared = happened(start(runner, request))
    assert cleared.queued_at is not None
    assert run.queued_at is not None
    assert cleared.queued_at > run.queued_at
    assert (cleared.run_id, cleared.logical_date) == (run.run_id, run.logical_date)
    assert is_same_attempt(happened(runner.ask(request)), cleared)
    assert is_same_attempt(wait_for(runner, run, State.SUCCESS), cleared)


def test_a_clear_of_a_run_that_has_not_ended_is_a_new_attempt_too(
    runner: AirflowRunner, airflow_api: AirflowApi
) -> None:
    run = happened(start(runner, create(airflow_api.slow)))
    outcome = start(runner, clear(run))
    if airflow_api.is_old:
        assert isinstance(outcome, Happened | Refused)  # it keeps its start, which is all that Airflow 2 shows
    else:
        assert happened(outcome).queued_at != run.queued_at


def test_a_run_to_be_cleared_that_was_deleted_is_known_to_be_missing(
    runner: AirflowRunner, airflow_api: AirflowApi
) -> None:
    gone = ObservedRun(airflow_api.quick, f"gone_{uuid.uuid4().hex}", State.SUCCESS, some_date())
    for outcome in (runner.start(clear(gone)), runner.ask(clear(gone))):
        assert isinstance(outcome, NotHappened)
        assert outcome.run_missing


def test_a_run_to_be_cleared_whose_dag_is_gone_is_refused(runner: AirflowRunner) -> None:
    gone = ObservedRun("nowhere", "gone", State.SUCCESS, some_date())
    for outcome in (runner.start(clear(gone)), runner.ask(clear(gone))):
        assert isinstance(outcome, Refused)
        assert outcome.status == 404


def test_a_look_tells_runs_with_similar_names_apart(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    """Prefixes, wildcards of SQL and other cases: ``x_1`` is not ``xa1``, ``x__1`` not ``x__10``, ``X`` not ``x``."""
    stem = uuid.uuid4().hex
    there = [f"{stem}_x_1", f"{stem}_x__10", f"{stem}_X__2", f"{stem}_x__9."]
    absent = [
        f"{stem}_xa1",
        f"{stem}_x__1",
        f"{stem}_x__2",
        f"{stem}_x__9",
        f"{stem}_x%1",
        f"{stem}|x",
        f"{stem} ",
        stem,
    ]
    for run_id in there:
        happened(start(runner, create(airflow_api.quick, run_id=run_id)))
    happened(start(runner, create(airflow_api.slow, run_id=f"{stem}_x_1")))
    found = runner.look([RunRef(airflow_api.quick, run_id) for run_id in there + absent], timeout=10).runs
    assert {ref.run_id for ref, run in found.items() if run is not None} == set(there)
    assert all(run is None or (run.dag_id, run.run_id) == ref for ref, run in found.items())


def test_a_look_over_several_dags_does_not_mix_their_runs(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    run_id = f"both_{uuid.uuid4().hex}"
    quick = happened(start(runner, create(airflow_api.quick, run_id=run_id)))
    refs = [RunRef(airflow_api.quick, run_id), RunRef(airflow_api.slow, run_id), RunRef("nowhere", run_id)]
    found = runner.look(refs, timeout=10).runs
    seen = found[refs[0]]
    assert seen is not None
    assert seen.token == quick.token
    assert found[refs[1]] is None
    assert found[refs[2]] is None


def pause(person: requests.Session, airflow_api: AirflowApi, *, paused: bool) -> None:
    """Pause the slow DAG, or take that back; again where Airflow on SQLite answers an occasional 500."""
    address = f"{airflow_api.api}/dags/{airflow_api.slow}"
    for last in (False, False, False, True):
        answer = person.patch(address, json={"is_paused": paused}, timeout=10)
        if answer.status_code != 500 or last:
            answer.raise_for_status()
            return


def test_a_check_finds_what_is_missing_and_paused(
    runner: AirflowRunner, airflow_api: AirflowApi, person: requests.Session
) -> None:
    pause(person, airflow_api, paused=True)
    tasks = {airflow_api.slow: ["of another DAG"], "nowhere": ["any"]}
    try:
        report = runner.check([airflow_api.quick, airflow_api.slow, "nowhere", "slo", "a|b", "x/y"], tasks=tasks)
    finally:
        pause(person, airflow_api, paused=False)
    assert report.problem is None
    assert report.version is not None
    assert report.version.startswith("2." if airflow_api.is_old else "3.")
    assert report.missing_dags == ("nowhere", "slo", "a|b", "x/y")
    assert report.paused_dags == (airflow_api.slow,)
    assert report.missing_tasks == (MissingTask(airflow_api.slow, "of another DAG", ()),)


def test_a_paused_dag_takes_a_run_and_keeps_it_queued(
    runner: AirflowRunner, airflow_api: AirflowApi, person: requests.Session
) -> None:
    pause(person, airflow_api, paused=True)
    try:
        assert happened(start(runner, create(airflow_api.slow))).state is State.QUEUED
    finally:
        pause(person, airflow_api, paused=False)
