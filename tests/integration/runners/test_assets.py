"""Asset events over HTTP: found by URI, emitted once, and looked for when an answer is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.model.trigger import Action
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import (
    AssetDelivery,
    Delivered,
    EnvironmentUnavailable,
    NotHappened,
    NotSent,
    Refused,
    RequestRefused,
    StartRequest,
)
from coordinator.store.embedded import free_port
from tests.integration.runners.conftest import STAND_INS, AirflowApi, MakeRunner
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

pytestmark = pytest.mark.promise("assets")

ORDERS = "s3://lake/orders"


def handing_on(uri: str = ORDERS, event: str = "e-1", **more: Any) -> StartRequest:
    delivery = AssetDelivery(uri, event, {"rows": 3, "coordinator": {"event": event}}, datetime.now(UTC), **more)
    return StartRequest("assets from sales", Action.CREATE, "run", "token", delivery=delivery)


def events(airflow: StandInAirflow, uri: str = ORDERS) -> int:
    return len(airflow.model.assets.of(uri))


@pytest.fixture(params=["airflow", "old_airflow"])
def either(request: pytest.FixtureRequest) -> StandInAirflow:
    """Airflow 3, and Airflow 2."""
    airflow: StandInAirflow = request.getfixturevalue(request.param)
    airflow.model.assets.add(*(f"{ORDERS}/{number}" for number in range(150)), ORDERS, ORDERS.upper())
    return airflow


@pytest.fixture
def runner(either: StandInAirflow, make_runner: MakeRunner, request: pytest.FixtureRequest) -> AirflowRunner:
    kind = "airflow2" if "old_airflow" in request.fixturenames else "airflow"
    return make_runner(either.base_url, username=either.username, password=either.password, kind=kind)


def test_an_event_is_emitted_and_found_again(either: StandInAirflow, runner: AirflowRunner) -> None:
    assert isinstance(runner.ask(handing_on()), NotHappened)
    assert runner.start(handing_on()) == Delivered()
    (event,) = either.model.assets.of(ORDERS)
    assert event.extra == {"rows": 3, "coordinator": {"event": "e-1"}, "from_rest_api": True}
    assert runner.ask(handing_on()) == Delivered()
    assert isinstance(runner.ask(handing_on(event="e-2")), NotHappened)
    assert runner.start(handing_on(event="e-2")) == Delivered()
    assert runner.ask(handing_on()) == Delivered()
    assert events(either) == 2


def test_the_partition_key_goes_along(airflow: StandInAirflow, make_runner: MakeRunner) -> None:
    airflow.model.assets.add(ORDERS)
    runner = make_runner(airflow.base_url, username=airflow.username, password=airflow.password)
    runner.start(handing_on(partition_key="eu"))
    assert [event.partition_key for event in airflow.model.assets.of(ORDERS)] == ["eu"]


def test_an_unknown_asset_is_refused_and_nothing_is_sent(either: StandInAirflow, runner: AirflowRunner) -> None:
    outcome = runner.start(handing_on("s3://lake"))
    assert isinstance(outcome, Refused)
    assert outcome.status == 404
    assert "knows no asset s3://lake; a DAG there must have it" in outcome.answer
    assert isinstance(runner.ask(handing_on("s3://lake")), NotHappened)
    assert either.requests_of("emit") == []
    either.model.assets.add("s3://lake")
    assert runner.start(handing_on("s3://lake")) == Delivered()


def test_an_asset_with_another_id_is_looked_up_again(airflow: StandInAirflow, make_runner: MakeRunner) -> None:
    runner = make_runner(airflow.base_url, username=airflow.username, password=airflow.password)
    airflow.model.assets.add(ORDERS)
    assert runner.start(handing_on()) == Delivered()
    airflow.model.assets.uris[7] = airflow.model.assets.uris.pop(1)
    airflow.model.assets.events.clear()
    assert isinstance(runner.start(handing_on()), Refused)
    assert runner.start(handing_on()) == Delivered()


@pytest.mark.parametrize(
    "fault",
    [
        Fault.answer(500, acts=True),
        Fault.answer(503, "<html>", acts=False),
        Fault.answer(200, "<html>", acts=False),
        Fault.cut_before(),
        Fault.cut_after(),
    ],
    ids=["500", "503", "rubbish", "cut before", "cut after"],
)
def test_no_answer_that_may_hide_an_event_is_taken_for_one(
    either: StandInAirflow, runner: AirflowRunner, fault: Fault
) -> None:
    runner.ask(handing_on())  # it has logged in, and knows the asset
    either.faults.next("emit", fault)
    with pytest.raises(EnvironmentUnavailable) as caught:
        runner.start(handing_on())
    assert not isinstance(caught.value, NotSent)
    assert (runner.ask(handing_on()) == Delivered()) is (events(either) == 1)


def test_what_was_certainly_not_sent_is_said_so(airflow: StandInAirflow, make_runner: MakeRunner) -> None:
    airflow.model.assets.add(ORDERS)
    with pytest.raises(NotSent):
        make_runner(f"http://127.0.0.1:{free_port()}").start(handing_on())
    airflow.faults.next("assets", Fault.answer(503, "<html>"))
    with pytest.raises(NotSent):
        make_runner(airflow.base_url, username=airflow.username, password=airflow.password).start(handing_on())
    assert events(airflow) == 0


@pytest.mark.parametrize("status", [401, 403, 422])
def test_a_refusal_is_one(airflow: StandInAirflow, make_runner: MakeRunner, status: int) -> None:
    airflow.model.assets.add(ORDERS)
    runner = make_runner(airflow.base_url, username=airflow.username, password=airflow.password)
    runner.ask(handing_on())
    for _ in range(2):  # once more with renewed credentials
        airflow.faults.next("emit", Fault.answer(status, {"detail": "no"}))
    assert isinstance(runner.start(handing_on()), Refused)
    assert events(airflow) == 0


def test_an_event_that_is_gone_is_not_sent(either: StandInAirflow, runner: AirflowRunner) -> None:
    assert isinstance(runner.start(handing_on("")), Refused)
    assert isinstance(runner.ask(handing_on("")), NotHappened)
    assert either.requests == []


def test_many_events_of_others_hide_none_of_ours(either: StandInAirflow, runner: AirflowRunner) -> None:
    assert runner.start(handing_on()) == Delivered()
    assets = either.model.assets
    (mine,) = assets.of(ORDERS)
    for number in range(250):
        assets.emit(mine.asset_id, at=mine.timestamp + timedelta(seconds=number), extra={"coordinator": number})
    assert runner.ask(handing_on()) == Delivered()
    late = handing_on()
    assert late.delivery is not None
    since = mine.timestamp + timedelta(hours=2)
    assert isinstance(runner.ask(replace(late, delivery=replace(late.delivery, since=since))), NotHappened)


def test_an_event_whose_run_is_queued_hides_ours_no_longer_than_that(
    either: StandInAirflow, runner: AirflowRunner
) -> None:
    """Airflow 3.3 fails to show such an event, and the page that it is on."""
    assets = either.model.assets
    for event in ("e-1", "e-2", "e-3"):
        runner.start(handing_on(event=event))
    _, second, _ = assets.of(ORDERS)
    assets.events[assets.events.index(second)] = replace(second, queued=True)
    assert runner.ask(handing_on(event="e-1")) == Delivered()
    assert runner.ask(handing_on(event="e-3")) == Delivered()
    for event in ("e-2", "e-4"):
        with pytest.raises(RequestRefused, match="does not show an event of s3://lake/orders that may be this one"):
            runner.ask(handing_on(event=event))
    assets.events[assets.events.index(replace(second, queued=True))] = second
    assert runner.ask(handing_on(event="e-2")) == Delivered()
    assert isinstance(runner.ask(handing_on(event="e-4")), NotHappened)
    assets.events[:] = [replace(one, queued=True) for one in assets.of(ORDERS)]
    with pytest.raises(RequestRefused):
        runner.ask(handing_on(event="e-1"))
    either.close()
    with pytest.raises(EnvironmentUnavailable):
        runner.ask(handing_on(event="e-1"))


@pytest.mark.parametrize("uri", ["s3://a|b", "s3://100%/x", "s3://a_b\\c", "s3://x?y=[1]"])
def test_strange_uris_are_found(airflow: StandInAirflow, make_runner: MakeRunner, uri: str) -> None:
    airflow.model.assets.add("s3://axb", uri)
    runner = make_runner(airflow.base_url, username=airflow.username, password=airflow.password)
    assert runner.start(handing_on(uri)) == Delivered()
    assert events(airflow, uri) == 1


@pytest.mark.parametrize("airflow_api", STAND_INS, indirect=True)
def test_it_works_on_each_kind(
    airflow_api: AirflowApi, make_runner: MakeRunner, request: pytest.FixtureRequest
) -> None:
    name = "old_airflow" if airflow_api.is_old else "airflow"
    airflow: StandInAirflow = request.getfixturevalue(name)
    airflow.model.assets.add(ORDERS)
    settings: dict[str, Any] = airflow_api.settings
    runner = make_runner(settings.pop("url"), **settings)
    assert runner.start(handing_on()) == Delivered()
    assert runner.ask(handing_on()) == Delivered()
