"""An Airflow to speak to: the stand-in, and a real one where there is one, for the same conversations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from coordinator.config.settings import EnvironmentSettings
from coordinator.runners.airflow import AirflowRunner
from tests.standin.airflow import StandInAirflow

URL_VARIABLE = "COORDINATOR_TEST_AIRFLOW_URL"
PASSWORD_VARIABLE = "COORDINATOR_TEST_PASSWORD"


@dataclass(frozen=True)
class AirflowApi:
    """An Airflow with a DAG ``quick``, which succeeds at once, and a DAG ``slow``, which runs for half a minute."""

    base_url: str
    username: str
    password: str
    quick: str = "quick"
    slow: str = "slow"


@pytest.fixture
def airflow() -> Iterator[StandInAirflow]:
    with StandInAirflow() as airflow:
        airflow.dag("quick", auto=0)
        airflow.dag("slow")
        yield airflow


WHERE = ["stand-in", *([pytest.param("real", marks=pytest.mark.e2e)] if URL_VARIABLE in os.environ else [])]


@pytest.fixture(params=WHERE)
def airflow_api(request: pytest.FixtureRequest) -> AirflowApi:
    """The stand-in; and the real one that ``COORDINATOR_TEST_AIRFLOW_URL`` (``_USERNAME``, ``_PASSWORD``) names."""
    if request.param == "stand-in":
        airflow: StandInAirflow = request.getfixturevalue("airflow")
        return AirflowApi(airflow.base_url, airflow.username, airflow.password)
    return AirflowApi(
        os.environ[URL_VARIABLE],
        os.environ.get("COORDINATOR_TEST_AIRFLOW_USERNAME", "admin"),
        os.environ.get("COORDINATOR_TEST_AIRFLOW_PASSWORD", "admin"),
    )


MakeRunner = Callable[..., AirflowRunner]


@pytest.fixture
def make_runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeRunner]:
    """``make_runner(url, username=..., password=..., **settings)``; closed at the end."""
    made: list[AirflowRunner] = []

    def make(
        url: str, *, password: str | None = "admin", username: str | None = "admin", **more: object
    ) -> AirflowRunner:
        settings: dict[str, object] = {"url": url, "username": username, "request_timeout": 10.0, **more}
        if password is not None:
            monkeypatch.setenv(PASSWORD_VARIABLE, password)
            settings["password_env"] = PASSWORD_VARIABLE
        runner = AirflowRunner("default", EnvironmentSettings.model_validate(settings))
        made.append(runner)
        return runner

    yield make
    for runner in made:
        runner.close()


@pytest.fixture
def runner(airflow: StandInAirflow, make_runner: MakeRunner) -> AirflowRunner:
    """A runner on the stand-in."""
    return make_runner(airflow.base_url)
