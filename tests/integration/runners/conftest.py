"""An Airflow to speak to: the stand-in, and a real one where there is one, for the same conversations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.runners.airflow import AirflowRunner
from tests.standin.airflow import StandInAirflow
from tests.standin.mwaa import KEY_ID, NAME, REGION, SECRET, StandInMwaa

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
    kind: str = "airflow"
    mwaa: str | None = None
    at_once: int = 6

    @property
    def settings(self) -> dict[str, object]:
        """Of the environment, as the coordinator reaches it."""
        if self.mwaa is not None:
            reached = {"url": self.mwaa, "mwaa_name": NAME, "region": REGION}
            return {"kind": "mwaa", "username": None, "password": None, **reached}
        return {"url": self.base_url, "kind": self.kind, "username": self.username, "password": self.password}

    @property
    def is_old(self) -> bool:
        """Whether it is an Airflow 2."""
        return self.kind == "airflow2"

    @property
    def api(self) -> str:
        return f"{self.base_url}/api/{'v1' if self.is_old else 'v2'}"


@pytest.fixture
def airflow() -> Iterator[StandInAirflow]:
    with StandInAirflow() as airflow:
        airflow.dag("quick", auto=0)
        airflow.dag("slow", auto=60.0)
        yield airflow


@pytest.fixture
def old_airflow() -> Iterator[StandInAirflow]:
    """The same, as an Airflow 2."""
    with StandInAirflow(old=True) as airflow:
        airflow.dag("quick", auto=0)
        airflow.dag("slow", auto=60.0)
        yield airflow


@pytest.fixture
def mwaa(airflow: StandInAirflow, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInMwaa]:
    """AWS before the stand-in."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with StandInMwaa(airflow) as mwaa:
        yield mwaa


STAND_INS = ("stand-in", "stand-in of Airflow 2", "stand-in of MWAA")

WHERE: list[Any] = [*STAND_INS]
if URL_VARIABLE in os.environ:
    WHERE.append(pytest.param("real", marks=pytest.mark.e2e))


@pytest.fixture(params=WHERE)
def airflow_api(request: pytest.FixtureRequest) -> AirflowApi:
    """The stand-ins; and the real one that ``COORDINATOR_TEST_AIRFLOW_URL`` names (``_USERNAME``, ``_PASSWORD``,
    ``_KIND``)."""
    if request.param == "stand-in":
        airflow: StandInAirflow = request.getfixturevalue("airflow")
        return AirflowApi(airflow.base_url, airflow.username, airflow.password)
    if request.param == "stand-in of Airflow 2":
        airflow = request.getfixturevalue("old_airflow")
        return AirflowApi(airflow.base_url, airflow.username, airflow.password, kind="airflow2")
    if request.param == "stand-in of MWAA":
        airflow = request.getfixturevalue("airflow")
        through: StandInMwaa = request.getfixturevalue("mwaa")
        return AirflowApi(airflow.base_url, airflow.username, airflow.password, mwaa=through.url)
    return AirflowApi(
        os.environ[URL_VARIABLE],
        os.environ.get("COORDINATOR_TEST_AIRFLOW_USERNAME", "admin"),
        os.environ.get("COORDINATOR_TEST_AIRFLOW_PASSWORD", "admin"),
        kind=os.environ.get("COORDINATOR_TEST_AIRFLOW_KIND", "airflow"),
        at_once=1,  # it may run on SQLite, whose scheduler does not survive more
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
        runner = AirflowRunner("default", AirflowSettings.model_validate(settings))
        made.append(runner)
        return runner

    yield make
    for runner in made:
        runner.close()


@pytest.fixture
def runner(airflow: StandInAirflow, make_runner: MakeRunner) -> AirflowRunner:
    """A runner on the stand-in."""
    return make_runner(airflow.base_url)
