"""What the runner makes of Airflow's answers; the same on the stand-in and on a real Airflow."""

from __future__ import annotations

import uuid

import pytest
import requests

from coordinator.model.runstate import State
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import (
    Foreign,
    Happened,
    MissingTask,
    Refused,
)
from coordinator.runners.testing import (
    Playground,
    RunnerConversations,
    clear,
    create,
    happened,
    some_date,
    start,
)
from tests.integration.runners.conftest import AirflowApi, MakeRunner

pytestmark = pytest.mark.promise("answers")


@pytest.fixture
def runner(airflow_api: AirflowApi, make_runner: MakeRunner) -> AirflowRunner:
    return make_runner(**airflow_api.settings)


class TestAirflow(RunnerConversations):
    """The conversations that every runner can have."""

    @pytest.fixture
    def playground(self, airflow_api: AirflowApi, make_runner: MakeRunner, runner: AirflowRunner) -> Playground:
        return Playground(
            runner,
            another=lambda: make_runner(**airflow_api.settings),
            quick=airflow_api.quick,
            slow=airflow_api.slow,
            at_once=airflow_api.at_once,
            keeps_dates=not airflow_api.is_old,  # Airflow 2 gives each run a date
        )


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


def test_a_run_id_that_airflow_does_not_allow_is_refused(runner: AirflowRunner, airflow_api: AirflowApi) -> None:
    outcome = start(runner, create(airflow_api.quick, run_id="a b"))
    if airflow_api.is_old:
        return  # Airflow 2.11 allows it to those who trigger by its API
    assert isinstance(outcome, Refused)
    assert outcome.status == 400
    assert "run_id" in outcome.answer


def test_a_clear_of_a_run_that_has_not_ended_is_a_new_attempt_too(
    runner: AirflowRunner, airflow_api: AirflowApi
) -> None:
    run = happened(start(runner, create(airflow_api.slow)))
    outcome = start(runner, clear(run))
    if airflow_api.is_old:
        assert isinstance(outcome, Happened | Refused)  # it keeps its start, which is all that Airflow 2 shows
    else:
        assert happened(outcome).queued_at != run.queued_at


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
