"""Data Fusion that loses answers, lists runs late, refuses, and ends runs in every way."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coordinator.boottime import boottime
from coordinator.model import bounds
from coordinator.model.runstate import State
from coordinator.runners.datafusion import absence, client, listing
from coordinator.runners.port import (
    EnvironmentUnavailable,
    Happened,
    NotHappened,
    NotSent,
    ObservedRun,
    Outcome,
    Refused,
    Runner,
    RunRef,
    StartRequest,
)
from coordinator.runners.testing import Permits, clear, create, happened, seen, some_date, wait_for
from tests.integration.datafusion.conftest import MakeRunner
from tests.standin.cdap import Run, StandInCdap
from tests.standin.faults import Fault

pytestmark = pytest.mark.promise("datafusion")

LATE = 1.0
"""Seconds after which a run is listed, where that is late."""


def ask_until_settled(runner: Runner, request: StartRequest) -> Outcome:
    """Ask, as the watcher does, until there is an outcome."""
    end = time.monotonic() + 20
    while True:
        try:
            return runner.ask(request)
        except EnvironmentUnavailable:
            assert time.monotonic() < end
            time.sleep(0.05)


def start_until_settled(runner: Runner, request: StartRequest) -> ObservedRun:
    """Start, and ask before each repetition, as the watcher does."""
    outcome: Outcome = NotHappened("it was not tried")
    end = time.monotonic() + 20
    while isinstance(outcome, NotHappened):
        assert time.monotonic() < end
        try:
            outcome = runner.start(request)
        except EnvironmentUnavailable:
            outcome = ask_until_settled(runner, request)
    return happened(outcome)


def ended(cdap: StandInCdap, runner: Runner) -> ObservedRun:
    """A run of ``slow`` that has completed."""
    run = happened(runner.start(create("slow", date=some_date())))
    cdap.become(cdap.runs_of("slow")[-1], "COMPLETED")
    return wait_for(runner, run, State.SUCCESS)


def only(cdap: StandInCdap, app: str) -> Run:
    """The one run of an app."""
    (run,) = cdap.runs_of(app)
    return run


# -- answers that are lost ---------------------------------------------------------------------------------------------


def test_a_start_whose_answer_is_lost_is_found_in_the_list(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    cdap.faults["start"].append(Fault.cut_after())
    request = create("slow", date=some_date())
    run = happened(make_runner().start(request))
    assert run.token == request.token
    assert len(cdap.runs_of("slow")) == 1


@pytest.mark.parametrize("fault", [Fault.cut_after(), Fault.answer(502, "bad gateway", acts=True), Fault.late(3.0)])
def test_a_lost_answer_of_a_run_that_is_listed_late(cdap: StandInCdap, make_runner: MakeRunner, fault: Fault) -> None:
    """Neither the runner that sent it nor its successor starts a second one."""
    cdap.listed_after = LATE
    cdap.faults["start"].append(replace(fault))
    settings: dict[str, Any] = {"listed_within": timedelta(seconds=3 * LATE), "request_timeout": 0.8 * LATE}
    request = create("slow", date=some_date())
    with pytest.raises(EnvironmentUnavailable):
        make_runner(**settings).start(request)
    successor = make_runner(**settings)
    with pytest.raises(EnvironmentUnavailable, match="may still appear"):
        successor.ask(request)
    assert happened(ask_until_settled(successor, request)).token == request.token
    assert happened(successor.start(request)).token == request.token
    assert len(cdap.runs_of("slow")) == 1


def test_a_start_that_never_arrived_is_sent_again_once(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    cdap.faults["start"].append(Fault.cut_before())
    runner = make_runner()
    request = create("slow", date=some_date())
    with pytest.raises(EnvironmentUnavailable) as failed:
        runner.start(request)
    assert not isinstance(failed.value, NotSent)
    assert isinstance(ask_until_settled(runner, request), NotHappened)
    assert happened(runner.start(request)).token == request.token
    assert len(cdap.runs_of("slow")) == 1


@pytest.mark.parametrize("late", [0.0, LATE])
def test_a_clear_whose_answer_is_lost_makes_one_attempt(
    cdap: StandInCdap, make_runner: MakeRunner, late: float
) -> None:
    runner = make_runner(listed_within=timedelta(seconds=3 * LATE), request_timeout=0.5)
    run = ended(cdap, runner)
    cdap.listed_after = late
    cdap.faults["start"].append(Fault.cut_after())
    request = clear(run)
    again = start_until_settled(make_runner(listed_within=timedelta(seconds=3 * LATE), request_timeout=0.5), request)
    assert run.queued_at is not None
    assert again.queued_at is not None
    assert again.queued_at > run.queued_at
    assert (again.token, again.logical_date) == (run.token, run.logical_date)
    assert len(cdap.runs_of("slow")) == 2


def test_a_list_without_an_answer_means_that_nothing_was_sent(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    cdap.faults["runs"].append(Fault.cut_before())
    with pytest.raises(NotSent):
        make_runner().start(create("slow"))
    assert not cdap.runs_of("slow")


def test_what_is_no_answer_of_a_start_is_ambiguous(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    cdap.faults["start"].append(Fault.answer(200, "<html>", acts=True))
    assert isinstance(make_runner().start(create("slow")), Happened)
    assert len(cdap.runs_of("slow")) == 1


# -- runs that are not listed yet --------------------------------------------------------------------------------------


def test_a_run_that_was_accepted_is_queued_until_it_is_listed(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    cdap.listed_after = LATE
    runner = make_runner(listed_within=timedelta(seconds=3 * LATE))
    request = create("slow", date=some_date())
    run = happened(runner.start(request))
    assert run.state is State.QUEUED
    now = seen(runner, run)
    assert now is not None
    assert now.state is State.QUEUED
    assert happened(runner.start(request)) == happened(runner.ask(request))
    assert wait_for(runner, run, State.RUNNING).queued_at == run.queued_at
    assert len(cdap.runs_of("slow")) == 1


def test_a_successor_does_not_take_such_a_run_for_deleted(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    cdap.listed_after = LATE
    settings: dict[str, Any] = {"listed_within": timedelta(seconds=3 * LATE)}
    run = happened(make_runner(**settings).start(create("slow", date=some_date())))
    ref = RunRef(run.dag_id, run.run_id)
    successor = make_runner(**settings)
    looked = successor.look([ref], timeout=0.5)
    assert looked.unanswered == {ref}
    assert not looked.seen
    assert looked.error is None
    found = successor.look([ref], timeout=10).runs[ref]
    assert found is not None
    assert found.token == run.token


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_run_that_is_deleted_is_missing_after_a_while(
    cdap: StandInCdap, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch, has_ended: bool
) -> None:
    """One that has ended is looked for again only when everything is listed again."""
    monkeypatch.setattr(listing, "ALL_EVERY", 0.0 if has_ended else 600.0)
    runner = make_runner()
    run = ended(cdap, runner) if has_ended else wait_for(runner, happened(runner.start(create("slow"))), State.RUNNING)
    with cdap.lock:
        cdap.started.clear()
    assert seen(runner, run) is None


def test_what_has_ended_is_not_listed_again_at_each_start(
    cdap: StandInCdap, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 20)
    with cdap.lock:
        for number in range(200):
            there = Run("slow", {}, 0.0)
            there.starting -= 3600 + number * 3600
            cdap.started.append(there)
            cdap.become(there, "COMPLETED")
    runner = make_runner()
    run = happened(runner.start(create("slow")))
    assert cdap.asked.count("runs") > 10
    cdap.asked.clear()
    assert seen(runner, run) is not None
    other = happened(runner.start(create("slow")))
    assert cdap.asked.count("runs") == 2
    assert {seen(runner, one).token for one in (run, other)} == {run.token, other.token}  # type: ignore[union-attr]


def test_an_app_that_is_deployed_anew_keeps_its_runs_waiting(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    """Its 404 is no answer about them, at first."""
    runner = make_runner(listed_within=timedelta(seconds=60))
    run = happened(runner.start(create("slow")))
    assert wait_for(runner, run, State.RUNNING)
    app = cdap.apps.pop("slow")
    ref = RunRef(run.dag_id, run.run_id)
    assert runner.look([ref], timeout=1).unanswered == {ref}
    cdap.apps["slow"] = app
    assert seen(runner, run) is not None


# -- states ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PENDING", State.QUEUED),
        ("STARTING", State.QUEUED),
        ("RUNNING", State.RUNNING),
        ("SUSPENDED", State.RUNNING),
        ("RESUMING", State.RUNNING),
        ("STOPPING", State.RUNNING),
        ("ON_FIRE", State.RUNNING),
        ("COMPLETED", State.SUCCESS),
        ("FAILED", State.FAILED),
        ("KILLED", State.FAILED),
    ],
)
def test_only_completed_is_success_and_only_an_end_is_an_end(
    cdap: StandInCdap, make_runner: MakeRunner, status: str, state: State
) -> None:
    runner = make_runner()
    run = happened(runner.start(create("slow")))
    there = only(cdap, "slow")
    cdap.become(there, status)
    now = seen(runner, run)
    assert now is not None
    assert now.state is state
    assert (now.end_date is not None) is state.is_terminal
    assert (now.note is not None) is (status in ("FAILED", "KILLED", "ON_FIRE"))
    assert now.note is None or (there.runid in now.note and status in now.note)
    if not state.is_terminal:
        assert isinstance(runner.start(clear(now)), NotHappened)
        assert len(cdap.runs_of("slow")) == 1


def test_a_timeout_stops_that_run_and_no_other(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    pipelines = {"slow": {"app": "slow", "timeout": timedelta(minutes=10)}}
    runner = make_runner(pipelines=pipelines)
    late = happened(runner.start(create("slow")))
    happened(runner.start(create("slow")))
    old, young = cdap.runs_of("slow")
    with cdap.lock:
        old.starting -= 601
    runner = make_runner(pipelines=pipelines)  # one that has not seen when it began
    looked = runner.look([RunRef(late.dag_id, late.run_id)], timeout=5)
    assert looked.error is None
    now = wait_for(runner, late, State.FAILED)
    assert now.note is not None
    assert "KILLED after its timeout" in now.note
    assert cdap.stopped == [old.runid]
    assert young.status == "RUNNING"


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_not_accepted_fail_at_once(
    cdap: StandInCdap, make_runner: MakeRunner, status: int
) -> None:
    runner = make_runner()
    cdap.faults["start"].append(Fault.answer(status, "no"))
    refused = runner.start(create("slow"))
    assert isinstance(refused, Refused)
    assert refused.status == status
    assert not cdap.runs_of("slow")
    run = happened(runner.start(create("slow")))
    ref = RunRef(run.dag_id, run.run_id)
    cdap.faults["runs"].append(Fault.answer(status, "no"))
    looked = runner.look([ref], timeout=5)
    assert looked.refused[ref].status == status
    assert looked.error is not None
    cdap.faults["version"].append(Fault.answer(status, "no"))
    report = runner.check(["slow"])
    assert report.fault == {401: "login", 403: "rights"}[status]


def test_an_app_that_is_not_deployed_is_refused_and_named(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    del cdap.apps["slow"]
    runner = make_runner()
    refused = runner.start(create("slow"))
    assert isinstance(refused, Refused)
    assert refused.status == 404
    assert "slow" in runner.check(["slow", "quick"]).unusable_dags


def test_too_many_runs_are_waited_for_and_leave_no_attempt(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    """CDAP answers 429, and keeps a REJECTED run with our arguments."""
    cdap.most = 0
    runner = make_runner()
    request = create("slow")
    with pytest.raises(EnvironmentUnavailable, match="429"):
        runner.start(request)
    assert [one.status for one in cdap.started] == ["REJECTED"]
    assert isinstance(ask_until_settled(runner, request), NotHappened)
    cdap.most = None
    assert happened(runner.start(request)).token == request.token
    assert len(cdap.runs_of("slow")) == 1


def test_a_program_that_runs_alone_is_refused_while_it_runs(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    cdap.app("slow", concurrent=False)
    runner = make_runner()
    happened(runner.start(create("slow")))
    refused = runner.start(create("slow"))
    assert isinstance(refused, Refused)
    assert refused.status == 409


def test_a_permit_that_is_refused_leaves_no_run(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    with pytest.raises(Exception, match="not any more"):
        make_runner().start(create("slow"), permit=Permits(refuses=True))
    assert "start" not in cdap.asked


# -- what a run gets, and how it is found ------------------------------------------------------------------------------


def test_a_run_gets_its_conf_as_arguments(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    pipelines = {"slow": {"app": "slow", "arguments": {"region": "eu", "table": "none"}}}
    request = create("slow", date=some_date())
    request = replace(request, conf={**request.conf, "table": "orders", "days": [1, 2]})
    run = happened(make_runner(pipelines=pipelines).start(request))
    got = only(cdap, "slow").arguments
    assert (got["region"], got["table"], got["days"]) == ("eu", "orders", "[1,2]")
    assert got["coordinator.partition"] == request.partition
    assert (got["coordinator.wave"], got["coordinator.sequence"]) == ("7", "1")
    assert got["coordinator.run_id"] == run.run_id
    assert got["coordinator.token"] == request.token


def test_a_row_is_handed_on_member_by_member(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    request = create("slow")
    make_runner().start(replace(request, conf={**request.conf, "item": {"name": "orders", "days": 3}}))
    arguments = only(cdap, "slow").arguments
    assert (arguments["item.name"], arguments["item.days"]) == ("orders", "3")
    assert json.loads(arguments["item"]) == {"name": "orders", "days": 3}


def test_a_document_cannot_choose_where_and_as_whom_a_run_runs(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    request = create("slow")
    refused = make_runner().start(replace(request, conf={**request.conf, "system.profile.name": "SYSTEM:other"}))
    assert isinstance(refused, Refused)
    assert "system.profile.name" in refused.answer
    assert not cdap.started


@pytest.mark.parametrize("spread", [0, 7])
def test_a_run_is_found_among_more_than_a_page(
    cdap: StandInCdap, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch, spread: int
) -> None:
    """:param spread: seconds between two of the others; 0: all of them in one second."""
    monkeypatch.setattr(client, "PAGE", 4)
    runner = make_runner()
    request = create("slow")
    run = happened(runner.start(request))
    with cdap.lock:
        for number in range(30):
            there = Run("slow", {"who": "somebody"}, 0.0)
            there.starting = only_first(cdap).starting - spread * number
            there.status = "COMPLETED" if number % 2 else "RUNNING"
            cdap.started.append(there)
    assert happened(make_runner().ask(request)).token == run.token


def test_runs_with_large_arguments_are_listed_in_parts(
    cdap: StandInCdap, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "ANSWER", 20_000)
    request = create("slow")
    run = happened(make_runner().start(request))
    with cdap.lock:
        for number in range(1, 30):
            there = Run("slow", {"large": "x" * 9000}, 0.0)
            there.starting = only_first(cdap).starting - 3 * number
            cdap.started.append(there)
    assert happened(make_runner().ask(request)).token == run.token


def test_a_name_that_would_come_back_changed_is_refused(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    request = create("slow")
    refused = make_runner().start(replace(request, conf={**request.conf, "text": "\ud800"}))
    assert isinstance(refused, Refused)
    assert not cdap.started


# -- what lies in between ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["<html>/apps/slow/ was not found</html>", "404 page not found", "default backend - 404"]
)
def test_a_404_that_is_not_of_cdap_makes_no_run_look_deleted(
    cdap: StandInCdap, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """However long it lasts: an hour passes between two looks."""
    runner = make_runner()
    run = wait_for(runner, happened(runner.start(create("slow"))), State.RUNNING)
    ref = RunRef(run.dag_id, run.run_id)
    for hour in range(3):
        monkeypatch.setattr(absence, "boottime", lambda: boottime() + 3600 * hour)  # noqa: B023 - of this turn
        cdap.faults["runs"].append(Fault.answer(404, body))
        looked = runner.look([ref], timeout=1)
        assert isinstance(looked.error, EnvironmentUnavailable)
        assert looked.unanswered == {ref}
    assert isinstance(runner.start(clear(run)), NotHappened)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_start_that_was_carried_out_and_is_refused_on_the_way_back_makes_one_run(
    cdap: StandInCdap, make_runner: MakeRunner, status: int
) -> None:
    runner = make_runner(listed_within=timedelta(minutes=2))
    cdap.listed_after = 3600.0
    request = create("slow")
    cdap.faults["start"].append(Fault(acts=True, acts_first=True, status=status, body="refused"))
    assert isinstance(runner.start(request), Refused)
    with pytest.raises(NotSent):
        runner.start(request)
    with cdap.lock:
        cdap.started[0].listed_at = 0.0
    assert happened(runner.start(request)).token == request.token
    assert len(cdap.runs_of("slow")) == 1


def test_our_token_is_in_nothing_that_is_shown(
    cdap: StandInCdap, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.Login, "header", lambda *_, **__: "Bearer tok-secret-123")
    runner = make_runner()
    echo = json.dumps({"error": "you sent Bearer tok-secret-123"})
    cdap.faults["runs"] += [Fault.answer(403, echo), Fault.answer(500, echo), Fault.answer(200, echo)]
    shown = [str(runner.look([RunRef("slow", "r")], timeout=1).error) for _ in range(3)]
    cdap.faults["version"].append(Fault.answer(403, echo))
    shown.append(str(runner.check(["slow"]).problem))
    cdap.faults["start"].append(Fault.answer(403, echo))
    refused = runner.start(create("slow"))
    assert isinstance(refused, Refused)
    entry = {"appId": "slow", "programType": "Workflow", "programId": "p", "statusCode": 404, "error": echo}
    cdap.faults["start"].append(Fault.answer(200, json.dumps([entry])))
    other = runner.start(create("slow", date=some_date()))
    assert isinstance(other, Refused)
    shown += [refused.answer, other.answer]
    assert "tok-secret" not in "".join(shown)
    assert sum("***" in one for one in shown) >= 4


def test_what_cdap_would_expand_is_refused(cdap: StandInCdap, make_runner: MakeRunner) -> None:
    request = create("slow")
    refused = make_runner().start(replace(request, conf={**request.conf, "path": "gs://a/${secure(password)}"}))
    assert isinstance(refused, Refused)
    assert "${" in refused.answer
    assert not cdap.started


def test_a_clear_of_an_attempt_that_is_not_listed_any_more_has_not_happened(
    cdap: StandInCdap, make_runner: MakeRunner
) -> None:
    runner = make_runner()
    first = ended(cdap, runner)
    happened(runner.start(clear(first)))
    second = wait_for(runner, first, State.RUNNING)
    cdap.become(cdap.runs_of("slow")[1], "FAILED")
    second = wait_for(runner, second, State.FAILED)
    with cdap.lock:
        del cdap.started[1]
    outcome = make_runner().start(clear(second))
    assert isinstance(outcome, NotHappened)
    assert outcome.run_missing


def test_a_run_of_somebody_else_that_claims_to_be_of_the_future_is_not_ours(
    cdap: StandInCdap, make_runner: MakeRunner
) -> None:
    runner = make_runner()
    run = ended(cdap, runner)
    ours = only(cdap, "slow")
    with cdap.lock:
        cdap.started.append(Run("slow", {**ours.arguments, "coordinator.queued_at": "9999-12-31T23:59:59+00:00"}, 0.0))
    assert happened(make_runner().start(clear(run))).queued_at is not None


def only_first(cdap: StandInCdap) -> Run:
    return cdap.started[0]
