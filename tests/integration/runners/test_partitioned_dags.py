"""A run of a partitioned DAG gets its partition as its ``partition_key``, and each key gets one run."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coordinator.model import bounds
from coordinator.model.partitions.instants import format_instant
from coordinator.runners.airflow import AirflowRunner, partitioned
from coordinator.runners.port import Foreign, Happened, NotSent, ObservedRun, Refused, StartRequest
from coordinator.runners.testing import clear, create
from tests.airflow_model.runs import Partitioning
from tests.integration.runners.conftest import MakeRunner
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

pytestmark = pytest.mark.promise("answers")

DAY = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def airflow() -> object:
    with StandInAirflow() as airflow:
        airflow.dag("ordinary")
        airflow.dag("keyed", keys=Partitioning.AT_RUNTIME)
        airflow.dag("by_assets", keys=Partitioning.BY_ASSETS)
        airflow.dag("by_cron", keys=Partitioning.BY_CRON)
        yield airflow


def wants(dag_id: str, partition: str, date: datetime | None = None) -> StartRequest:
    return replace(create(dag_id, date=date, run_id=f"coordinator__{uuid.uuid4().hex}__1"), partition=partition)


def happened(outcome: object) -> ObservedRun:
    assert isinstance(outcome, Happened), outcome
    return outcome.run


def keys(airflow: StandInAirflow, dag_id: str) -> list[str | None]:
    return [run.partition_key for run in airflow.runs(dag_id)]


@pytest.mark.parametrize("dag_id", ["keyed", "by_assets"])
@pytest.mark.parametrize(("partition", "date"), [("eu", None), ("a|b %", None), (format_instant(DAY), DAY)])
def test_a_run_of_a_partitioned_dag_has_its_partition_as_its_key(
    runner: AirflowRunner, dag_id: str, partition: str, date: datetime | None
) -> None:
    run = happened(runner.start(wants(dag_id, partition, date)))
    assert (run.partition_key, run.logical_date) == (partition, date)


def test_a_run_of_an_ordinary_dag_has_none(runner: AirflowRunner) -> None:
    assert happened(runner.start(wants("ordinary", "eu"))).partition_key is None


def test_what_the_leader_has_heard_saves_every_question_about_ordinary_dags(
    runner: AirflowRunner, airflow: StandInAirflow
) -> None:
    assert runner.check(["ordinary", "keyed"]).missing_dags == ()
    airflow.requests.clear()
    for partition in ("eu", "us"):
        happened(runner.start(wants("ordinary", partition)))
    assert [request.kind for request in airflow.requests] == ["trigger", "trigger"]
    airflow.requests.clear()
    happened(runner.start(wants("keyed", "eu")))
    assert [request.kind for request in airflow.requests] == ["list", "trigger"], "only whether the key has a run"


def test_a_dag_of_which_nothing_has_been_heard_is_asked_about_once(
    runner: AirflowRunner, airflow: StandInAirflow
) -> None:
    for partition in ("eu", "us", "apac"):
        happened(runner.start(wants("ordinary", partition)))
    assert [request.kind for request in airflow.requests if request.kind != "login"] == ["dag", *["trigger"] * 3]


def test_a_dag_that_is_no_longer_partitioned_gets_its_run_all_the_same(
    runner: AirflowRunner, airflow: StandInAirflow
) -> None:
    happened(runner.start(wants("keyed", "eu")))
    airflow.dag("keyed")
    for partition in ("us", "apac"):
        assert happened(runner.start(wants("keyed", partition))).partition_key is None
    assert [request.status for request in airflow.requests_of("trigger")] == [200, 400, 200, 200]


def test_a_dag_that_has_become_partitioned_gets_its_keys_once_that_has_been_heard(
    runner: AirflowRunner, airflow: StandInAirflow
) -> None:
    happened(runner.start(wants("ordinary", "eu")))
    airflow.dag("ordinary", keys=Partitioning.AT_RUNTIME)
    runner.check(["ordinary"])
    assert happened(runner.start(wants("ordinary", "us"))).partition_key == "us"


def test_what_was_heard_long_ago_is_asked_again(
    airflow: StandInAirflow, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitioned, "BELIEVED_FOR", 0.0)
    runner = make_runner(airflow.base_url)
    happened(runner.start(wants("ordinary", "eu")))
    airflow.dag("ordinary", keys=Partitioning.AT_RUNTIME)
    assert happened(runner.start(wants("ordinary", "us"))).partition_key == "us"


def test_the_run_that_airflow_made_for_a_key_is_adopted(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    """Airflow would take a second one: keys are not unique there."""
    airflow.trigger_by_hand("by_assets", "asset_triggered__other", partition_key="eu-west")
    airflow.trigger_by_hand("by_assets", "asset_triggered__older", partition_key="eu")
    airflow.trigger_by_hand("by_assets", "asset_triggered__newer", partition_key="eu")
    outcome = runner.start(wants("by_assets", "eu"))
    assert isinstance(outcome, Foreign)
    assert outcome.run.run_id == "asset_triggered__newer"
    assert keys(airflow, "by_assets") == ["eu-west", "eu", "eu"]
    assert happened(runner.start(wants("by_assets", "us"))).partition_key == "us"


def test_it_is_found_behind_many_others(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    airflow.trigger_by_hand("keyed", "wanted", partition_key="eu")
    for number in range(150):
        airflow.trigger_by_hand("keyed", f"other_{number}", partition_key=f"eu{number}")
    outcome = runner.start(wants("keyed", "eu"))
    assert isinstance(outcome, Foreign)
    assert outcome.run.run_id == "wanted"


def test_another_run_beside_the_one_that_is_there_is_created_where_it_is_asked_for(
    runner: AirflowRunner, airflow: StandInAirflow
) -> None:
    happened(runner.start(wants("keyed", "eu")))
    happened(runner.start(replace(wants("keyed", "eu"), beside=True)))
    assert keys(airflow, "keyed") == ["eu", "eu"]


def test_the_same_request_again_is_the_same_run(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    request = wants("keyed", "eu")
    first = happened(runner.start(request))
    assert happened(runner.start(request)).run_id == first.run_id
    assert happened(runner.ask(request)).run_id == first.run_id
    assert keys(airflow, "keyed") == ["eu"]


def test_a_persons_run_on_the_date_without_a_key_is_adopted(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    airflow.trigger_by_hand("keyed", "by_hand", logical_date=DAY)
    outcome = runner.start(wants("keyed", format_instant(DAY), DAY))
    assert isinstance(outcome, Foreign)
    assert outcome.run.run_id == "by_hand"


def test_a_run_of_another_key_on_the_date_is_left_alone(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    """It is another partition's: ours is created without the date, which is taken."""
    airflow.trigger_by_hand("keyed", "by_hand", logical_date=DAY, partition_key="eu")
    run = happened(runner.start(wants("keyed", format_instant(DAY), DAY)))
    assert (run.partition_key, run.logical_date) == (format_instant(DAY), None)


def test_a_clear_keeps_the_key(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    run = happened(runner.start(wants("keyed", "eu")))
    airflow.finish("keyed", run.run_id)
    found = airflow.run("keyed", run.run_id)
    assert found is not None
    assert happened(runner.start(clear(found))).partition_key == "eu"


def test_a_key_that_the_timetable_cannot_read_is_refused_with_the_way_round(runner: AirflowRunner) -> None:
    outcome = runner.start(wants("by_cron", "2026-11-20T00:00:00Z", DAY))
    assert isinstance(outcome, Refused)
    assert outcome.status == 400
    assert "does not match the timetable's key_format '%Y-%m-%dT%H:%M:%S'" in outcome.answer
    assert "'output_format'" in outcome.answer
    assert happened(runner.start(wants("by_cron", "2026-11-20T00:00:00"))).partition_key == "2026-11-20T00:00:00"


@pytest.mark.parametrize("partition", [" ", "k" * 251])
def test_a_partition_that_is_no_key_is_refused(runner: AirflowRunner, partition: str) -> None:
    outcome = runner.start(wants("keyed", partition))
    assert isinstance(outcome, Refused)
    assert "partition_key must" in outcome.answer


@pytest.mark.parametrize("kind", ["dag", "list"])
def test_a_question_without_an_answer_is_no_request(runner: AirflowRunner, airflow: StandInAirflow, kind: str) -> None:
    airflow.faults.next(kind, Fault.answer(503, {"detail": "later"}))
    with pytest.raises(NotSent):
        runner.start(wants("keyed", "eu"))
    assert airflow.requests_of("trigger") == []
    assert happened(runner.start(wants("keyed", "eu"))).partition_key == "eu"


def test_runs_that_may_not_be_read_are_not_made(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    """Nobody could tell whether the key has a run."""
    airflow.api.hidden.add("keyed")
    outcome = runner.start(wants("keyed", "eu"))
    assert isinstance(outcome, Refused)
    assert outcome.status == 403
    assert keys(airflow, "keyed") == []


def test_a_dag_that_may_not_be_read_is_taken_for_an_ordinary_one(
    runner: AirflowRunner, airflow: StandInAirflow
) -> None:
    airflow.faults.next("dag", Fault.answer(403, {"detail": "Forbidden"}))
    assert happened(runner.start(wants("ordinary", "eu"))).partition_key is None


def test_an_airflow_that_knows_no_keys_gets_none(runner: AirflowRunner, airflow: StandInAirflow) -> None:
    extra = {"type": "extra_forbidden", "loc": ["body", "partition_key"], "msg": "Extra inputs are not permitted"}
    airflow.faults.next("trigger", Fault.answer(422, {"detail": [extra]}))
    assert happened(runner.start(wants("keyed", "eu"))).partition_key is None
    assert [request.status for request in airflow.requests_of("trigger")] == [422, 200]


def test_runs_with_large_confs_are_read_few_at_a_time(
    runner: AirflowRunner, airflow: StandInAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        airflow.trigger_by_hand("keyed", f"eu_{number}", partition_key=f"eu{number}", conf={"text": "x" * 2_000})
    airflow.trigger_by_hand("keyed", "wanted", partition_key="eu")
    monkeypatch.setattr(bounds, "ANSWER", 20_000)
    outcome = runner.start(wants("keyed", "eu"))
    assert isinstance(outcome, Foreign)
    assert outcome.run.run_id == "wanted"
    airflow.trigger_by_hand("keyed", "newest", partition_key="eu_west", conf={"text": "x" * 30_000})
    outcome = runner.start(wants("keyed", "eu"))
    assert isinstance(outcome, Refused), "one that cannot be read at all, which is no failure of the environment"
    assert "more than 20000 bytes" in outcome.answer
