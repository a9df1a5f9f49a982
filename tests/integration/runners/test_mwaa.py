"""Amazon MWAA: botocore's credentials and signatures, against a stand-in of AWS before the stand-in Airflow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.errors import LeadershipLost
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import EnvironmentUnavailable, Happened, NotSent, Refused, RequestRefused
from coordinator.runners.testing import create, some_date
from tests.standin.mwaa import NAME, REGION, SECRET, StandInMwaa


def settings_of(url: str, name: str = NAME) -> AirflowSettings:
    return AirflowSettings(kind="mwaa", url=url, mwaa_name=name, region=REGION)


@pytest.fixture
def runner(mwaa: StandInMwaa) -> Iterator[AirflowRunner]:
    runner = AirflowRunner("sales", settings_of(mwaa.url))
    yield runner
    runner.close()


def test_a_run_is_started_through_aws(runner: AirflowRunner, mwaa: StandInMwaa) -> None:
    assert isinstance(runner.start(create("quick", date=some_date())), Happened)
    asked = [(one["Method"], one["Path"]) for one in mwaa.asked]
    assert asked == [("GET", "/dags/quick"), ("POST", "/dags/quick/dagRuns")], "whether it is partitioned, first"


def test_doctor_finds_its_version_and_its_dags(runner: AirflowRunner) -> None:
    report = runner.check(["quick", "unheard_of"])
    assert (report.version, report.missing_dags, report.problem) == ("3.3.2", ("unheard_of",), None)


@pytest.mark.promise("leader-only")
def test_what_is_not_permitted_does_not_leave(runner: AirflowRunner, mwaa: StandInMwaa) -> None:
    def refuse(_seconds: float) -> None:
        raise LeadershipLost("not any more")

    runner.check(["quick"])
    mwaa.asked.clear()
    with pytest.raises(LeadershipLost):
        runner.start(create("quick", date=some_date()), permit=refuse)
    assert mwaa.asked == []


@pytest.mark.promise("answers")
@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, {}), (400, {"__type": "ThrottlingException"}), (400, {"__type": "com.amazon#TooManyRequestsException"})],
)
def test_aws_that_throttles_is_asked_again_later(
    runner: AirflowRunner, mwaa: StandInMwaa, status: int, kind: dict[str, str]
) -> None:
    mwaa.answers.append((status, {**kind, "message": "Rate exceeded"}))
    with pytest.raises(EnvironmentUnavailable, match="Rate exceeded"):
        runner.ask(create("quick", date=some_date()))


def test_what_aws_refuses_has_not_happened(runner: AirflowRunner, mwaa: StandInMwaa) -> None:
    mwaa.answers.append((403, {"Message": f"User is not authorized; secret {SECRET}"}))
    outcome = runner.start(create("quick", date=some_date()))
    assert isinstance(outcome, Refused)
    assert "User is not authorized" in outcome.answer
    assert SECRET not in outcome.answer


def test_an_environment_that_aws_does_not_know_is_no_missing_run(mwaa: StandInMwaa) -> None:
    runner = AirflowRunner("sales", settings_of(mwaa.url, "elsewhere"))
    with pytest.raises(RequestRefused, match="Environment elsewhere not found"):
        runner.ask(create("quick", date=some_date()))
    runner.close()


def test_another_key_is_told(runner: AirflowRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another one")
    assert "signature" in str(runner.check([]).problem)


def test_without_credentials_the_reason_is_told(
    runner: AirflowRunner, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("aws") / "none"))
    with pytest.raises(RequestRefused, match=r"environments\.sales: botocore finds no AWS credentials"):
        runner.ask(create("quick", date=some_date()))


def test_nobody_who_gives_credentials_means_that_nothing_was_sent(
    runner: AirflowRunner, mwaa: StandInMwaa, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    with pytest.raises((NotSent, RequestRefused)):
        runner.start(create("quick", date=some_date()))
    assert mwaa.asked == []


def test_the_endpoint_follows_from_the_region() -> None:
    settings = AirflowSettings.model_validate({"kind": "mwaa", "mwaa_name": "sales", "region": "eu-central-1"})
    assert settings.url == "https://env.airflow.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"kind": "mwaa", "mwaa_name": "sales"}, "needs mwaa_name and region"),
        ({"kind": "mwaa", "region": "eu-central-1"}, "needs mwaa_name and region"),
        ({"kind": "mwaa", "mwaa_name": "s", "region": "eu-central-1", "username": "me"}, "uses AWS credentials"),
        ({"url": "http://127.0.0.1:1", "region": "eu-central-1"}, "are for kind 'mwaa'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AirflowSettings.model_validate(given)
