"""Environments that are the same Airflow are warned of, however its address is spelled."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.config.same_airflow import same_airflow
from coordinator.config.settings import Settings


def found_in(*environments: dict[str, Any]) -> list[str]:
    named = zip("abc", environments, strict=False)
    settings = Settings(environments={name: AirflowSettings.model_validate(one) for name, one in named})
    return [one.found for one in same_airflow(settings)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://airflow:8080", "http://airflow:8080/"),
        ("http://airflow:8080", "http://Airflow:8080"),
        ("http://airflow", "http://airflow:80"),
        ("https://airflow.example/team", "https://airflow.example:443/team/"),
        ("https://[FD00::1]", "https://[fd00::1]:443"),
    ],
)
def test_spellings_of_one_address(one: str, other: str) -> None:
    (found,) = found_in({"url": one}, {"url": other}, {"url": "http://another"})
    assert found.startswith("environments a, b are the same Airflow (http")
    assert found.endswith("each run there counts in all of them")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://airflow:8080", "http://airflow:8081"),
        ("http://airflow", "https://airflow"),
        ("https://airflow.example/a", "https://airflow.example/A"),
    ],
)
def test_other_addresses(one: str, other: str) -> None:
    assert found_in({"url": one}, {"url": other}) == []


def test_environments_of_amazon_mwaa_share_the_address_of_aws() -> None:
    one, other, again = (
        {"kind": "mwaa", "mwaa_name": name, "region": "eu-central-1"} for name in ("prod", "dev", "prod")
    )
    assert found_in(one, other) == []
    (found,) = found_in(one, other, again)
    assert found.startswith("environments a, c are the same Airflow (prod in eu-central-1")
