"""Tokens are renewed when they must be and no oftener, and no credential shows anywhere."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import EnvironmentUnavailable, Happened, NotSent, Refused, RequestRefused, RunRef
from coordinator.runners.testing import create
from tests.integration.runners.conftest import MakeRunner
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault

RUN = RunRef("slow", "x")


def statuses(airflow: StandInAirflow, kind: str) -> list[int | None]:
    return [request.status for request in airflow.requests_of(kind)]


def test_one_login_serves_many_requests_and_threads(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    together = threading.Barrier(8)

    def look() -> None:
        together.wait(10)
        for _ in range(5):
            runner.look([RUN], timeout=10)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(look) for _ in range(8)]:
            done.result(30)
    assert airflow.logins.given == 1
    assert statuses(airflow, "get") == [404] * 40


@pytest.mark.parametrize("end", ["expire", "forget"])
def test_a_token_that_is_over_is_renewed_once_for_all_threads(
    airflow: StandInAirflow, runner: AirflowRunner, end: str
) -> None:
    """401 when it has expired; 403 when Airflow was restarted with another secret."""
    assert isinstance(runner.start(create("slow")), Happened)
    getattr(airflow.logins, end)()
    together = threading.Barrier(8)

    def start() -> object:
        together.wait(10)
        return runner.start(create("slow"))

    with ThreadPoolExecutor(8) as pool:
        outcomes = [done.result(30) for done in [pool.submit(start) for _ in range(8)]]
    assert all(isinstance(outcome, Happened) for outcome in outcomes), outcomes
    assert airflow.logins.given == 2
    assert len(airflow.runs("slow")) == 9


def test_a_token_is_renewed_before_it_expires(airflow: StandInAirflow, make_runner: MakeRunner) -> None:
    """By its own lifetime, since Airflow's clock need not be ours: the stand-in's is an hour ahead."""
    runner = make_runner(airflow.base_url)
    runner.look([RUN], timeout=10)
    runner.look([RUN], timeout=10)
    assert airflow.logins.given == 1
    airflow.logins.lifetime = 0.2
    airflow.logins.expire()
    runner.look([RUN], timeout=10)
    before = len(statuses(airflow, "get"))
    over = threading.Event()
    assert not over.wait(0.25)  # The token's life: there is no event to wait for.
    runner.look([RUN], timeout=10)
    assert statuses(airflow, "get")[before:] == [404], "it was sent until Airflow refused it"


def test_credentials_that_are_not_accepted_are_a_refusal(airflow: StandInAirflow, make_runner: MakeRunner) -> None:
    runner = make_runner(airflow.base_url, password="wrong-secret")
    outcome = runner.start(create("slow"))
    assert isinstance(outcome, Refused)
    assert outcome.status == 401
    assert "'admin'" in outcome.answer
    assert isinstance(runner.look([RUN], timeout=10).error, RequestRefused)
    assert "credentials" in (runner.check(["slow"]).problem or "")
    assert runner.check([]).version == "3.3.2"
    assert statuses(airflow, "trigger") == []


def test_a_rejection_of_a_fresh_token_is_not_repeated_for_ever(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    airflow.faults.always("trigger", Fault.answer(401, {"detail": "Token Expired"}))
    outcome = runner.start(create("slow"))
    assert outcome == Refused(401, "Token Expired")
    assert len(airflow.requests_of("trigger")) == 2


def test_too_weak_a_role_is_a_refusal_and_no_reason_to_log_in_again(
    airflow: StandInAirflow, make_runner: MakeRunner
) -> None:
    runner = make_runner(airflow.base_url, username="eve", password="eve")
    assert runner.start(create("slow")) == Refused(403, "Forbidden")
    assert runner.look([RUN], timeout=10).seen == {RUN: None}
    assert airflow.logins.given == 1


def test_a_login_without_an_answer_is_not_a_refusal(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    for fault in (Fault.answer(503), Fault.cut_before(), Fault.answer(201, {"token": "x"}), Fault.answer(429)):
        airflow.faults.next("login", fault)
        with pytest.raises(EnvironmentUnavailable):
            runner.start(create("slow"))
    assert isinstance(runner.start(create("slow")), Happened)


def test_http_basic_where_no_token_is_to_be_had(airflow: StandInAirflow, runner: AirflowRunner) -> None:
    airflow.logins.basic = True
    for _ in range(2):
        assert isinstance(runner.start(create("slow")), Happened)
    assert len(airflow.requests_of("login")) == 1


@pytest.mark.promise("rotation")
def test_a_static_token_is_read_again_when_it_is_refused(
    airflow: StandInAirflow, make_runner: MakeRunner, tmp_path: Path
) -> None:
    """The file is rotated under the running watcher."""
    file = tmp_path / "token"
    file.write_text(f"{airflow.logins.token('admin', 'admin')}\n")
    runner = make_runner(airflow.base_url, username=None, password=None, token_file=str(file))
    assert isinstance(runner.start(create("slow")), Happened)
    airflow.logins.expire()
    assert runner.start(create("slow")) == Refused(401, "Token Expired")
    file.write_text(f"{airflow.logins.token('admin', 'admin')}\n")
    assert isinstance(runner.start(create("slow")), Happened)
    assert airflow.requests_of("login") == []


@pytest.mark.promise("rotation")
@pytest.mark.parametrize("kind", ["token", "password"])
def test_what_a_command_gives_is_asked_for_again_when_it_is_refused(
    airflow: StandInAirflow, make_runner: MakeRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It is rotated under the running watcher, and the vault is away for a moment in between."""
    monkeypatch.setattr("coordinator.config.credentials.AGAIN_AFTER", 0.0)
    file = tmp_path / "vault"
    settings = {f"{kind}_command": ["cat", str(file)]}
    runner = make_runner(airflow.base_url, username="admin" if kind == "password" else None, password=None, **settings)

    def rotate() -> None:
        airflow.logins.users["admin"] = (f"{airflow.logins.users['admin'][0]}-rotated", "admin")
        airflow.logins.expire()
        password = airflow.logins.users["admin"][0]
        file.write_text(f"{airflow.logins.token('admin', password) if kind == 'token' else password}\n")

    rotate()
    assert isinstance(runner.start(create("slow")), Happened)
    given = airflow.logins.given
    assert isinstance(runner.start(create("slow")), Happened)
    assert airflow.logins.given == given
    rotate()
    assert isinstance(runner.start(create("slow")), Happened)
    rotate()
    vault = file.rename(tmp_path / "away")
    with pytest.raises(EnvironmentUnavailable, match=rf"environments\.default: {kind}_command \(cat\) ended with 1"):
        runner.start(create("slow"))
    vault.rename(file)
    assert isinstance(runner.start(create("slow")), Happened)


@pytest.mark.promise("rotation")
def test_a_command_has_no_more_time_than_the_request_that_waits_for_it(
    airflow: StandInAirflow, make_runner: MakeRunner
) -> None:
    """The lease was checked for the time of the request, so nothing may make that longer."""
    runner = make_runner(
        airflow.base_url, username=None, password=None, token_command=["sleep", "60"], request_timeout=1.0
    )
    began = time.monotonic()
    with pytest.raises(EnvironmentUnavailable, match=r"token_command \(sleep\) took longer than 1\.0 s"):
        runner.start(create("slow"))
    assert time.monotonic() - began < 5
    assert airflow.requests == []


@pytest.mark.parametrize("token", ["", "top secret", "top-sécret", "top-\nsecret", "top-\u2028secret"])
def test_a_token_that_is_none_is_refused_without_repeating_it(
    airflow: StandInAirflow, make_runner: MakeRunner, tmp_path: Path, token: str
) -> None:
    """The libraries below put a header that they refuse into their message."""
    file = tmp_path / "token"
    file.write_text(token)
    runner = make_runner(airflow.base_url, username=None, password=None, token_file=str(file))
    outcome = runner.start(create("slow"))
    assert isinstance(outcome, Refused)
    assert "top" not in outcome.answer
    assert airflow.requests == []


def test_missing_credentials_say_what_to_set(
    airflow: StandInAirflow, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    for settings, words in (
        ({"password_env": "NOT_THERE"}, "NOT_THERE is not set"),
        ({}, "password_env, password_file or password_command"),
    ):
        runner = make_runner(airflow.base_url, password=None, **settings)
        outcome = runner.start(create("slow"))
        assert isinstance(outcome, Refused)
        assert words in outcome.answer
        assert words in (runner.check([]).problem or "")
    assert statuses(airflow, "trigger") == []


def test_without_any_credentials_airflow_is_asked_as_nobody(airflow: StandInAirflow, make_runner: MakeRunner) -> None:
    runner = make_runner(airflow.base_url, username=None, password=None)
    assert runner.start(create("slow")) == Refused(401, "Not authenticated")


def test_a_netrc_does_not_replace_our_credentials(
    runner: AirflowRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """requests prefers ~/.netrc to an Authorization header that it is given."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert isinstance(runner.start(create("slow")), Happened)


@pytest.mark.promise("secrets")
def test_no_credential_shows_in_messages_logs_or_reprs(
    airflow: StandInAirflow, make_runner: MakeRunner, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    airflow.logins.users["admin"] = ("hunter2", "admin")
    seen: list[str] = []
    runner = make_runner(airflow.base_url, password="hunter2", request_timeout=1.0)
    runner.look([RUN], timeout=10)
    token = next(iter(airflow.logins._tokens))
    file = tmp_path / "token"
    file.write_text(token)
    static = make_runner(airflow.base_url, username=None, password=None, token_file=str(file), request_timeout=1.0)
    echo = {"detail": [{"loc": ["body"], "msg": "no", "input": {"password": "hunter2"}}], "input": f"Bearer {token}"}
    for status in (403, 404, 422):
        airflow.faults.always("trigger", Fault.answer(status, {"detail": f"Bearer {token} is wrong"}))
        seen += [repr(each.start(create("slow"))) for each in (runner, static)]
        assert all("Bearer *** is wrong" in text for text in seen), "what it says is seen, without them"
    faults = [Fault.answer(status, echo) for status in (400, 401, 403, 422, 429, 500, 503)]
    for fault in [*faults, Fault.answer(200, echo), Fault.cut_before()]:
        for kind in ("login", "trigger"):
            airflow.faults.clear()
            airflow.faults.always(kind, fault)
            for each in (make_runner(airflow.base_url, password="hunter2", request_timeout=1.0), runner, static):
                seen += [repr(each), repr(each._client), repr(each._client._authentication)]
                try:
                    seen.append(repr(each.start(create("slow"))))
                except EnvironmentUnavailable as error:
                    seen += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
                seen.append(repr(each.check(["slow"])))
    for basic in (False, True):
        airflow.logins.basic = basic
        airflow.faults.clear()
        airflow.faults.always("trigger", Fault.answer(404, {"detail": 'the "password" hunter2 is wrong'}))
        seen.append(repr(make_runner(airflow.base_url, password="hunter2").start(create("slow"))))
        assert 'the "password" *** is wrong' in seen[-1]
    output = capfd.readouterr()
    assert len(seen) > 100
    for text in [*seen, output.out, output.err]:
        assert "hunter2" not in text
        assert token not in text


@pytest.mark.parametrize("expired", [False, True], ids=["first login", "renewed"])
def test_without_an_answer_to_a_login_nothing_was_sent(
    airflow: StandInAirflow, runner: AirflowRunner, expired: bool
) -> None:
    """So nothing is in doubt, and nobody has to be asked about it."""

    if expired:
        assert isinstance(runner.start(create("slow")), Happened)
        airflow.logins.forget()
    airflow.faults.next("login", Fault.cut_before())
    with pytest.raises(NotSent):
        runner.start(create("slow"))
    assert len(airflow.runs("slow")) == (1 if expired else 0)
