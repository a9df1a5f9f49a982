"""Answers that do not say whether it has happened, and lines that break: resolved by asking, never by guessing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from coordinator.model.runstate import State
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import (
    EnvironmentUnavailable,
    Foreign,
    Happened,
    NotHappened,
    ObservedRun,
    Outcome,
    Refused,
    RequestRefused,
    RunRef,
    StartRequest,
)
from coordinator.runners.testing import clear, create, some_date
from tests.integration.runners.conftest import MakeRunner
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

pytestmark = pytest.mark.promise("answers")

HTML = "<html><body>Bad gateway</body></html>"


@pytest.fixture
def ended(airflow: StandInAirflow) -> ObservedRun:
    """A run of ``slow`` that has ended."""
    airflow.trigger_by_hand("slow", "ended")
    airflow.finish("slow", "ended")
    run = airflow.run("slow", "ended")
    assert run is not None
    return run


Effect = tuple[str, StartRequest, Callable[[StandInAirflow], int]]


@pytest.fixture(params=["trigger", "clear"])
def effect(request: pytest.FixtureRequest, ended: ObservedRun) -> Effect:
    """Either effect: its kind, a request, and how often it has taken effect."""
    wanted = create("slow", date=some_date()) if request.param == "trigger" else clear(ended)

    def times(airflow: StandInAirflow) -> int:
        # Each effect queues a run; the first one is that of ``ended``.
        return sum(run.state is State.QUEUED for run in airflow.history) - 1

    return request.param, wanted, times


def _at_once(count: int, send: Callable[[], Outcome]) -> list[Outcome]:
    together = threading.Barrier(count)

    def meet_and_send(_: int) -> Outcome:
        together.wait(10)
        return send()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(meet_and_send, range(count)))


def test_a_line_cut_before_it_happened(airflow: StandInAirflow, runner: AirflowRunner, effect: Effect) -> None:
    kind, request, times = effect
    airflow.faults.next(kind, Fault.cut_before())
    with pytest.raises(EnvironmentUnavailable):
        runner.start(request)
    assert isinstance(runner.ask(request), NotHappened)
    assert isinstance(runner.start(request), Happened)
    assert times(airflow) == 1


def test_a_line_cut_after_it_happened(airflow: StandInAirflow, runner: AirflowRunner, effect: Effect) -> None:
    kind, request, times = effect
    airflow.faults.next(kind, Fault.cut_after())
    with pytest.raises(EnvironmentUnavailable):
        runner.start(request)
    assert isinstance(runner.ask(request), Happened)
    assert times(airflow) == 1
    assert len(airflow.requests_of(kind)) == 1, "the runner repeated a request by itself"


@pytest.mark.parametrize("acts", [False, True])
def test_a_500_is_resolved_by_asking(
    airflow: StandInAirflow, runner: AirflowRunner, effect: Effect, acts: bool
) -> None:
    kind, request, times = effect
    airflow.faults.next(kind, Fault.answer(500, {"detail": {"reason": "Database error"}}, acts=acts))
    assert isinstance(runner.start(request), Happened if acts else NotHappened)
    assert times(airflow) == (1 if acts else 0)


@pytest.mark.parametrize("acts", [False, True])
def test_a_question_that_is_refused_does_not_say_that_nothing_happened(
    airflow: StandInAirflow, runner: AirflowRunner, effect: Effect, acts: bool
) -> None:
    """Credentials that run out at that moment: the request may have been carried out all the same."""
    kind, request, times = effect
    airflow.faults.next(kind, Fault.answer(500, {"detail": {"reason": "Database error"}}, acts=acts))
    airflow.faults.always("get", Fault.answer(403, {"detail": "Forbidden"}))
    for ask in (runner.start, runner.ask):
        with pytest.raises(RequestRefused, match="Forbidden"):
            ask(request)
    airflow.faults.clear()
    assert isinstance(runner.ask(request), Happened if acts else NotHappened)
    assert times(airflow) == (1 if acts else 0)


@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_an_answer_of_something_in_between_settles_nothing(
    airflow: StandInAirflow, runner: AirflowRunner, effect: Effect, status: int, acts: bool
) -> None:
    kind, request, _ = effect
    airflow.faults.next(kind, Fault.answer(status, HTML, headers={"Retry-After": "7"}, acts=acts))
    with pytest.raises(EnvironmentUnavailable, match=str(status)) as caught:
        runner.start(request)
    assert caught.value.retry_after == 7
    assert isinstance(runner.ask(request), Happened if acts else NotHappened)


@pytest.mark.parametrize(
    "body",
    [HTML, {}, [], {"dag_run_id": "other", "dag_id": "slow", "state": "queued", "queued_at": None}],
    ids=["no JSON", "empty", "a list", "about another run"],
)
def test_a_200_that_is_not_airflows_settles_nothing(
    airflow: StandInAirflow, runner: AirflowRunner, effect: Effect, body: object
) -> None:
    kind, request, _ = effect
    airflow.faults.next(kind, Fault.answer(200, body, acts=True))
    with pytest.raises(EnvironmentUnavailable):
        runner.start(request)
    assert isinstance(runner.ask(request), Happened)


def test_a_404_that_is_not_airflows_says_nothing_of_the_dag(
    airflow: StandInAirflow, runner: AirflowRunner, effect: Effect
) -> None:
    """A load balancer's own, while its backend is away: blocking the pipeline for it would be wrong."""
    kind, request, _ = effect
    airflow.faults.next(kind, Fault.answer(404, "404 page not found"))
    with pytest.raises(EnvironmentUnavailable):
        runner.start(request)


def test_an_unreadable_answer_to_the_question_is_no_answer(
    airflow: StandInAirflow, runner: AirflowRunner, effect: Effect
) -> None:
    kind, request, _ = effect
    for fault in (Fault.answer(404, HTML), Fault.answer(500), Fault.answer(200, HTML), Fault.cut_before()):
        airflow.faults.next(kind, Fault.answer(500, acts=True))
        airflow.faults.next("get", fault)
        with pytest.raises(EnvironmentUnavailable):
            runner.start(request)
        if kind == "trigger":
            airflow.delete("slow", request.run_id)


def test_a_409_with_nothing_in_the_way_has_not_happened(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    for request in (create("slow", date=some_date()), create("slow")):
        airflow.faults.next("trigger", Fault.answer(409, {"detail": {"reason": "Unique constraint violation"}}))
        assert isinstance(runner.start(request), NotHappened)


def test_a_409_for_our_run_id_comes_before_one_for_our_date(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """Both are taken, by two runs: the one with our run_id is the one to adopt."""
    request = create("slow", date=some_date())
    airflow.trigger_by_hand("slow", request.run_id)
    airflow.trigger_by_hand("slow", "by hand", logical_date=request.logical_date)
    outcome = runner.start(request)
    assert isinstance(outcome, Foreign)
    assert outcome.run.run_id == request.run_id


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_refusal_is_handed_on_in_airflows_words(
    airflow: StandInAirflow, runner: AirflowRunner, effect: Effect, status: int
) -> None:
    kind, request, _ = effect
    airflow.faults.next(kind, Fault.answer(status, {"detail": "the reason " + "x" * 5000}))
    outcome = runner.start(request)
    assert isinstance(outcome, Refused)
    assert outcome.status == status
    assert outcome.answer.startswith("the reason ")
    assert len(outcome.answer) <= 500


def test_a_complaint_about_the_body_is_readable(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    complaint = {
        "type": "missing",
        "loc": ["body", "logical_date"],
        "msg": "Field required",
        "input": {"conf": "x" * 999},
    }
    airflow.faults.next("trigger", Fault.answer(422, {"detail": [complaint]}))
    outcome = runner.start(create("slow"))
    assert isinstance(outcome, Refused)
    assert outcome.answer == '[{"loc": ["body", "logical_date"], "msg": "Field required"}]'


def test_a_clear_that_clears_nothing_is_for_a_person_to_see(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    """A run without task instances keeps its queued_at: 200, and nothing runs."""
    airflow.dag("empty", tasks=False)
    run = airflow.trigger_by_hand("empty", "first")
    airflow.finish("empty", "first")
    outcome = runner.start(clear(run))
    assert isinstance(outcome, Refused)
    assert "task instances" in outcome.answer


def test_a_redirect_is_not_followed(airflow: StandInAirflow, runner: AirflowRunner, effect: Effect) -> None:
    """It would turn the POST into a GET, or hand the token to another host."""
    kind, request, _ = effect
    with StandInAirflow() as elsewhere:
        airflow.faults.always(kind, Fault.answer(302, "", headers={"Location": elsewhere.base_url + "/login"}))
        with pytest.raises(EnvironmentUnavailable, match="redirect"):
            runner.start(request)
        assert elsewhere.connections == 0


def test_identical_requests_at_once_make_one_run(make_runner: MakeRunner) -> None:
    """A frozen leader and its successor: one is answered 200, the others 409 or, on SQLite, 500.

    Not on a real Airflow on SQLite: its scheduler does not survive it.
    """
    for sqlite in (False, True):
        with StandInAirflow(sqlite=sqlite) as airflow:
            airflow.dag("slow")
            runner = make_runner(airflow.base_url)
            request = create("slow", date=some_date())
            outcomes = _at_once(6, partial(runner.start, request))
            happened = [outcome.run.queued_at for outcome in outcomes if isinstance(outcome, Happened)]
            assert len(set(happened)) == 1
            # A 500 may come before the others have committed: then asking rightly finds nothing.
            assert all(isinstance(outcome, Happened | NotHappened) for outcome in outcomes), outcomes
            assert len(airflow.runs("slow")) == 1
            if sqlite:
                assert 500 in {request.status for request in airflow.requests_of("trigger")}
            else:
                assert len(happened) == 6


def test_an_environment_that_is_down_and_comes_back(
    airflow: StandInAirflow, runner: AirflowRunner, effect: Effect
) -> None:
    _, request, times = effect
    assert isinstance(runner.ask(request), NotHappened)
    airflow.down()
    for method in (runner.start, runner.ask):
        with pytest.raises(EnvironmentUnavailable):
            method(request)
    airflow.up()
    assert isinstance(runner.ask(request), NotHappened)
    assert isinstance(runner.start(request), Happened)
    assert times(airflow) == 1


def test_connections_are_kept(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    for _ in range(20):
        assert isinstance(runner.start(create("slow")), Happened)
    assert airflow.connections == 1


@pytest.mark.promise("leader-only")
@pytest.mark.parametrize(
    "faults",
    [
        {"trigger": Fault.delay(30)},
        {"login": Fault.delay(30)},
        {"login": Fault.delay(0.5), "trigger": Fault.delay(0.5), "get": Fault.delay(30)},
        {"trigger": Fault.drip_answer(0.2)},
        {"login": Fault.drip_answer(0.2)},
    ],
    ids=["trigger", "login", "all of it", "answer byte by byte", "login byte by byte"],
)
def test_a_conversation_is_bounded_as_a_whole(
    airflow: StandInAirflow, make_runner: MakeRunner, faults: dict[str, Fault]
) -> None:
    """The watcher has checked that its lease outlives this time."""
    runner = make_runner(airflow.base_url, request_timeout=1.5)
    request = create("slow", date=some_date())
    if "get" in faults:
        airflow.trigger_by_hand("slow", logical_date=request.logical_date)
    for kind, fault in faults.items():
        airflow.faults.next(kind, fault)
    begun = time.monotonic()
    with pytest.raises(EnvironmentUnavailable, match=r"1\.5 s"):
        runner.start(request)
    assert 1.4 < time.monotonic() - begun < 2.5


def test_a_look_is_bounded_as_a_whole(airflow: StandInAirflow, runner: AirflowRunner, ended: ObservedRun) -> None:
    airflow.faults.next("get", Fault.delay(30))
    begun = time.monotonic()
    looked = runner.look([RunRef(ended.dag_id, ended.run_id)], timeout=0.5)
    assert isinstance(looked.error, EnvironmentUnavailable)
    assert "0.5 s" in str(looked.error)
    assert time.monotonic() - begun < 1.5


def test_a_hanging_request_that_takes_effect_later_is_found_by_asking(
    airflow: StandInAirflow, make_runner: MakeRunner, effect: Effect
) -> None:
    kind, request, times = effect
    runner = make_runner(airflow.base_url, request_timeout=0.5)
    released = threading.Event()
    airflow.faults.next(kind, Fault.hang(released))
    with pytest.raises(EnvironmentUnavailable):
        runner.start(request)
    assert isinstance(runner.ask(request), NotHappened)
    released.set()
    airflow.await_requests(kind, 1)
    assert isinstance(runner.ask(request), Happened)
    assert times(airflow) == 1
