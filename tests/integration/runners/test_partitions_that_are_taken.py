"""Partitions come from other teams: an environment may say what they may be made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.model.trigger import Action
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import Happened, Refused, StartRequest
from tests.integration.runners.conftest import MakeRunner
from tests.standin.airflow import StandInAirflow


@pytest.fixture
def strict(airflow: StandInAirflow, make_runner: MakeRunner) -> AirflowRunner:
    return make_runner(airflow.base_url, partition_characters=":-.ö")


def request_for(partition: str, *inputs: str) -> StartRequest:
    conf = {"coordinator": {"partition": partition, "inputs": [{"pipeline": "A", "partition": one} for one in inputs]}}
    return StartRequest("slow", Action.CREATE, "r", "t", conf=conf, partition=partition)


@pytest.mark.parametrize("partition", ["2026-11-20T00:00:00.000001Z", "customers", "7", "köln", "a..b"])
def test_a_partition_of_these_characters_is_started(strict: AirflowRunner, partition: str) -> None:
    assert isinstance(strict.start(request_for(partition, "2026-11-20T00:00:00Z")), Happened)


@pytest.mark.parametrize(
    "partition",
    [
        *("$(id)", "a$(id)", "{{ 7*7 }}", "a b", "a\nb", "a;b", "'"),
        *("../x", "-rf", ".", "", "\u0661", "a\u202eb", "x" * 999 + "!"),
    ],
)
def test_another_one_is_refused_before_anything_is_sent(
    airflow: StandInAirflow, strict: AirflowRunner, partition: str
) -> None:
    create = request_for(partition)
    for request in (create, replace(create, action=Action.CLEAR), request_for("good", "good", partition)):
        outcome = strict.start(request)
        assert isinstance(outcome, Refused)
        assert "environments.default.partition_characters" in outcome.answer
        assert len(outcome.answer) <= 500
        assert outcome.answer.isprintable()
    assert airflow.requests == []


def test_without_the_setting_any_partition_is_started(runner: AirflowRunner) -> None:
    assert isinstance(runner.start(request_for("$(id)")), Happened)
